/**
 * What holds with AUTH=on: limits, metrics, tenants, and what the log does not say of people who sign in.
 *
 * https://datatracker.ietf.org/doc/html/rfc6585#section-4
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { startTestServer, type TestServer } from '../../src/testing.js'

let folder: string
let server: TestServer
let log: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'signed-in-'))
  log = join(folder, 'server.log')
  server = await startTestServer({
    AUTH: 'on',
    LOG_FILE: log,
    LOG_LEVEL: 'debug',
    RATE_LIMIT: '5',
    RATE_LIMIT_PATIENT: '2',
    RATE_LIMIT_ADDRESS: '3',
    METRICS_TOKEN: 'sesame-sesame-sesame',
    TRUSTED_PROXIES: '127.0.0.1',
  })
  await server.site.addTenant({ name: 'north', title: 'The north' })
})
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

let addresses = 0
/** From an address nobody asked from before, unless it is named. */
const ask = (
  path: string,
  { token, from = `203.0.113.${++addresses}`, ...init }: RequestInit & { token?: string; from?: string } = {},
) =>
  fetch(server.origin + path, {
    ...init,
    headers: {
      'X-Forwarded-For': from,
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
      ...init.headers,
    },
  })
const tokenOf = async (caller: object) => (await server.carryOut('token', { callers: [JSON.stringify(caller)] }))[0]!

/** How many of fifty are answered before 429, and what that says. */
async function burst(one: () => Promise<Response>): Promise<{ count: number; refused: Response | undefined }> {
  for (let count = 0; count < 50; count++) {
    const answer = await one()
    if (answer.status === 429) return { count, refused: answer }
    await answer.arrayBuffer()
  }
  return { count: 50, refused: undefined }
}

describe('more requests than may be', () => {
  test.each([
    ['a clinician', { user: 'Practitioner/bob', organizations: ['a'] }, 10],
    ['a system', { client: 'laboratory', organizations: ['a'] }, 10],
    ['a patient', { user: 'Patient/p' }, 4],
  ])('of %s are 429 with Retry-After, wherever they come from', async (_, caller, expected) => {
    const token = await tokenOf(caller)
    const { count, refused } = await burst(() => ask('/fhir/Organization', { token }))
    expect(count).toBeGreaterThanOrEqual(expected)
    expect(count).toBeLessThan(expected + 10)
    expect(refused?.headers.get('retry-after')).toMatch(/^[1-9]\d*$/)
    expect(await refused!.json()).toMatchObject({ resourceType: 'OperationOutcome', issue: [{ code: 'throttled' }] })
    expect((await ask('/fhir/Organization', { token: await tokenOf({ user: 'Practitioner/other' }) })).status).toBe(200)
  })

  test.each([
    ['with tokens that are none', '/fhir/Patient', { token: 'guess' }],
    ['without a token', '/fhir/Patient', {}],
    ['for the CapabilityStatement', '/fhir/metadata', {}],
    ['of the authorization server', '/oauth/jwks', {}],
  ])('of one address %s are 429', async (_, path, init) => {
    const from = `198.51.100.${++addresses}`
    const { count } = await burst(() => ask(path, { ...init, from }))
    expect(count).toBeGreaterThanOrEqual(6)
    expect(count).toBeLessThan(30)
    expect((await ask(path, init)).status).not.toBe(429)
  })

  test('a forged X-Forwarded-For makes no other address of it', async () => {
    const { count } = await burst(() => ask('/fhir/Patient', { from: `10.0.0.${++addresses}, 198.51.100.77` }))
    expect(count).toBeLessThan(30)
  })
})

describe('/metrics', () => {
  test('is there for who has the token', async () => {
    const answer = await ask('/metrics', { token: 'sesame-sesame-sesame' })
    expect([answer.status, await answer.text()]).toEqual([200, expect.stringContaining('hospitallink_request_seconds')])
  })

  test.each([[undefined], ['sesame'], ['']])('is a page that is not there with %s', async (token) => {
    const answer = await ask('/metrics', token === undefined ? {} : { token })
    const elsewhere = await ask('/elsewhere')
    expect([answer.status, await answer.text()]).toEqual([404, await elsewhere.text()])
  })
})

