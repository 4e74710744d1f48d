/**
 * The command line against a running server: every token it makes opens what it says, and nothing else.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
 */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import jwt from 'jsonwebtoken'
import { startTestServer, type TestServer } from '../../src/testing.js'

let server: TestServer
let given: Record<string, string>
beforeAll(async () => {
  server = await startTestServer({ AUTH: 'on', RATE_LIMIT_ADDRESS: '0' })
  const lines = await server.carryOut('fixtures', {})
  given = Object.fromEntries(lines.map((line) => line.split(/=(.*)/s).slice(0, 2) as [string, string]))
})
afterAll(() => server.close())

const ask = (path: string, token?: string, init: RequestInit = {}) =>
  fetch(path.startsWith('http') ? path : `${server.baseUrl}${path}`, {
    ...init,
    headers: {
      'Content-Type': 'application/fhir+json',
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
    },
  })
const post = (url: string, body: string, type = 'application/json') =>
  fetch(url, { method: 'POST', headers: { 'Content-Type': type }, body })
const form = (url: string, fields: Record<string, string>) =>
  post(url, new URLSearchParams(fields).toString(), 'application/x-www-form-urlencoded')

const patient = () => `/Patient/${given['PATIENT_ID']}`
const observations = async (token: string, query = '') =>
  (await (await ask(`/Observation?patient=${given['PATIENT_ID']}${query}`, token)).json()) as { entry?: unknown[] }

describe('fixtures', () => {
  test('are printed with every name that tests ask for', () => {
    for (const name of (
      'TOKEN_A TOKEN_B TOKEN_PATIENT PATIENT_ID TOKEN_RO TOKEN_GRANULAR TOKEN_ADMIN TOKEN_EXPIRED TOKEN_REVOKED TOKEN_WRONG_AUD ' +
      'TOKEN_WRONG_ISS TOKEN_NBF_FUTURE ID_TOKEN REFRESH_TOKEN CLIENT_ID REDIRECT_URI BACKEND_CLIENT_ID BACKEND_JWK BACKEND_SCOPE ' +
      'LOGIN_URL LOGIN_USER LOGIN_BODY LOCK_USER OTP_REQUEST_URL OTP_VERIFY_URL OTP_USER OTP_BODY OTP_VERIFY_BODY TENANT_A'
    ).split(' '))
      expect([name, given[name]]).toEqual([name, expect.stringMatching(/./)])
    expect(given).toHaveProperty('LOG_FILE')
  })

  test('may be made again', async () => {
    expect((await server.carryOut('fixtures', {})).length).toBe(Object.keys(given).length)
  })

  test.each([['TOKEN_A'], ['TOKEN_PATIENT'], ['TOKEN_RO'], ['TOKEN_GRANULAR']])(
    '%s reads the patient',
    async (name) => {
      expect((await ask(patient(), given[name])).status).toBe(200)
    },
  )

  test('TOKEN_A writes, TOKEN_RO does not', async () => {
    const observation = JSON.stringify({
      resourceType: 'Observation',
      status: 'final',
      code: { text: 'x' },
      subject: { reference: patient().slice(1) },
    })
    const write = async (name: string) =>
      (await ask('/Observation', given[name], { method: 'POST', body: observation })).status
    expect([await write('TOKEN_A'), await write('TOKEN_RO')]).toEqual([201, 403])
  })

  test('TOKEN_GRANULAR finds what the laboratory found, and nothing else', async () => {
    expect((await observations(given['TOKEN_GRANULAR']!, '&category=laboratory')).entry).toHaveLength(1)
    expect((await observations(given['TOKEN_GRANULAR']!, '&category=vital-signs')).entry ?? []).toHaveLength(0)
    expect((await observations(given['TOKEN_A']!, '&category=vital-signs')).entry).toHaveLength(1)
  })

  test('TOKEN_B opens its own tenant and not the other one', async () => {
    const other = server.baseUrl.replace(/\/fhir$/, '/t/fixtures/fhir')
    expect((await ask(patient(), given['TOKEN_B'])).status).toBe(401)
    expect((await ask(`${other}/Patient`, given['TOKEN_B'])).status).toBe(200)
    expect((await ask(`${other}${patient()}`, given['TOKEN_B'])).status).toBe(404)
    expect((await ask(`${other}/Patient`, given['TOKEN_A'])).status).toBe(401)
  })

  test('TOKEN_ADMIN looks after places and sees no patient', async () => {
    expect((await ask('/Organization', given['TOKEN_ADMIN'])).status).toBe(200)
    expect((await ask(patient(), given['TOKEN_ADMIN'])).status).not.toBe(200)
  })

  test.each([
    ['TOKEN_EXPIRED'],
    ['TOKEN_REVOKED'],
    ['TOKEN_WRONG_AUD'],
    ['TOKEN_WRONG_ISS'],
    ['TOKEN_NBF_FUTURE'],
    ['ID_TOKEN'],
    ['REFRESH_TOKEN'],
  ])('%s opens nothing', async (name) => {
    const answer = await ask(patient(), given[name])
    expect(answer.status).toBe(401)
    expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer /)
  })

  test('REFRESH_TOKEN gives a token that reads the patient', async () => {
    const answer = await form(`${issuer()}/token`, {
      grant_type: 'refresh_token',
      refresh_token: given['REFRESH_TOKEN']!,
      client_id: given['CLIENT_ID']!,
    })
    const tokens = (await answer.json()) as { access_token: string; patient: string; refresh_token: string }
    expect([answer.status, tokens.patient]).toEqual([200, given['PATIENT_ID']])
    expect((await ask(patient(), tokens.access_token)).status).toBe(200)
  })

  test('BACKEND_JWK gets a token for BACKEND_SCOPE', async () => {
    const { createPrivateKey } = await import('node:crypto')
    const jwk = JSON.parse(given['BACKEND_JWK']!) as { kid: string }
    const client_assertion = jwt.sign({}, createPrivateKey({ key: jwk, format: 'jwk' }), {
      algorithm: 'ES384',
      keyid: jwk.kid,
      issuer: given['BACKEND_CLIENT_ID']!,
      subject: given['BACKEND_CLIENT_ID']!,
      audience: `${issuer()}/token`,
      expiresIn: 200,
      jwtid: randomUUID(),
    })
    const answer = await form(`${issuer()}/token`, {
      grant_type: 'client_credentials',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion,
      scope: given['BACKEND_SCOPE']!,
    })
    const { access_token: token } = (await answer.json()) as { access_token: string }
    expect([answer.status, (await ask(patient(), token)).status]).toEqual([200, 200])
  })

  test('LOGIN_BODY signs in, and what is wrong does not', async () => {
    const answer = await post(given['LOGIN_URL']!, given['LOGIN_BODY']!)
    expect([answer.status, ((await answer.json()) as { need: string }).need]).toEqual([200, 'nothing'])
    const wrong = JSON.stringify({ username: given['LOCK_USER'], password: 'not the password' })
    expect((await post(given['LOGIN_URL']!, wrong)).status).toBe(401)
  })

  test('OTP_BODY is answered alike for who is known and who is not', async () => {
    const known = await post(given['OTP_REQUEST_URL']!, given['OTP_BODY']!)
    const unknown = await post(given['OTP_REQUEST_URL']!, '{"contact":"nobody@fixtures.example"}')
    expect([known.status, await known.text()]).toEqual([unknown.status, await unknown.text()])
    expect((await post(given['OTP_VERIFY_URL']!, given['OTP_VERIFY_BODY']!)).status).toBe(401)
  })

  const issuer = () => given['LOGIN_URL']!.replace('/api/sign-in', '')
})

