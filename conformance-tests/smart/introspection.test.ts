/**
 * Token introspection.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/token-introspection.html
 */
import { beforeAll, expect, test } from '@jest/globals'
import { assertion, backendForm, basic, hospital, keyPair, post, tokenOf, world } from './world.js'

const given = world()
const scope = 'openid fhirUser launch/patient patient/*.rs offline_access'

let client = ''
let resourceServer: Record<string, string> = {}
let token: Record<string, unknown> = {}

beforeAll(async () => {
  await hospital(given())
  client = (await given().register({})).client.id
  const server = await given().register({ authentication: 'client_secret_basic' })
  resourceServer = basic(server.client.id, server.secret!)
  token = await tokenOf(given(), { client, scope, signIn: 'subject=ada' })
})

const introspect = (what: unknown, headers: Record<string, string> = resourceServer) =>
  post(`${given().issuer}/introspect`, { token: String(what) }, headers)

test('a client with a secret learns all that came with the token', async () => {
  const { status, headers, body } = await introspect(token['access_token'])
  expect(status).toBe(200)
  expect(headers.get('cache-control')).toBe('no-store')
  expect(body).toMatchObject({
    active: true,
    scope,
    client_id: client,
    patient: 'ada',
    iss: given().issuer,
    sub: 'ada',
    aud: given().base,
    fhirUser: `${given().base}/Patient/ada`,
    token_type: 'Bearer',
  })
  expect(body['exp']).toBeGreaterThan(Date.now() / 1000)
  expect(body['rights']).toBeUndefined()
})

test('whoever holds a system’s token may ask with it, about the token of any client', async () => {
  const key = keyPair('ES384')
  const { client: system } = await given().register({
    redirectUris: [],
    authentication: 'private_key_jwt',
    jwks: { keys: [key.jwk] as never },
    scope: 'system/*.rs',
  })
  const { body } = await post(`${given().issuer}/token`, backendForm(assertion(given(), system.id, key), 'system/*.rs'))
  const bearer = { authorization: `Bearer ${String(body['access_token'])}` }
  expect((await introspect(token['access_token'], bearer)).body).toMatchObject({ active: true, patient: 'ada' })
  // A system's own has neither a person nor a patient.
  const own = await introspect(body['access_token'], bearer)
  expect(own.body).toMatchObject({ active: true, client_id: system.id, scope: 'system/*.rs' })
  expect(own.body['patient']).toBeUndefined()
})

test('an app asks about its own with its own', async () => {
  const bearer = { authorization: `Bearer ${String(token['access_token'])}` }
  expect((await introspect(token['access_token'], bearer)).body['active']).toBe(true)
  const { client: other } = await given().register({})
  const theirs = await tokenOf(given(), { client: other.id, scope: 'patient/*.rs', signIn: 'subject=ada' })
  expect((await introspect(theirs['access_token'], bearer)).body).toEqual({ active: false })
})

test('a refresh token is looked at too', async () => {
  const { body } = await introspect(token['refresh_token'])
  expect(body).toMatchObject({ active: true, client_id: client })
})

test.each(['nonsense', 'a.b.c', '..', 'eyJhbGciOiJub25lIn0.e30.', 'record x'])(
  'of "%s" nothing is said but that it is not active',
  async (text) => {
    const { status, body } = await introspect(text)
    expect([status, body]).toEqual([200, { active: false }])
  },
)

test('what was revoked or has ended is not active', async () => {
  const expired = await given().mint({ user: 'Patient/ada', expiresIn: -10 })
  expect((await introspect(expired)).body).toEqual({ active: false })
  const gone = await tokenOf(given(), { client, scope: 'patient/*.rs', signIn: 'subject=ada' })
  await post(`${given().issuer}/revoke`, { token: String(gone['access_token']), client_id: client })
  expect((await introspect(gone['access_token'])).body).toEqual({ active: false })
})

test('strangers are told nothing', async () => {
  for (const headers of [{}, { authorization: 'Bearer nonsense' }, basic(client, 'x'), basic('nobody', 'x')]) {
    const { status, body } = await introspect(token['access_token'], headers as Record<string, string>)
    expect([400, 401]).toContain(status)
    expect(body['active']).toBeUndefined()
  }
  expect((await fetch(`${given().issuer}/introspect?token=${String(token['access_token'])}`)).status).toBe(404)
  expect((await post(`${given().issuer}/introspect`, {}, resourceServer)).status).toBe(400)
})
