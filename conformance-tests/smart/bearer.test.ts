/**
 * Access to FHIR with a token, and all the tokens that open nothing.
 *
 * https://datatracker.ietf.org/doc/html/rfc6750, https://datatracker.ietf.org/doc/html/rfc8725
 */
import { createHmac, createPublicKey, createSign, type JsonWebKey } from 'node:crypto'
import { beforeAll, describe, expect, test } from '@jest/globals'
import { fhir, headerOf, hospital, keyPair, payloadOf, tokenOf, world } from './world.js'

const given = world()

let good = ''
let idToken = ''
beforeAll(async () => {
  await hospital(given())
  const { client } = await given().register({})
  const body = await tokenOf(given(), {
    client: client.id,
    scope: 'openid fhirUser launch/patient patient/*.rs',
    signIn: 'subject=ada',
  })
  good = String(body['access_token'])
  idToken = String(body['id_token'])
})

const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const publicKey = async (): Promise<string> => {
  const { keys } = (await (await fetch(`${given().issuer}/jwks`)).json()) as { keys: JsonWebKey[] }
  const wanted = keys.find((key) => key['kid'] === headerOf(good)['kid'])!
  return createPublicKey({ key: wanted, format: 'jwk' }).export({ type: 'spki', format: 'pem' }).toString()
}
const signedBy = (header: object, payload: object) => {
  const input = `${encoded(header)}.${encoded(payload)}`
  return `${input}.${createSign('RSA-SHA256').update(input).sign(keyPair('RS384').private).toString('base64url')}`
}

test('a good token reads', async () => expect((await fhir(given(), 'Patient/ada', good)).status).toBe(200))

test('without one there is nothing but the way to one', async () => {
  const { status, headers, json } = await fhir(given(), 'Patient/ada')
  expect(status).toBe(401)
  expect(headers.get('www-authenticate')).toBe(`Bearer realm="${given().issuer}"`)
  expect(json()['resourceType']).toBe('OperationOutcome')
})

describe('all that is wrong with a token has one answer', () => {
  const spec = { user: 'Patient/ada', role: 'patient', scope: 'patient/*.rs' }
  const [header, payload] = [() => headerOf(good), () => payloadOf(good)]
  const cases: Record<string, () => string | Promise<string>> = {
    'another audience': () => given().mint({ ...spec, wrong: { audience: 'https://elsewhere.example/fhir' } }),
    'another issuer': () => given().mint({ ...spec, wrong: { issuer: 'https://elsewhere.example' } }),
    'an end in the past': () => given().mint({ ...spec, expiresIn: -1 }),
    'a beginning in the future': () =>
      given().mint({ ...spec, wrong: { notBefore: Math.floor(Date.now() / 1000) + 600 } }),
    'no signature': () => `${encoded({ ...header(), alg: 'none' })}.${encoded(payload())}.`,
    'no signature, spelt nOnE': () => `${encoded({ ...header(), alg: 'nOnE' })}.${encoded(payload())}.`,
    'the public key as a secret': async () => {
      const input = `${encoded({ ...header(), alg: 'HS256' })}.${encoded(payload())}`
      return `${input}.${createHmac('sha256', await publicKey())
        .update(input)
        .digest('base64url')}`
    },
    'a key of somebody else': () => signedBy(header(), payload()),
    'a key id nobody has': () => signedBy({ ...header(), kid: 'unknown' }, payload()),
    'no key id': () => signedBy({ alg: 'RS256', typ: 'at+jwt' }, payload()),
    'a key it brings along': () => signedBy({ ...header(), jwk: keyPair('RS384').jwk, kid: 'x' }, payload()),
    'a key id that is a path': () => signedBy({ ...header(), kid: '../../etc/passwd' }, payload()),
    'a key id of another type': () => signedBy({ ...header(), kid: { $ne: '' } }, payload()),
    'another type': () => signedBy({ ...header(), typ: 'JWT' }, payload()),
    'an id_token': () => idToken,
    'a changed payload': () => {
      const [head, , signature] = good.split('.')
      return `${head}.${encoded({ ...payload(), patient: 'ben', scope: 'user/*.cruds' })}.${signature}`
    },
    'a changed signature': () => `${good.slice(0, -4)}AAAA`,
    'no record': async () => {
      const token = await given().mint(spec)
      const { dropTokenRecord } = await import('../../src/smart/token-record.js')
      await dropTokenRecord(given().authorization.context.secrets, String(payloadOf(token)['jti']))
      return token
    },
    nonsense: () => 'nonsense',
    'five parts': () => 'a.b.c.d.e',
    'empty parts': () => '..',
    'a header that is no JSON': () => `${Buffer.from('x').toString('base64url')}.e30.x`,
    'a header that is a list': () => `${encoded([])}.${encoded([])}.x`,
    'a payload that is text': () => `${encoded(header())}.${encoded('text')}.x`,
    'twenty thousand characters': () => 'a'.repeat(20_000),
  }

  test.each(Object.keys(cases))('%s', async (what) => {
    const { status, headers, text } = await fhir(given(), 'Patient/ada', await cases[what]!())
    const other = await fhir(given(), 'Patient/ada', 'nonsense')
    expect([status, text]).toEqual([401, other.text])
    expect(headers.get('www-authenticate')).toMatch(
      /^Bearer realm="[^"]+", error="invalid_token", error_description="[^"]+"$/,
    )
  })

  test.each(['Basic YTpi', 'Bearer', 'Bearer ', 'bearer', 'DPoP x', 'Bearer a b', ''])(
    'the header "%s" is none',
    async (authorization) => {
      const { status } = await fhir(given(), 'Patient/ada', undefined, { headers: { authorization } })
      expect(status).toBe(401)
    },
  )

  test('the scheme is written in any case', async () => {
    const { status } = await fhir(given(), 'Patient/ada', undefined, { headers: { authorization: `bEARER ${good}` } })
    expect(status).toBe(200)
  })
})

