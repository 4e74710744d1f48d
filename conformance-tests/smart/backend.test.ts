/**
 * Backend Services and asymmetric client authentication: a client written from the pages alone.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html
 * https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html
 */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import {
  assertion,
  assertionType,
  authorize,
  backendForm,
  basic,
  exchange,
  fhir,
  hospital,
  keyPair,
  payloadOf,
  post,
  world,
} from './world.js'

const given = world({ OUTBOUND_ALLOW: 'http://localhost,localhost,127.0.0.1' })
const es = keyPair('ES384')
const rs = keyPair('RS384')
const scope = 'system/Patient.rs system/Observation.rs?category=laboratory'

let client = ''
const token = (form: Record<string, string> | URLSearchParams, headers?: Record<string, string>) =>
  post(`${given().issuer}/token`, form, headers)
const ask = (more: Parameters<typeof assertion>[3] = {}, wish = scope, key = es) =>
  token(backendForm(assertion(given(), client, key, more), wish))

beforeAll(async () => {
  await hospital(given())
  const registered = await given().register({
    name: 'Nightly export',
    redirectUris: [],
    authentication: 'private_key_jwt',
    jwks: { keys: [es.jwk, rs.jwk] as never },
    scope,
    organizations: ['general'],
  })
  client = registered.client.id
})

describe('a token for a system', () => {
  test('lives five minutes, is for what was asked, and has no refresh token', async () => {
    const { status, headers, body } = await ask()
    expect(status).toBe(200)
    expect(headers.get('cache-control')).toBe('no-store')
    expect(headers.get('pragma')).toBe('no-cache')
    expect(body).toEqual({ access_token: expect.any(String), token_type: 'Bearer', expires_in: 300, scope })
    expect(payloadOf(body['access_token'])).toMatchObject({ client_id: client, sub: client, aud: given().base })
    const found = await fhir(given(), 'Patient?_count=10', body['access_token'])
    expect(found.status).toBe(200)
    expect((await fhir(given(), 'Condition', body['access_token'])).status).toBe(403)
    const write = await fhir(given(), 'Patient', body['access_token'], {
      method: 'POST',
      body: JSON.stringify({ resourceType: 'Patient' }),
    })
    expect(write.status).toBe(403)
    const observations = (await fhir(given(), 'Observation', body['access_token'])).json() as unknown as {
      entry?: { resource: { id: string } }[]
    }
    expect((observations.entry ?? []).every(({ resource }) => resource.id.startsWith('laboratory'))).toBe(true)
  })

  test.each([['ES384', es] as const, ['RS384', rs] as const])('is signed for with %s', async (_alg, key) => {
    expect((await ask({}, scope, key)).status).toBe(200)
  })

  test('is never wider than what was pre-authorised', async () => {
    expect((await ask({}, 'system/*.rs')).body['scope']).toBe(
      'system/Patient.rs system/Observation.rs?category=laboratory',
    )
    expect((await ask({}, 'system/Patient.cruds')).body['scope']).toBe('system/Patient.rs')
    expect((await ask({}, 'system/Patient.read')).body['scope']).toBe('system/Patient.read')
    for (const wish of ['system/Condition.rs', 'system/Patient.cud', 'patient/*.rs', 'user/Patient.rs', 'openid', '']) {
      const { status, body } = await ask({}, wish)
      expect([status, body['error']]).toEqual([400, 'invalid_scope'])
    }
  })
})

describe('an assertion', () => {
  const now = () => Math.floor(Date.now() / 1000)
  test.each([
    ['of another issuer', { claims: { iss: 'somebody' } }],
    ['for another subject', { claims: { sub: 'somebody' } }],
    ['of no issuer', { claims: { iss: undefined } }],
    ['of no subject', { claims: { sub: undefined } }],
    ['for another audience', { claims: { aud: 'https://elsewhere.example/token' } }],
    ['for no audience', { claims: { aud: undefined } }],
    ['for the issuer in place of the token endpoint', { claims: { aud: 'ISSUER' } }],
    ['that has ended', { claims: { exp: now() - 60 } }],
    ['without an end', { claims: { exp: undefined } }],
    ['that lives too long', { claims: { exp: now() + 3600 } }],
    ['whose end is text', { claims: { exp: 'tomorrow' } }],
    ['without jti', { claims: { jti: undefined } }],
    ['whose jti is an object', { claims: { jti: { a: 1 } } }],
    ['without kid', { header: { kid: undefined } }],
    ['with another kid', { header: { kid: 'other' } }],
    ['with a key URL that is not registered', { header: { jku: 'https://elsewhere.example/jwks' } }],
    ['that is not valid yet', { claims: { nbf: now() + 600 } }],
  ])('%s is refused as invalid_client', async (_what, more: Parameters<typeof assertion>[3]) => {
    const given_ = JSON.parse(JSON.stringify(more).replace('"ISSUER"', JSON.stringify(given().issuer))) as typeof more
    // What JSON leaves out is left out on purpose.
    const claims = { ...more!.claims, ...given_!.claims }
    const { status, body } = await ask({ ...more, claims })
    expect([400, 401]).toContain(status)
    expect(body['error']).toMatch(/^invalid_(client|request)$/)
    expect(body['access_token']).toBeUndefined()
  })

  test('exactly five minutes ahead is good', async () => {
    expect((await ask({ claims: { exp: now() + 300 } })).status).toBe(200)
  })

  test('is good once, also when it comes many times at once', async () => {
    const once = assertion(given(), client, es)
    const answers = await Promise.all(Array.from({ length: 6 }, () => token(backendForm(once, scope))))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    for (const { status, body } of answers) if (status !== 200) expect(body['error']).toBe('invalid_client')
  })

  test('by a key of somebody else is refused', async () => {
    const stranger = { ...keyPair('ES384'), kid: es.kid }
    const { status, body } = await ask({}, scope, stranger)
    expect([status, body['error']]).toEqual([401, 'invalid_client'])
  })

  test.each(['', 'x', 'a.b.c', '..', 'eyJhbGciOiJub25lIn0.e30.', '{}', '[]'])(
    'that is "%s" is refused',
    async (text) => {
      const { status } = await token(backendForm(text, scope))
      expect([400, 401]).toContain(status)
    },
  )

  test('of another type, or for another grant, is refused', async () => {
    const good = assertion(given(), client, es)
    const other = await token({ ...backendForm(good, scope), client_assertion_type: 'urn:other' })
    expect([400, 401]).toContain(other.status)
    const grant = await token({
      ...backendForm(assertion(given(), client, es), scope),
      grant_type: 'authorization_code',
    })
    expect(grant.status).toBe(400)
    const none = await token({ grant_type: 'client_credentials', scope, client_id: client })
    expect([400, 401]).toContain(none.status)
    expect(assertionType).toContain('jwt-bearer')
  })
})

