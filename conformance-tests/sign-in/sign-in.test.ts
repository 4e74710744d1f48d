/**
 * Signing in to a whole server: the first administrator, an app of a patient, signing out, tenants beside each other.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html
 */
import { createHash, randomBytes } from 'node:crypto'
import { expect, test } from '@jest/globals'
import { generate } from 'otplib'
import type { TestBrowser } from '../../src/smart/people/testing.js'
import { signInWorld } from './world.js'

const given = signInWorld()

const password = 'seven brown hens'

const below = (link: string): string => link.slice(new URL(link).origin.length)

const auditOf = async (): Promise<{ what: string; why?: string; outcome: number }[]> => {
  const { audit } = given().server.site.database.tenant('default')
  return (await audit.find({ count: 200 })).map(({ text }) => JSON.parse(text))
}

test('an empty store: from the link that is printed to a signed-in administrator', async () => {
  const { server, browser, people } = given()
  const link = await server.firstAdministrator()
  const page = browser()
  await page.get(below(link!))
  await page.submit({ token: new URL(link!).searchParams.get('token')! })
  await page.submit({ name: 'Ada', login: 'ada', password, again: password })
  await page.get('/oauth/sign-in')
  await page.submit({ login: 'ada', password })
  const secret = /class="secret">([A-Z2-7 ]+)</.exec(page.page.text)![1]!.replaceAll(' ', '')
  await page.submit({ code: await generate({ secret }) })
  await page.submit({ kept: '1' })
  expect([page.page.path, page.page.status]).toEqual(['/oauth/apps', 200])
  expect(page.page.text).toContain('Ada as system administrator')
  expect(await server.firstAdministrator()).toBeUndefined()
  const [account] = await people.accounts.list(1)
  expect(account).toMatchObject({ role: 'platform-administrator', user: { type: 'Practitioner' } })
  const recorded = await auditOf()
  expect(recorded).toContainEqual(expect.objectContaining({ what: 'account-changed', why: 'first-administrator' }))
  expect(recorded).toContainEqual(expect.objectContaining({ what: 'account-changed', why: 'second-factor-enrolled' }))
  expect(recorded).toContainEqual(expect.objectContaining({ what: 'sign-in', outcome: 0 }))
})

const redirect = 'https://app.example/back'

