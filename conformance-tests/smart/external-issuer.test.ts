/**
 * The hospital's own identity provider: its tokens are accepted by configuration.
 *
 * https://openid.net/specs/openid-connect-discovery-1_0.html
 *
 * Another oidc-provider plays it, with claims as such servers name them.
 */
import { generateKeyPairSync } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { Adapter, AdapterPayload, Configuration } from 'oidc-provider'
import { oidcLibrary } from '../../src/smart/oidc-library.js'
import { basic, fhir, hospital, post, startWorld, type World } from './world.js'

let idp: Server
let issuer = ''
let given: World
const claims: Record<string, unknown> = {}
const keys = [newKey('first')]
const audience = 'https://records.hospital.example'

function newKey(kid: string) {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  return { ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' }
}

class MapAdapter implements Adapter {
  private readonly kept = new Map<string, AdapterPayload>()
  async upsert(id: string, payload: AdapterPayload) {
    this.kept.set(id, payload)
  }
  async find(id: string) {
    return this.kept.get(id)
  }
  async findByUserCode() {
    return undefined
  }
  async findByUid() {
    return undefined
  }
  async consume() {}
  async destroy(id: string) {
    this.kept.delete(id)
  }
  async revokeByGrantId() {}
}

/** Its keys can change while it goes on. */
async function answering() {
  const { Provider } = await oidcLibrary()
  const configuration: Configuration = {
    adapter: MapAdapter as unknown as NonNullable<Configuration['adapter']>,
    jwks: { keys: [keys.at(-1)!] } as unknown as NonNullable<Configuration['jwks']>,
    cookies: { keys: ['test'] },
    ttl: { ClientCredentials: 600 },
    clients: [
      {
        client_id: 'portal',
        client_secret: 'portal-secret',
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
    ],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
        getResourceServerInfo: (_ctx, resource) => ({
          scope: 'user/*.rs',
          audience: resource,
          accessTokenFormat: 'jwt' as const,
        }),
      },
    },
    formats: {
      customizers: {
        jwt: (_ctx, _token, parts) => {
          Object.assign(parts.payload, { scope: 'user/*.rs' }, claims)
        },
      },
    },
  }
  return new Provider(issuer, configuration).callback()
}

let handle: Awaited<ReturnType<typeof answering>>

beforeAll(async () => {
  idp = createServer((request, response) => void handle(request, response))
  await new Promise<void>((resolve) => idp.listen(0, '127.0.0.1', resolve))
  issuer = `http://localhost:${(idp.address() as AddressInfo).port}`
  handle = await answering()
  given = await startWorld({
    OUTBOUND_ALLOW: `${issuer},localhost,127.0.0.1`,
    EXTERNAL_ISSUER: issuer,
    EXTERNAL_AUDIENCE: audience,
    EXTERNAL_CLAIMS: 'fhirUser=https://hospital.example/fhirUser,role=realm_access.roles,organizations=org,scope=scope',
    EXTERNAL_ROLES: 'physician=doctor,front-desk=receptionist',
  })
  await hospital(given)
})

afterAll(async () => {
  await given?.server.close()
  await new Promise((resolve) => idp.close(resolve))
})

const good = {
  sub: 'b.smith',
  'https://hospital.example/fhirUser': 'Practitioner/bob',
  realm_access: { roles: ['offline', 'physician'] },
  org: ['Organization/general'],
}

async function token(more: Record<string, unknown> = {}): Promise<string> {
  for (const name of Object.keys(claims)) delete claims[name]
  Object.assign(claims, good, more)
  const { body } = await post(`${issuer}/token`, { grant_type: 'client_credentials' }, basic('portal', 'portal-secret'))
  expect(body['error_description'] ?? body['error']).toBeUndefined()
  return String(body['access_token'])
}

test('its people read what their role may, in the words of its claims', async () => {
  const bearer = await token()
  expect((await fhir(given, 'Patient/ada', bearer)).status).toBe(200)
  expect((await fhir(given, 'Patient/nobody', bearer)).status).toBe(404)
  const write = await fhir(given, 'Patient', bearer, { method: 'POST', body: '{"resourceType":"Patient"}' })
  expect(write.status).toBe(403)
})

describe('opens nothing:', () => {
  test.each<[string, Record<string, unknown>]>([
    ['a role that is not named', { realm_access: { roles: ['gardener'] } }],
    ['a role of ours that it was not told to use', { realm_access: { roles: ['platform-administrator'] } }],
    ['no role', { realm_access: undefined }],
    ['no person', { 'https://hospital.example/fhirUser': undefined }],
    ['a person who is none', { 'https://hospital.example/fhirUser': 'Observation/1' }],
    [
      'a person of another server',
      { 'https://hospital.example/fhirUser': 'https://elsewhere.example/Practitioner/bob' },
    ],
    ['another audience', { aud: 'https://elsewhere.example' }],
    ['an end in the past', { exp: 1 }],
    ['a beginning in the future', { nbf: Math.floor(Date.now() / 1000) + 600 }],
  ])('%s', async (_what, more) => {
    const [answer, other] = [await fhir(given, 'Patient/ada', await token(more)), await fhir(given, 'Patient/ada', 'x')]
    expect([answer.status, answer.text]).toEqual([401, other.text])
  })

  test('a token that says it is from there and is not', async () => {
    const [header, payload] = (await token()).split('.')
    expect((await fhir(given, 'Patient/ada', `${header}.${payload}.AAAA`)).status).toBe(401)
  })
})

test('where it belongs to no hospital there is no record', async () => {
  const bearer = await token({
    org: ['Organization/nowhere'],
    'https://hospital.example/fhirUser': 'Practitioner/nobody',
  })
  expect((await fhir(given, 'Patient/ada', bearer)).status).toBe(404)
})

test('a key it begins to use is found after a while, and the old one goes on until then', async () => {
  const old = await token()
  expect((await fhir(given, 'Patient/ada', old)).status).toBe(200)
  keys.push(newKey('second'))
  handle = await answering()
  const fresh = await token()
  // Asked for again at most twice a minute.
  expect([200, 401]).toContain((await fhir(given, 'Patient/ada', fresh)).status)
})