describe('keys at a URL', () => {
  const key = keyPair('RS384')
  let keys: unknown = { keys: [key.jwk] }
  let asked = 0
  let host: Server
  let url = ''
  beforeAll(async () => {
    host = createServer((_request, response) => {
      asked++
      response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'max-age=60' })
      response.end(JSON.stringify(keys))
    })
    await new Promise<void>((resolve) => host.listen(0, '127.0.0.1', resolve))
    url = `http://localhost:${(host.address() as AddressInfo).port}/jwks`
  })
  afterAll(() => new Promise((resolve) => host.close(resolve)))

  test('are fetched, kept as long as they may, and nothing else is believed', async () => {
    const { client: registered } = await given().register({
      redirectUris: [],
      authentication: 'private_key_jwt',
      jwksUri: url,
      scope: 'system/*.rs',
    })
    const by = (which = key, more: Parameters<typeof assertion>[3] = {}) =>
      token(backendForm(assertion(given(), registered.id, which, more), 'system/*.rs'))
    const first = await by()
    expect([first.status, first.body['error_description'] ?? '']).toEqual([200, ''])
    expect((await by(key, { header: { jku: url } })).status).toBe(200)
    expect(asked).toBe(1)
    expect((await by({ ...keyPair('RS384'), kid: key.kid })).status).toBe(401)
    keys = 'nonsense'
    expect((await by()).status).toBe(200)
  })

  test('that are not there refuse the client', async () => {
    const { client: registered } = await given().register({
      redirectUris: [],
      authentication: 'private_key_jwt',
      jwksUri: 'http://localhost:1/jwks',
      scope: 'system/*.rs',
    })
    const { status } = await token(backendForm(assertion(given(), registered.id, key), 'system/*.rs'))
    expect([400, 401]).toContain(status)
  })
})

describe('an app with a secret', () => {
  test('shows it in the header, and nobody else’s will do', async () => {
    const { client: app, secret } = await given().register({ authentication: 'client_secret_basic' })
    const wish = { client: app.id, scope: 'patient/*.rs offline_access', signIn: 'subject=ada' }
    const wrong = await exchange(given(), await authorize(given(), wish), {}, basic(app.id, 'wrong'))
    expect([wrong.status, wrong.body['error']]).toEqual([401, 'invalid_client'])
    expect(wrong.headers.get('www-authenticate')).toMatch(/^Basic /)
    const none = await exchange(given(), await authorize(given(), wish), { client_id: app.id })
    expect([none.status, none.body['error']]).toEqual([401, 'invalid_client'])
    const right = await exchange(given(), await authorize(given(), wish), {}, basic(app.id, secret!))
    expect(right.status).toBe(200)
    const refreshed = await token(
      { grant_type: 'refresh_token', refresh_token: String(right.body['refresh_token']) },
      basic(app.id, secret!),
    )
    expect(refreshed.status).toBe(200)
  })

  test.each(['Basic', 'Basic !', 'Basic YTpi', 'Basic OmI=', 'Bearer x', 'Basic Og=='])(
    'the header "%s" is refused',
    async (authorization) => {
      const { status } = await token({ grant_type: 'authorization_code', code: 'x' }, { authorization })
      expect([400, 401]).toContain(status)
    },
  )
})

test('an app with a key signs for its code', async () => {
  const { client: app } = await given().register({
    authentication: 'private_key_jwt',
    jwks: { keys: [es.jwk] as never },
    redirectUris: ['https://app.example/back'],
  })
  const authorized = await authorize(given(), { client: app.id, scope: 'patient/*.rs', signIn: 'subject=ada' })
  const { status, body } = await exchange(given(), authorized, {
    client_assertion_type: assertionType,
    client_assertion: assertion(given(), app.id, es),
  })
  expect([status, body['patient']]).toEqual([200, 'ada'])
})