describe('hospitallink token', () => {
  const tokenOf = async (...callers: object[]) =>
    server.carryOut('token', { callers: callers.map((caller) => JSON.stringify(caller)) })

  test('prints the tokens in the order of the callers', async () => {
    const tokens = await tokenOf(
      { user: 'Practitioner/a' },
      { client: 'laboratory' },
      { user: 'Patient/p', expiresIn: 60 },
    )
    const claims = tokens.map((token) => jwt.decode(token) as Record<string, unknown>)
    expect(claims.map(({ sub }) => sub)).toEqual(['Practitioner/a', 'laboratory', 'Patient/p'])
    expect(claims[2]).toMatchObject({ patient: 'p', scope: 'patient/*.cruds' })
    expect(Number(claims[2]!['exp']) - Number(claims[2]!['iat'])).toBe(60)
  })

  test('knows the tenants', async () => {
    const [token] = await tokenOf({ user: 'Practitioner/a', tenant: 'fixtures' })
    expect((jwt.decode(token!) as { aud: string }).aud).toContain('/t/fixtures/fhir')
    await expect(tokenOf({ user: 'Practitioner/a', tenant: 'nowhere' })).rejects.toThrow('There is no tenant "nowhere"')
  })

  test.each([
    [['{'], 'A caller is a JSON object'],
    [['[]'], 'A caller is a JSON object'],
    [['{}'], 'name a user or a client'],
    [['{"user":7}'], '"user" must be a string'],
    [['{"organizations":"a"}'], '"organizations" must be a list of strings'],
    [['{"user":"Observation/a"}'], 'user must be a Practitioner'],
    [['{"user":"Practitioner/a","roles":[]}'], 'A caller has no "roles"'],
    [['{"user":"Practitioner/a","__proto__":{}}'], 'A caller has no "__proto__"'],
    [['{"user":"Practitioner/a"}', '{}'], 'Line 2: name a user'],
  ])('%j is refused in a sentence', async (callers, sentence) => {
    await expect(server.carryOut('token', { callers })).rejects.toThrow(sentence)
  })

  test('is refused in production', async () => {
    process.env['NODE_ENV'] = 'production'
    try {
      await expect(server.carryOut('fixtures', {})).rejects.toThrow('refused while NODE_ENV=production')
    } finally {
      process.env['NODE_ENV'] = 'test'
    }
  })
})
