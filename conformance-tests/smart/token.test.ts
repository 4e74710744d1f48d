/**
 * The token endpoint: codes, refresh tokens, revocation, and what it refuses.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#obtain-access-token
 * https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#refresh-access-token
 */
import { beforeAll, describe, expect, test } from '@jest/globals'
import { authorize, exchange, fhir, headerOf, hospital, payloadOf, pkce, post, tokenOf, world } from './world.js'

const given = world()
const scope = 'openid fhirUser launch/patient patient/*.rs offline_access'

let client = ''
beforeAll(async () => {
  await hospital(given())
  client = (await given().register({ name: 'An app' })).client.id
})

const authorized = (wish = scope) => authorize(given(), { client, scope: wish, signIn: 'subject=ada' })
const refresh = (token: unknown, more: Record<string, string> = {}) =>
  post(`${given().issuer}/token`, {
    grant_type: 'refresh_token',
    refresh_token: String(token),
    client_id: client,
    ...more,
  })

describe('a code', () => {
  test('becomes a token that nobody may keep, in SMART’s words', async () => {
    const { status, headers, body } = await exchange(given(), await authorized(), { client_id: client })
    expect(status).toBe(200)
    expect(headers.get('content-type')).toMatch(/^application\/json/)
    expect(headers.get('cache-control')).toBe('no-store')
    expect(headers.get('pragma')).toBe('no-cache')
    expect(body).toMatchObject({ token_type: 'Bearer', scope, patient: 'ada' })
    expect(body['expires_in']).toBeLessThanOrEqual(3600)
    expect(headerOf(body['access_token'])).toMatchObject({ alg: 'RS256', typ: 'at+jwt' })
    expect(payloadOf(body['access_token'])).toMatchObject({
      iss: given().issuer,
      sub: 'ada',
      aud: given().base,
      client_id: client,
      scope,
      patient: 'ada',
      fhirUser: `${given().base}/Patient/ada`,
      extensions: { ihe_iua: { subject_role: [{ code: 'patient' }], purpose_of_use: [{ code: 'PATRQT' }] } },
    })
  })

  test('is good once; used again it ends what it gave', async () => {
    const once = await authorized()
    const { body } = await exchange(given(), once, { client_id: client })
    expect((await fhir(given(), 'Patient/ada', body['access_token'])).status).toBe(200)
    const again = await exchange(given(), once, { client_id: client })
    expect([again.status, again.body['error']]).toEqual([400, 'invalid_grant'])
    expect((await refresh(body['refresh_token'])).body['error']).toBe('invalid_grant')
    given().authorization.verifier.forget()
    await new Promise((resolve) => setTimeout(resolve, 1100))
    expect((await fhir(given(), 'Patient/ada', body['access_token'])).status).toBe(401)
  })

  test('of many who bring it at the same time one gets a token', async () => {
    const once = await authorized()
    const answers = await Promise.all(Array.from({ length: 8 }, () => exchange(given(), once, { client_id: client })))
    expect(answers.filter(({ status }) => status === 200).length).toBeLessThanOrEqual(1)
    expect(answers.every(({ status }) => status === 200 || status === 400)).toBe(true)
  })

  test.each([
    ['without its verifier', { code_verifier: undefined }],
    ['with an empty verifier', { code_verifier: '' }],
    ['with another verifier', { code_verifier: pkce().verifier }],
    ['with another redirect URI', { redirect_uri: 'https://app.example/other' }],
    ['without its redirect URI', { redirect_uri: undefined }],
    ['that is made up', { code: 'made-up' }],
    ['that is missing', { code: undefined }],
    ['of no client', { client_id: undefined }],
  ])('%s is refused', async (_what, form: Record<string, string | undefined>) => {
    const { status, body } = await exchange(given(), await authorized(), { client_id: client, ...form })
    expect([400, 401]).toContain(status)
    expect(body['error']).toMatch(/^invalid_(grant|request|client)$/)
    expect(body['access_token']).toBeUndefined()
  })

  test('with the challenge in place of the verifier is refused', async () => {
    const once = await authorized()
    const { createHash } = await import('node:crypto')
    const challenge = createHash('sha256').update(once.verifier).digest('base64url')
    expect((await exchange(given(), once, { client_id: client, code_verifier: challenge })).status).toBe(400)
  })

  test('of another app is refused', async () => {
    const { client: other } = await given().register({})
    const { body } = await exchange(given(), await authorized(), { client_id: other.id })
    expect(body['error']).toBe('invalid_grant')
  })
})

