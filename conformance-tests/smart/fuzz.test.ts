/**
 * Requests nobody would send, at every endpoint of the authorization server: each is answered, none with 5xx.
 *
 * https://datatracker.ietf.org/doc/html/rfc6749#section-5.2
 */
import { beforeAll, expect, test } from '@jest/globals'
import { assertion, authorize, basic, hospital, keyPair, tokenOf, world } from './world.js'

const given = world()
const requests = 800

/** https://gist.github.com/tommyettinger/46a874533244883189143505d203312c (mulberry32) */
function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

beforeAll(() => hospital(given()))
test('whatever is sent is answered, and never with 5xx', async () => {
  const seed = Date.now() % 1_000_000
  const next = random(seed)
  const key = keyPair('ES384')
  const pub = (await given().register({})).client.id
  const sym = await given().register({ authentication: 'client_secret_basic' })
  const sys = (
    await given().register({
      redirectUris: [],
      authentication: 'private_key_jwt',
      jwks: { keys: [key.jwk] as never },
      scope: 'system/*.rs',
    })
  ).client.id
  const tok = await tokenOf(given(), {
    client: pub,
    scope: 'openid patient/*.rs offline_access',
    signIn: 'subject=ada',
  })
  const code = (await authorize(given(), { client: pub, scope: 'patient/*.rs', signIn: 'subject=ada' })).back.get(
    'code',
  )!
  const odd = [
    '',
    ' ',
    '\0',
    '%',
    '[object Object]',
    '{"a":1}',
    '[]',
    'null',
    'é'.repeat(50),
    '__proto__',
    'constructor',
    'record x',
    '../x',
    'a'.repeat(3000),
    '-1',
    '1e999',
    'true',
    String(tok['access_token']),
    String(tok['refresh_token']),
    code,
    pub,
    sys,
    sym.client.id,
    given().base,
    'S256',
    'none',
  ]
  const names = [
    'grant_type',
    'code',
    'refresh_token',
    'client_id',
    'client_secret',
    'client_assertion',
    'client_assertion_type',
    'scope',
    'redirect_uri',
    'code_verifier',
    'token',
    'token_type_hint',
    'resource',
    'audience',
    'a[b]',
    '__proto__',
    'step_up',
    'request',
    'claims',
    'response_mode',
    'prompt',
    'max_age',
    'id_token_hint',
    'acr_values',
    'aud',
    'launch',
    'state',
    'response_type',
  ]
  const types = ['authorization_code', 'refresh_token', 'client_credentials', 'urn:x', 'implicit']
  const pick = <T>(of: readonly T[]): T => of[Math.floor(next() * of.length)]!
  const bad: string[] = []
  for (let i = 0; i < requests; i++) {
    const form = new URLSearchParams()
    form.set('grant_type', pick(types))
    for (let j = 0; j < Math.floor(next() * 7); j++)
      form.append(
        pick(names),
        pick([
          ...odd,
          ...types,
          assertion(
            given(),
            pick([sys, pub]),
            key,
            next() < 0.5
              ? {}
              : {
                  claims: {
                    [pick(['exp', 'jti', 'aud', 'sub', 'iss', 'nbf', 'iat'])]: pick<unknown>([
                      1,
                      {},
                      [],
                      null,
                      'x',
                      true,
                      1e300,
                      -1,
                      '',
                    ]),
                  },
                  header: {
                    [pick(['kid', 'alg', 'typ', 'crit', 'jku', 'b64'])]: pick<unknown>([
                      1,
                      {},
                      [],
                      null,
                      'x',
                      true,
                      'HS256',
                      'none',
                      ['b64'],
                    ]),
                  },
                },
          ),
        ]),
      )
    const path = pick([
      '/token',
      '/token',
      '/introspect',
      '/revoke',
      '/authorize',
      '/register',
      '/launch',
      '/jwks',
      '/interaction/x/authorize',
      '/brands',
      '/apps',
      '/authorize/x',
    ])
    const method = pick(['POST', 'POST', 'POST', 'GET'])
    const headers: Record<string, string> = {
      'content-type': pick([
        'application/x-www-form-urlencoded',
        'application/x-www-form-urlencoded',
        'application/json',
        'text/plain',
        'multipart/form-data; boundary=x',
        'application/x-www-form-urlencoded; charset=utf-7',
      ]),
    }
    if (next() < 0.4)
      Object.assign(
        headers,
        pick([
          basic(sym.client.id, sym.secret!),
          basic(pub, 'x'),
          { authorization: `Bearer ${tok['access_token']}` },
          { authorization: 'Basic !!!' },
          { origin: 'null' },
          { dpop: 'x' },
          { cookie: '_interaction=x; _session=y; _interaction_resume=z' },
          { accept: 'application/token-introspection+jwt' },
        ]),
      )
    const url = method === 'GET' ? `${given().issuer}${path}?${form}` : given().issuer + path
    const r = await fetch(url, {
      method,
      headers,
      redirect: 'manual',
      ...(method === 'POST' && {
        body:
          headers['content-type'] === 'application/json'
            ? pick([
                '{}',
                '[]',
                'null',
                '{"client_name":[]}',
                '{"client_name":"x","redirect_uris":[{}]}',
                '"x"',
                '{"client_name":"x","jwks":{"keys":[1]},"token_endpoint_auth_method":"private_key_jwt"}',
              ])
            : form.toString(),
      }),
    })
    await r.text()
    if (r.status >= 500) bad.push(`${method} ${path} ${r.status} ${JSON.stringify(headers)} ${form}`)
  }
  expect({ seed, bad: bad.slice(0, 3) }).toEqual({ seed, bad: [] })
}, 120_000)