describe('tenants', () => {
  test.each([
    ['/t/nowhere/fhir/Patient'],
    ['/t/nowhere/oauth/jwks'],
    ['/t/nowhere/fhir/.well-known/smart-configuration'],
    ['/t/default/oauth/jwks'],
  ])('%s is a page there is not', async (path) => {
    const [answer, elsewhere] = [await ask(path), await ask('/elsewhere')]
    const told = ({ status, headers }: Response) => ({ status, ...Object.fromEntries(headers), date: '' })
    expect(told(answer)).toEqual(told(elsewhere))
    expect(await answer.text()).toBe(await elsewhere.text())
  })

  test('each has its own issuer and keys, and refuses the tokens of the other', async () => {
    const home = (await (await ask('/fhir/.well-known/smart-configuration')).json()) as Record<string, string>
    const north = (await (await ask('/t/north/fhir/.well-known/smart-configuration')).json()) as Record<string, string>
    expect(north['issuer']).toBe(home['issuer']!.replace('/oauth', '/t/north/oauth'))
    const keys = async (path: string) => JSON.stringify(await (await ask(path)).json())
    expect(await keys('/oauth/jwks')).not.toBe(await keys('/t/north/oauth/jwks'))
    const token = await tokenOf({ user: 'Practitioner/north', tenant: 'north' })
    const statuses = [await ask('/t/north/fhir/Organization', { token }), await ask('/fhir/Organization', { token })]
    expect(statuses.map(({ status }) => status)).toEqual([200, 401])
  })
})

test('nothing of who signs in is in the log', async () => {
  const marker = 'Zawadi-4471'
  const token = await tokenOf({ user: 'Practitioner/bob', name: marker })
  const json = { method: 'POST', headers: { 'Content-Type': 'application/json' } }
  const form = { method: 'POST', headers: { 'Content-Type': 'application/x-www-form-urlencoded' } }
  const statuses: number[] = []
  for (const [path, init] of [
    ['/fhir/Patient', { token }],
    ['/fhir/Patient', { token: `${token}x` }],
    ['/fhir/Patient', { token: marker }],
    [`/fhir/Patient?access_token=${token}`, {}],
    ['/oauth/api/sign-in', { ...json, body: JSON.stringify({ username: marker, password: marker }) }],
    ['/oauth/api/sign-in', { ...json, body: `{"username":"${marker}` }],
    ['/oauth/api/otp/request', { ...json, body: JSON.stringify({ contact: `${marker}@example.org` }) }],
    ['/oauth/api/otp/verify', { ...json, body: JSON.stringify({ contact: `${marker}@example.org`, code: marker }) }],
    [
      '/oauth/token',
      { ...form, body: `grant_type=authorization_code&code=${marker}&client_id=${marker}&code_verifier=${marker}` },
    ],
    [
      '/oauth/token',
      { ...form, body: `grant_type=client_credentials&client_assertion=${token}&client_assertion_type=${marker}` },
    ],
    ['/oauth/introspect', { ...form, body: `token=${token}`, token }],
    ['/oauth/revoke', { ...form, body: `token=${marker}&client_id=${marker}` }],
    ['/oauth/register', { ...json, body: JSON.stringify({ client_name: marker, redirect_uris: [marker] }) }],
    [`/oauth/authorize?client_id=${marker}&state=${marker}`, {}],
    [`/oauth/invitation?token=${marker}`, {}],
    [`/oauth/interaction/${marker}`, {}],
    [`/oauth/${marker}`, {}],
    [`/t/${marker}/fhir/Patient`, {}],
  ] as [string, Parameters<typeof ask>[1]][]) {
    const answer = await ask(path, {
      ...init,
      redirect: 'manual',
      headers: { ...init?.headers, Cookie: `_session=${marker}` },
    })
    await answer.arrayBuffer()
    statuses.push(answer.status)
  }
  expect(statuses.filter((status) => status >= 500)).toEqual([])
  const lines = readFileSync(log, 'utf8')
  for (const secret of [marker, marker.toLowerCase(), token, token.split('.')[2]!]) expect(lines).not.toContain(secret)
  const metrics = await (await ask('/metrics', { token: 'sesame-sesame-sesame' })).text()
  expect(metrics).not.toContain(marker)
})
