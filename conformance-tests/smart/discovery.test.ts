/**
 * What an app can find out before it asks for anything.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html
 */
import { expect, test } from '@jest/globals'
import { fhir, world } from './world.js'

const given = world()

const configuration = async (headers: Record<string, string> = {}) => {
  const answer = await fhir(given(), '.well-known/smart-configuration', undefined, { headers })
  return { ...answer, body: answer.json() as Record<string, unknown> }
}

test('the configuration is JSON for everybody, whatever they accept, with absolute URLs', async () => {
  for (const accept of ['application/json', 'text/html', 'application/fhir+xml', '*/*', 'image/png']) {
    const { status, headers, body } = await configuration({ accept, origin: 'https://anybody.example' })
    expect(status).toBe(200)
    expect(headers.get('content-type')).toMatch(/^application\/json/)
    expect(headers.get('access-control-allow-origin')).toBe('*')
    for (const [name, value] of Object.entries(body))
      if (/_(endpoint|uri)$|^issuer$|_bundle$/.test(name)) expect(String(value)).toMatch(/^https?:\/\//)
  }
})

test('every required member is there, and says what is true', async () => {
  const { body } = await configuration()
  const { issuer } = given()
  expect(body).toMatchObject({
    issuer,
    jwks_uri: `${issuer}/jwks`,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${issuer}/token`,
    introspection_endpoint: `${issuer}/introspect`,
    revocation_endpoint: `${issuer}/revoke`,
    registration_endpoint: `${issuer}/register`,
    management_endpoint: `${issuer}/apps`,
    user_access_brand_bundle: `${issuer}/brands`,
    response_types_supported: ['code'],
    code_challenge_methods_supported: ['S256'],
    token_endpoint_auth_signing_alg_values_supported: ['RS384', 'ES384'],
  })
  expect(body['grant_types_supported']).toEqual(expect.arrayContaining(['authorization_code', 'client_credentials']))
  expect(body['token_endpoint_auth_methods_supported']).toEqual(
    expect.arrayContaining(['client_secret_basic', 'private_key_jwt']),
  )
})

test('all four capability sets hold', async () => {
  const { body } = await configuration()
  const sets = [
    ['launch-standalone', 'client-public', 'context-standalone-patient', 'permission-patient'],
    ['launch-standalone', 'client-confidential-symmetric', 'permission-user', 'permission-patient'],
    ['launch-ehr', 'client-public', 'context-ehr-patient', 'permission-patient'],
    ['launch-ehr', 'context-ehr-encounter', 'permission-user', 'sso-openid-connect', 'context-banner', 'context-style'],
    ['authorize-post', 'permission-v1', 'permission-v2', 'permission-offline', 'permission-online'],
    ['client-confidential-asymmetric', 'context-standalone-encounter'],
  ]
  expect(body['capabilities']).toEqual(expect.arrayContaining(sets.flat()))
})

test.each(['', '/.well-known/openid-configuration'])('a page of any origin may ask first (%s)', async (path) => {
  const url = path === '' ? `${given().base}/.well-known/smart-configuration` : given().issuer + path
  const response = await fetch(url, {
    method: 'OPTIONS',
    headers: { origin: 'https://anybody.example', 'access-control-request-method': 'GET' },
  })
  expect(response.status).toBe(204)
  expect(response.headers.get('access-control-allow-origin')).toMatch(/^(\*|https:\/\/anybody\.example)$/)
})

test('metadata is open to everybody and names the endpoints', async () => {
  const answer = await fhir(given(), 'metadata', undefined, { headers: { origin: 'https://anybody.example' } })
  expect(answer.status).toBe(200)
  expect(answer.headers.get('access-control-allow-origin')).toBeTruthy()
  const statement = answer.json() as unknown as {
    rest: {
      security: { cors: boolean; service: { coding: { code: string }[] }[]; extension: { extension: unknown[] }[] }
    }[]
  }
  const { security } = statement.rest[0]!
  expect(security.cors).toBe(true)
  expect(security.service.flatMap(({ coding }) => coding.map(({ code }) => code))).toContain('SMART-on-FHIR')
  expect(security.extension[0]!.extension).toEqual(
    expect.arrayContaining([
      { url: 'authorize', valueUri: `${given().issuer}/authorize` },
      { url: 'token', valueUri: `${given().issuer}/token` },
    ]),
  )
})

test('OpenID Connect finds its own document below the issuer', async () => {
  const response = await fetch(`${given().issuer}/.well-known/openid-configuration`, {
    headers: { origin: 'https://anybody.example' },
  })
  expect(response.headers.get('access-control-allow-origin')).toBeTruthy()
  const body = (await response.json()) as Record<string, unknown>
  expect(body).toMatchObject({
    issuer: given().issuer,
    authorization_endpoint: `${given().issuer}/authorize`,
    token_endpoint: `${given().issuer}/token`,
    jwks_uri: `${given().issuer}/jwks`,
    response_types_supported: ['code'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256'],
    authorization_response_iss_parameter_supported: true,
  })
  expect(body['capabilities']).toBeUndefined()
  expect(body['userinfo_endpoint']).toBeUndefined()
})

test('what is not there is not there', async () => {
  expect((await fetch(`${given().issuer}/nothing`)).status).toBe(404)
  expect((await fetch(`${given().server.origin}/t/nobody/oauth/jwks`)).status).toBe(404)
  expect((await fetch(`${given().server.origin}/t/nobody/fhir/.well-known/smart-configuration`)).status).toBe(404)
})

test('another tenant has an issuer of its own', async () => {
  await given().server.site.addTenant({ name: 'north', title: 'North' })
  const origin = new URL(given().issuer).origin
  const response = await fetch(`${origin}/t/north/fhir/.well-known/smart-configuration`)
  expect(await response.json()).toMatchObject({
    issuer: `${origin}/t/north/oauth`,
    token_endpoint: `${origin}/t/north/oauth/token`,
  })
  const [ours, theirs] = await Promise.all(
    [given().issuer, `${origin}/t/north/oauth`].map(async (issuer) => (await fetch(`${issuer}/jwks`)).json()),
  )
  const kids = ({ keys }: { keys: { kid: string }[] }) => keys.map(({ kid }) => kid)
  expect(kids(ours as never).filter((kid) => kids(theirs as never).includes(kid))).toEqual([])
})
