/**
 * How apps introduce themselves, and the hospital to them.
 *
 * https://datatracker.ietf.org/doc/html/rfc7591, https://hl7.org/fhir/smart-app-launch/STU2.2/brands.html
 */
import { beforeAll, describe, expect, test } from '@jest/globals'
import { authorize, exchange, hospital, keyPair, tokenOf, world } from './world.js'

const given = world()
beforeAll(() => hospital(given()))

const register = async (body: unknown) => {
  const response = await fetch(`${given().issuer}/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Record<string, unknown>,
  }
}

const app = {
  client_name: 'Growth chart',
  redirect_uris: ['https://app.example/back'],
  token_endpoint_auth_method: 'none',
  scope: 'launch/patient patient/*.rs offline_access',
}

test('an app that registers itself waits until it is approved', async () => {
  const { status, headers, body } = await register(app)
  expect(status).toBe(201)
  expect(headers.get('cache-control')).toBe('no-store')
  expect(body).toMatchObject({ client_name: 'Growth chart', scope: app.scope, hospitallink_status: 'pending' })
  const client = String(body['client_id'])
  const early = await authorize(given(), { client, scope: 'patient/*.rs', signIn: 'subject=ada' })
  expect(early.redirect).toBe('')
  await given().authorization.clients.change(client, (was) => ({ ...was, status: 'active' }))
  const token = await tokenOf(given(), { client, scope: 'launch/patient patient/*.rs', signIn: 'subject=ada' })
  expect(token['patient']).toBe('ada')
})

test('a confidential app gets a secret, which is kept as a hash', async () => {
  const { body } = await register({ ...app, token_endpoint_auth_method: 'client_secret_basic' })
  expect(String(body['client_secret']).length).toBeGreaterThan(40)
  expect(body['client_secret_expires_at']).toBe(0)
  const client = await given().authorization.clients.find(String(body['client_id']))
  expect(JSON.stringify(client)).not.toContain(String(body['client_secret']))
})

test('keys are registered as a set or by their URL', async () => {
  const keyed = { client_name: 'Export', token_endpoint_auth_method: 'private_key_jwt', scope: 'system/*.rs' }
  const inline = await register({ ...keyed, jwks: { keys: [keyPair('ES384').jwk] } })
  expect([inline.status, inline.body['grant_types']]).toEqual([201, ['client_credentials']])
  const url = await register({ ...keyed, jwks_uri: 'https://export.example/jwks' })
  expect(url.status).toBe(201)
})

describe('is refused', () => {
  const key = keyPair('ES384')
  const secret = key.private.export({ format: 'jwk' })
  test.each<[string, unknown, string]>([
    ['no object', '[]', 'invalid_client_metadata'],
    ['no JSON', '{', 'invalid_client_metadata'],
    ['null', 'null', 'invalid_client_metadata'],
    ['no name', { ...app, client_name: undefined }, 'invalid_client_metadata'],
    ['a name that is a number', { ...app, client_name: 7 }, 'invalid_client_metadata'],
    ['no redirect URI', { ...app, redirect_uris: [] }, 'invalid_client_metadata'],
    ['a redirect URI that is none', { ...app, redirect_uris: ['nowhere'] }, 'invalid_redirect_uri'],
    ['one with a fragment', { ...app, redirect_uris: ['https://app.example/#a'] }, 'invalid_redirect_uri'],
    ['one in the clear', { ...app, redirect_uris: ['http://app.example/'] }, 'invalid_redirect_uri'],
    ['one that is a script', { ...app, redirect_uris: ['javascript:alert(1)'] }, 'invalid_redirect_uri'],
    ['one with a star', { ...app, redirect_uris: ['https://*.example/'] }, 'invalid_redirect_uri'],
    ['a list that is none', { ...app, redirect_uris: 'https://app.example' }, 'invalid_client_metadata'],
    ['the implicit flow', { ...app, response_types: ['token'] }, 'invalid_client_metadata'],
    ['a grant nobody gives', { ...app, grant_types: ['password'] }, 'invalid_client_metadata'],
    ['another way to prove it', { ...app, token_endpoint_auth_method: 'tls' }, 'invalid_client_metadata'],
    [
      'keys and their URL',
      {
        ...app,
        token_endpoint_auth_method: 'private_key_jwt',
        jwks: { keys: [key.jwk] },
        jwks_uri: 'https://a.example',
      },
      'invalid_client_metadata',
    ],
    ['no keys', { ...app, token_endpoint_auth_method: 'private_key_jwt' }, 'invalid_client_metadata'],
    [
      'a private key',
      { ...app, token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [{ ...secret, kid: 'a' }] } },
      'invalid_client_metadata',
    ],
    [
      'a symmetric key',
      { ...app, token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [{ kty: 'oct', k: 'YQ', kid: 'a' }] } },
      'invalid_client_metadata',
    ],
    ['a name that is a book', { ...app, client_name: 'x'.repeat(3000) }, 'invalid_client_metadata'],
    [
      'more addresses than an app has',
      { ...app, redirect_uris: Array.from({ length: 60 }, (_, i) => `https://a.example/${i}`) },
      'invalid_client_metadata',
    ],
  ])('%s', async (_what, body, error) => {
    const answer = await register(body)
    expect([answer.status, answer.body['error']]).toEqual([400, error])
    expect(typeof answer.body['error_description']).toBe('string')
  })

  test('what is too long', async () => expect((await register({ ...app, x: 'x'.repeat(100_000) })).status).toBe(413))

  test('what a client would give itself', async () => {
    const { body } = await register({ ...app, client_id: 'mine', status: 'active', firstParty: true, role: 'doctor' })
    const client = await given().authorization.clients.find(String(body['client_id']))
    expect(client).toMatchObject({ status: 'pending', firstParty: false, role: 'backend' })
    expect(body['client_id']).not.toBe('mine')
  })
})