/** What an app does: its request, the person's pages, and the token. */
async function launch(browser: TestBrowser, scope: string, pages: (browser: TestBrowser) => Promise<void>) {
  const { authorization, issuer, server } = given()
  const { client } = await authorization.clients.register({ name: 'My health', redirectUris: [redirect] })
  const verifier = randomBytes(32).toString('base64url')
  const asked = new URLSearchParams({
    response_type: 'code',
    client_id: client.id,
    redirect_uri: redirect,
    scope,
    state: 'state',
    aud: server.baseUrl,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  })
  await browser.get(`/oauth/authorize?${asked}`)
  await pages(browser)
  const back = new URL(browser.page.path)
  const reply = await fetch(`${issuer}/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      code: back.searchParams.get('code')!,
      redirect_uri: redirect,
      client_id: client.id,
      code_verifier: verifier,
    }),
  })
  return (await reply.json()) as Record<string, string>
}

const read = async (token: string, path: string): Promise<number> =>
  (await fetch(`${given().server.fhir}/${path}`, { headers: { Authorization: `Bearer ${token}` } })).status

test('a patient signs in with a code by mail, allows an app, and everything ends with "sign out everywhere"', async () => {
  const { people, codeTo, server, browser } = given()
  const world = (await server.site.world('default'))!
  const { create } = await import('../../src/interactions/index.js')
  const { stored } = await create(world.context, { resourceType: 'Patient', name: [{ family: 'Achieng' }] })
  const { id } = stored
  await people.create({ name: 'Rose', role: 'patient', user: { type: 'Patient', id }, contacts: ['rose@example.org'] })
  const page = browser()
  const reply = await launch(page, 'launch/patient openid fhirUser patient/*.rs', async (at) => {
    await at.get(`${at.page.path}/contact`)
    expect(at.page.text).toContain('To continue to My health')
    await at.submit({ contact: 'rose@example.org' })
    await at.submit({ code: await codeTo('rose@example.org') })
    expect(at.page.text).toContain('Allow My health?')
    expect(at.page.text).toContain('all types there are now, and those added in future')
    expect(at.page.headers.get('content-security-policy')).toContain("form-action 'self' https://app.example")
    const form = /name="form" value="([^"]*)"/.exec(at.page.text)![1]!
    const scopes = [...at.page.text.matchAll(/name="scope"[^>]* value="([^"]*)"/g)].map(([, scope]) => [
      'scope',
      scope!,
    ])
    const fields = new URLSearchParams([['form', form], ['decision', 'allow'], ...scopes] as [string, string][])
    await at.send('POST', /action="([^"]*)"/.exec(at.page.text)![1]!, fields)
  })
  expect(reply).toMatchObject({ token_type: 'Bearer', patient: id })
  expect(await read(reply['access_token']!, `Patient/${id}`)).toBe(200)
  const apps = await page.get('/oauth/apps')
  expect(apps.text).toContain('My health')
  expect((await page.submit({ everywhere: '1' })).text).toContain('You are signed out.')
  await new Promise((resolve) => setTimeout(resolve, 1000))
  expect(await read(reply['access_token']!, `Patient/${id}`)).toBe(401)
})

test('the same by JSON, for the hospital’s own apps', async () => {
  const { people, codeTo, browser } = given()
  const user = { type: 'Patient', id: 'p2' } as const
  await people.create({ name: 'Paul', role: 'patient', user, contacts: ['paul@example.org'] })
  const app = browser()
  const known = await app.json('/oauth/api/otp/request', { contact: 'paul@example.org' })
  const unknown = await app.json('/oauth/api/otp/request', { contact: 'nobody@example.org' })
  expect([known.status, known.body]).toEqual([unknown.status, unknown.body])
  const code = await codeTo('paul@example.org')
  const done = await app.json('/oauth/api/otp/verify', { contact: 'paul@example.org', code })
  expect([done.status, done.body]).toMatchObject([200, { role: 'patient', fhirUser: 'Patient/p2' }])
  expect((await app.get('/oauth/apps')).path).toBe('/oauth/apps')
})

test('somebody of one tenant is nobody in another, and sessions do not meet', async () => {
  const { people, elsewhere, browser } = given()
  await people.create({
    name: 'Bo',
    role: 'doctor',
    user: { type: 'Practitioner', id: 'bob' },
    userName: 'bob',
    password,
  })
  const page = browser()
  await page.get('/oauth/sign-in')
  await page.submit({ login: 'bob', password })
  expect(page.page.path).toBe('/oauth/apps')
  const other = new URL(elsewhere.issuer).pathname
  expect((await page.get(`${other}/apps`)).path).toBe(`${other}/sign-in`)
  expect((await page.submit({ login: 'bob', password })).status).toBe(401)
  page.cookies.set('session.other', page.cookies.get('session.default')!)
  expect((await page.get(`${other}/apps`)).path).toBe(`${other}/sign-in`)
})

test('a wrong password leaves its event, and the seventh in a row is told to wait', async () => {
  const { people, browser } = given()
  const user = { type: 'Practitioner', id: 'cyd' } as const
  await people.create({ name: 'Cy', role: 'doctor', user, userName: 'cyd', password })
  const statuses: number[] = []
  for (let tries = 0; tries < 7; tries++)
    statuses.push((await browser().json('/oauth/api/sign-in', { username: 'cyd', password: 'nine white cats' })).status)
  expect(statuses.slice(0, 5)).toEqual([401, 401, 401, 401, 401])
  expect(statuses).toContain(429)
  const refused = (await auditOf()).filter(({ why }) => why === 'wrong-password')
  expect(refused.length).toBeGreaterThanOrEqual(5)
})

test('nothing of this is in the log or the audit log: passwords, codes, cookies, tokens', async () => {
  const { mail, logged } = given()
  const codes = mail.flatMap(({ text }) => /\b\d{6}\b/.exec(text)?.[0] ?? [])
  const written = logged() + JSON.stringify(await auditOf())
  for (const secret of [password, 'nine white cats', 'rose@example.org', ...codes])
    expect(written).not.toContain(secret)
})
