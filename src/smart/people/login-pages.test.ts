import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { generate } from 'otplib'
import { startPeople, type TestBrowser, type TestPeople } from './testing.js'

const password = 'seven brown hens'
const minute = 60_000

let tested: TestPeople
beforeEach(async () => {
  tested = await startPeople()
  const user = { type: 'Practitioner', id: 'ann' }
  await tested.people.create({ name: 'Ann', role: 'doctor', user, userName: 'ann', password })
})
afterEach(async () => {
  await tested.close()
  expect(tested.reports).toEqual([])
})

async function signIn(browser: TestBrowser, path = '/auth/app') {
  await browser.get(path)
  return browser.submit({ login: 'ann', password })
}

const codeOf = (secret: string) => generate({ secret, epoch: Math.floor(tested.now.at / 1000) })

async function enrol(browser: TestBrowser): Promise<string> {
  const secret = /class="secret">([A-Z2-7 ]+)</.exec(browser.page.text)![1]!.replaceAll(' ', '')
  await browser.submit({ code: await codeOf(secret) })
  await browser.submit({ kept: '1' })
  tested.now.at += minute
  return secret
}

describe('an app asks for a sign-in', () => {
  test('in the language it asks for, with its name as text, and gets who signed in and how', async () => {
    const browser = tested.browser()
    const { text } = await browser.get('/auth/app')
    expect(text).toContain('<html lang="fr"')
    expect(text).toContain('Pour continuer vers My &lt;app&gt;')
    await browser.submit({ login: 'ann', password })
    expect(tested.app.ended).toEqual([
      { subject: expect.any(String), at: tested.now.at, methods: ['pwd'], session: expect.any(String) },
    ])
  })

  test('the person goes back without signing in', async () => {
    const browser = tested.browser()
    await browser.get('/auth/app')
    await browser.submit({ decision: 'deny' })
    await browser.get('/auth/app/contact')
    await browser.submit({ decision: 'deny' })
    expect(tested.app.ended).toEqual(['denied', 'denied'])
  })

  test('who is signed in already is not asked again', async () => {
    const browser = tested.browser()
    await signIn(browser, '/auth/sign-in')
    tested.now.at += minute
    await browser.get('/auth/app')
    expect(tested.app.ended).toMatchObject([{ at: tested.now.at - minute, methods: ['pwd'] }])
  })

  test('unless the sign-in is older than the app wants: then by name, and wholly', async () => {
    const browser = tested.browser()
    await signIn(browser, '/auth/sign-in')
    tested.app.signedInAfter = tested.now.at + 1
    tested.now.at += minute
    expect((await browser.get('/auth/app')).text).toContain('confirmer que c’est bien vous, Ann')
    await browser.submit({ login: 'ann', password })
    expect(tested.app.ended).toMatchObject([{ at: tested.now.at }])
  })
})

describe('an app asks for a second factor', () => {
  test('who has none sets it up, whatever the role', async () => {
    tested.app.mfa = true
    const browser = tested.browser()
    await signIn(browser)
    await enrol(browser)
    expect(tested.app.ended).toMatchObject([{ methods: ['pwd', 'otp', 'mfa'] }])
  })

  test('who signed in a moment ago is asked for it alone, and later for everything', async () => {
    tested.app.mfa = true
    const first = tested.browser()
    await signIn(first)
    const secret = await enrol(first)
    // A session from before the app asked: the password alone was shown, to somebody who had no second factor then.
    const [account] = await tested.people.accounts.list(1)
    const { totp, ...without } = (await tested.people.accounts.person(account!.person))!
    await tested.people.accounts.changePerson(account!.person, () => without)
    const browser = tested.browser()
    await signIn(browser, '/auth/sign-in')
    await tested.people.accounts.changePerson(account!.person, (was) => ({ ...was, totp: totp! }))
    tested.now.at += 10 * minute
    expect((await browser.get('/auth/app')).path).toBe('/auth/app/step')
    await browser.submit({ code: await codeOf(secret) })
    expect(tested.app.ended.at(-1)).toMatchObject({ at: tested.now.at, methods: ['pwd', 'otp', 'mfa'] })
    const stale = tested.browser()
    tested.app.mfa = false
    tested.now.at += minute
    await signIn(stale)
    await stale.submit({ code: await codeOf(secret) })
    tested.now.at += 14 * minute
    tested.app.mfa = true
    tested.app.signedInAfter = tested.now.at - minute
    expect((await stale.get('/auth/app')).text).toContain('id="password"')
  })

  test('the twelve hours of a session do not begin again with it', async () => {
    const browser = tested.browser()
    await signIn(browser)
    const began = tested.now.at
    tested.now.at += 5 * minute
    tested.app.mfa = true
    await browser.get('/auth/app')
    await enrol(browser)
    const { session } = (await tested.people.signedIn({
      headers: { cookie: `session.default=${browser.cookies.get('session.default')}` },
    } as never))!
    expect(session.since).toBe(began)
  })
})

test('a guardian signs in with a code, and the account names the patients', async () => {
  const user = { type: 'RelatedPerson', id: 'gus' }
  const { subject } = await tested.people.create({
    name: 'Gus',
    role: 'guardian',
    user,
    guardianOf: ['rose', 'paul'],
    contacts: ['+256700000002'],
    language: 'sw',
  })
  const browser = tested.browser()
  await browser.get('/auth/app/contact')
  await browser.submit({ contact: '+256 700 000 002' })
  await browser.submit({ code: tested.codeTo('+256700000002') })
  expect(tested.app.ended).toMatchObject([{ subject, methods: ['sms'] }])
  expect(await tested.people.bySubject(subject)).toMatchObject({ user, guardianOf: ['rose', 'paul'], revision: 1 })
  expect(tested.sent.at(-1)!.text).toMatch(/ni msimbo wako wa kuingia/)
})