describe('a refresh token', () => {
  test('gives a new token and a new one of itself, with the context', async () => {
    const first = await tokenOf(given(), { client, scope, signIn: 'subject=ada' })
    const { status, headers, body } = await refresh(first['refresh_token'])
    expect(status).toBe(200)
    expect(headers.get('cache-control')).toBe('no-store')
    expect(headers.get('pragma')).toBe('no-cache')
    expect(body).toMatchObject({ token_type: 'Bearer', scope, patient: 'ada', expires_in: 900 })
    expect(body['refresh_token']).not.toBe(first['refresh_token'])
    expect((await fhir(given(), 'Patient/ada', body['access_token'])).status).toBe(200)
  })

  test('used twice ends the whole family', async () => {
    const first = await tokenOf(given(), { client, scope, signIn: 'subject=ada' })
    const second = await refresh(first['refresh_token'])
    const stolen = await refresh(first['refresh_token'])
    expect([stolen.status, stolen.body['error']]).toEqual([400, 'invalid_grant'])
    expect((await refresh(second.body['refresh_token'])).body['error']).toBe('invalid_grant')
    await new Promise((resolve) => setTimeout(resolve, 1100))
    expect((await fhir(given(), 'Patient/ada', second.body['access_token'])).status).toBe(401)
  })

  test('of many who bring it at the same time one goes on', async () => {
    const first = await tokenOf(given(), { client, scope, signIn: 'subject=ada' })
    const answers = await Promise.all(Array.from({ length: 6 }, () => refresh(first['refresh_token'])))
    expect(answers.filter(({ status }) => status === 200).length).toBeLessThanOrEqual(1)
    expect(answers.every(({ status }) => status === 200 || status === 400)).toBe(true)
  })

  test('may be narrowed, and not widened', async () => {
    const first = await tokenOf(given(), { client, scope, signIn: 'subject=ada' })
    const narrow = await refresh(first['refresh_token'], { scope: 'launch/patient patient/*.rs' })
    expect(narrow.body['scope']).toBe('launch/patient patient/*.rs')
    const wide = await refresh(narrow.body['refresh_token'], { scope: 'patient/*.cruds' })
    expect([wide.status, wide.body['error']]).toEqual([400, 'invalid_scope'])
  })

  test('belongs to its client', async () => {
    const first = await tokenOf(given(), { client, scope, signIn: 'subject=ada' })
    const { client: other } = await given().register({})
    const { body } = await refresh(first['refresh_token'], { client_id: other.id })
    expect(body['error']).toBe('invalid_grant')
  })

  test('is not given without being asked for, nor to an app that may not have one', async () => {
    const plain = await tokenOf(given(), { client, scope: 'patient/*.rs', signIn: 'subject=ada' })
    expect(plain['refresh_token']).toBeUndefined()
    const { client: short } = await given().register({ grantTypes: ['authorization_code'] })
    const body = await tokenOf(given(), {
      client: short.id,
      scope: 'patient/*.rs offline_access',
      signIn: 'subject=ada',
    })
    expect([body['refresh_token'], body['scope']]).toEqual([undefined, 'patient/*.rs'])
  })

  test('of online_access is good while the person is signed in', async () => {
    const body = await tokenOf(given(), { client, scope: 'patient/*.rs online_access', signIn: 'subject=ada' })
    const second = await refresh(body['refresh_token'])
    expect(second.status).toBe(200)
    given().alive.delete('session-ada')
    expect((await refresh(second.body['refresh_token'])).body['error']).toBe('invalid_grant')
  })

  test('of a disabled account is no more', async () => {
    const { accounts } = given()
    accounts.set('dis', { ...accounts.get('ada')!, subject: 'dis' })
    const body = await tokenOf(given(), { client, scope, signIn: 'subject=dis' })
    accounts.set('dis', { ...accounts.get('dis')!, disabled: true })
    expect((await refresh(body['refresh_token'])).body['error']).toBe('invalid_grant')
    await new Promise((resolve) => setTimeout(resolve, 1100))
    expect((await fhir(given(), 'Patient/ada', body['access_token'])).status).toBe(401)
  })
})