test('an app of the hospital’s own is not asked about', async () => {
  const { client } = await given().register({ name: 'Portal', firstParty: true })
  const authorized = await authorize(given(), { client: client.id, scope: 'patient/*.rs', signIn: 'subject=ada' })
  expect(authorized.pages).toEqual([])
  expect((await exchange(given(), authorized, { client_id: client.id })).status).toBe(200)
})

describe('brands', () => {
  const brands = (headers: Record<string, string> = {}) => fetch(`${given().issuer}/brands`, { headers })

  test('the bundle has a brand for the endpoint, a timestamp, and a weak ETag; pages of any origin may read it', async () => {
    const response = await brands({ origin: 'https://anybody.example' })
    expect(response.headers.get('access-control-allow-origin')).toBe('*')
    expect(response.headers.get('etag')).toMatch(/^W\//)
    expect(response.headers.get('content-type')).toMatch(/^application\/fhir\+json/)
    const bundle = (await response.json()) as {
      timestamp: string
      type: string
      entry: { fullUrl: string; resource: Record<string, unknown> }[]
    }
    expect([bundle.type, Number.isNaN(Date.parse(bundle.timestamp))]).toEqual(['collection', false])
    const [brand, endpoint] = bundle.entry.map(({ resource }) => resource)
    expect(endpoint).toMatchObject({
      resourceType: 'Endpoint',
      status: 'active',
      address: given().base,
      connectionType: { code: 'hl7-fhir-rest' },
    })
    expect(brand).toMatchObject({ resourceType: 'Organization', endpoint: [{ reference: 'Endpoint/fhir' }] })
    // The identifier of the configuration names exactly one of them.
    const configuration = (await (await fetch(`${given().base}/.well-known/smart-configuration`)).json()) as {
      user_access_brand_identifier: { system: string; value: string }
    }
    expect(brand!['identifier']).toEqual([configuration.user_access_brand_identifier])
  })

  test('who has it already hears so', async () => {
    const etag = (await brands()).headers.get('etag')!
    expect((await brands({ 'if-none-match': etag })).status).toBe(304)
  })

  test('its resources are valid FHIR', async () => {
    const bundle = (await (await brands()).json()) as { entry: { resource: { resourceType: string } }[] }
    const token = await given().mint({ user: 'Practitioner/bob', role: 'tenant-administrator' })
    for (const { resource } of bundle.entry) {
      const response = await fetch(`${given().base}/${resource.resourceType}/$validate`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/fhir+json' },
        body: JSON.stringify(resource),
      })
      const outcome = (await response.json()) as { issue: { severity: string }[] }
      expect(outcome.issue.filter(({ severity }) => severity === 'error' || severity === 'fatal')).toEqual([])
    }
  })
})