test('a token in the URL is refused, with or without one in the header', async () => {
  for (const token of [undefined, good]) {
    const { status, text } = await fhir(given(), `Patient/ada?access_token=${good}`, token)
    expect([400, 401]).toContain(status)
    expect(text).not.toContain(good)
  }
})

test('metadata and the first question of a browser need none', async () => {
  expect((await fhir(given(), 'metadata')).status).toBe(200)
  expect((await fhir(given(), 'Patient/ada', undefined, { method: 'OPTIONS' })).status).toBe(204)
})

test.each(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD'])('%s of anything else does', async (method) => {
  for (const path of ['', 'Patient', 'Patient/ada', 'Patient/ada/_history', '$everything', 'Patient/_search'])
    expect([401, 404, 405]).toContain((await fhir(given(), path, undefined, { method })).status)
})

describe('the purpose', () => {
  test.each([
    ['TREAT', 'TREAT', 200],
    ['TREAT', 'COC', 200],
    ['TREAT', 'BTG', 403],
    ['TREAT', 'HRESCH', 403],
    ['TREAT', '', 403],
    ['HPAYMT', 'TREAT', 403],
  ])('of a token for %s may become %s: %i', async (purpose, header, expected) => {
    const token = await given().mint({ user: 'Practitioner/bob', role: 'doctor', organizations: ['general'], purpose })
    const { status } = await fhir(given(), 'Organization/general', token, { headers: { 'x-purpose-of-use': header } })
    expect(status).toBe(expected)
  })
})

describe('what changes bites at once', () => {
  test('a role that is taken away', async () => {
    const { accounts, register } = given()
    accounts.set('rita', {
      ...accounts.get('bob')!,
      subject: 'rita',
      role: 'doctor',
    })
    const { client } = await register({})
    const body = await tokenOf(given(), { client: client.id, scope: 'user/*.rs', signIn: 'subject=rita' })
    expect((await fhir(given(), 'Patient/ada', body['access_token'])).status).toBe(200)
    accounts.set('rita', { ...accounts.get('rita')!, role: 'cashier', revision: 2 })
    await new Promise((resolve) => setTimeout(resolve, 1100))
    expect((await fhir(given(), 'Patient/ada', body['access_token'])).status).toBe(401)
  })

  test('a client that is disabled', async () => {
    const { register, authorization } = given()
    const { client } = await register({})
    const body = await tokenOf(given(), { client: client.id, scope: 'patient/*.rs', signIn: 'subject=ada' })
    expect((await fhir(given(), 'Patient/ada', body['access_token'])).status).toBe(200)
    await authorization.clients.change(client.id, (was) => ({ ...was, status: 'disabled' }))
    await new Promise((resolve) => setTimeout(resolve, 1100))
    expect((await fhir(given(), 'Patient/ada', body['access_token'])).status).toBe(401)
  })

  test('keys that are rotated: tokens of before stay good, new ones are signed by the next', async () => {
    const before = headerOf(good)['kid']
    const { keys: published } = (await (await fetch(`${given().issuer}/jwks`)).json()) as { keys: { kid: string }[] }
    const { kid } = await given().authorization.rotateKeys()
    expect(kid).not.toBe(before)
    // Whoever cached the key set knew it already.
    expect(published.map((key) => key.kid)).toContain(kid)
    expect((await fhir(given(), 'Patient/ada', good)).status).toBe(200)
    const token = await given().mint({ user: 'Patient/ada' })
    expect(headerOf(token)['kid']).toBe(kid)
    expect((await fhir(given(), 'Patient/ada', token)).status).toBe(200)
  })
})

test('a token of one tenant is none in another', async () => {
  await given().server.site.addTenant({ name: 'south', title: 'South' })
  const { status } = await fhir({ ...given(), base: `${given().server.origin}/t/south/fhir` }, 'Patient/ada', good)
  expect(status).toBe(401)
})