describe('revocation', () => {
  const revoke = (token: unknown, id = client) =>
    post(`${given().issuer}/revoke`, { token: String(token), client_id: id })

  test('an access token that was revoked opens nothing', async () => {
    const body = await tokenOf(given(), { client, scope, signIn: 'subject=ada' })
    expect((await fhir(given(), 'Patient/ada', body['access_token'])).status).toBe(200)
    expect((await revoke(body['access_token'])).status).toBe(200)
    await new Promise((resolve) => setTimeout(resolve, 1100))
    expect((await fhir(given(), 'Patient/ada', body['access_token'])).status).toBe(401)
    // The authorization ends with it, as RFC 7009 (2.1) allows.
    expect((await refresh(body['refresh_token'])).body['error']).toBe('invalid_grant')
  })

  test('a refresh token takes everything with it', async () => {
    const body = await tokenOf(given(), { client, scope, signIn: 'subject=ada' })
    expect((await revoke(body['refresh_token'])).status).toBe(200)
    expect((await refresh(body['refresh_token'])).body['error']).toBe('invalid_grant')
    await new Promise((resolve) => setTimeout(resolve, 1100))
    expect((await fhir(given(), 'Patient/ada', body['access_token'])).status).toBe(401)
  })

  test('what is no token is revoked already', async () => {
    for (const token of ['made-up', 'a.b.c', '', 'record x', 'eyJhbGciOiJub25lIn0.e30.'])
      expect((await revoke(token)).status).toBeLessThan(401)
  })

  test('of another app it is left alone', async () => {
    const body = await tokenOf(given(), { client, scope, signIn: 'subject=ada' })
    const { client: other } = await given().register({})
    await revoke(body['access_token'], other.id)
    await new Promise((resolve) => setTimeout(resolve, 1100))
    expect((await fhir(given(), 'Patient/ada', body['access_token'])).status).toBe(200)
  })

  test('a person takes an app back, and all it had ends', async () => {
    const body = await tokenOf(given(), { client, scope, signIn: 'subject=ada' })
    const { grants } = given().authorization
    expect((await grants.list('ada', client)).length).toBeGreaterThan(0)
    await grants.revokeAll('ada', client)
    expect(await grants.list('ada', client)).toEqual([])
    await new Promise((resolve) => setTimeout(resolve, 1100))
    expect((await fhir(given(), 'Patient/ada', body['access_token'])).status).toBe(401)
    expect((await refresh(body['refresh_token'])).body['error']).toBe('invalid_grant')
  })
})

describe('the endpoint answers whatever comes', () => {
  test.each([
    ['', 'nothing'],
    ['grant_type=password&username=a&password=b', 'a password'],
    ['grant_type=implicit', 'the implicit grant'],
    ['grant_type=authorization_code&grant_type=refresh_token', 'two grants'],
    ['grant_type[]=authorization_code', 'a list'],
    ['grant_type=%00', 'a zero'],
    ['{"grant_type":"authorization_code"}', 'JSON'],
    ['grant_type=urn:ietf:params:oauth:grant-type:device_code', 'a device'],
    ['__proto__=1&constructor=2', 'names of objects'],
  ])('%s (%s)', async (form) => {
    const { status, headers, body } = await post(`${given().issuer}/token`, form)
    expect([400, 401]).toContain(status)
    expect(typeof body['error']).toBe('string')
    expect(headers.get('cache-control')).toBe('no-store')
  })

  test('GET gets nothing, and other types are refused', async () => {
    expect((await fetch(`${given().issuer}/token?grant_type=client_credentials`)).status).toBe(404)
    const { status } = await post(`${given().issuer}/token`, '{}', { 'content-type': 'application/json' })
    expect(status).toBe(400)
    const long = await post(`${given().issuer}/token`, `a=${'x'.repeat(100_000)}`)
    expect(long.status).toBe(413)
  })

  test('web pages of the app may call it, those of others may not', async () => {
    const once = await authorized()
    const other = await exchange(given(), once, { client_id: client }, { origin: 'https://evil.example' })
    expect(other.status).toBe(400)
    expect(other.headers.get('access-control-allow-origin')).toBeNull()
    const own = await exchange(given(), once, { client_id: client }, { origin: 'https://app.example' })
    expect(own.status).toBe(200)
    expect(own.headers.get('access-control-allow-origin')).toBe('https://app.example')
    const preflight = await fetch(`${given().issuer}/token`, {
      method: 'OPTIONS',
      headers: { origin: 'https://app.example', 'access-control-request-method': 'POST' },
    })
    expect(preflight.status).toBe(204)
    const read = await fhir(given(), 'Patient/ada', own.body['access_token'], {
      headers: { origin: 'https://app.example' },
    })
    expect(read.headers.get('access-control-allow-origin')).toBe('https://app.example')
    const foreign = await fhir(given(), 'Patient/ada', own.body['access_token'], {
      headers: { origin: 'https://evil.example' },
    })
    expect(foreign.headers.get('access-control-allow-origin')).toBeNull()
  })
})
