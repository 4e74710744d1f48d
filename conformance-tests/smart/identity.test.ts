/**
 * Who signed in: id_token and fhirUser.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#scopes-for-requesting-identity-data
 */
import { createPublicKey, type JsonWebKey } from 'node:crypto'
import { beforeAll, expect, test } from '@jest/globals'
import jwt from 'jsonwebtoken'
import { fhir, headerOf, hospital, payloadOf, post, tokenOf, world } from './world.js'

const given = world()

let client = ''
beforeAll(async () => {
  await hospital(given())
  client = (await given().register({})).client.id
})

test.each([
  ['ada', 'Patient/ada', 'patient/Patient.rs'],
  ['bob', 'Practitioner/bob', 'user/Practitioner.rs'],
])('%s is %s, signed with a key of the key set, and can be read', async (subject, user, scope) => {
  const body = await tokenOf(given(), { client, scope: `openid fhirUser ${scope}`, signIn: `subject=${subject}` })
  const { keys } = (await (await fetch(`${given().issuer}/jwks`)).json()) as { keys: JsonWebKey[] }
  const header = headerOf(body['id_token'])
  expect(header['alg']).toBe('RS256')
  const key = keys.find((each) => each['kid'] === header['kid'])!
  for (const each of keys) expect(each['d']).toBeUndefined()
  const claims = jwt.verify(
    String(body['id_token']),
    createPublicKey({ key, format: 'jwk' }).export({ type: 'spki', format: 'pem' }),
    { algorithms: ['RS256'], issuer: given().issuer, audience: client },
  ) as Record<string, unknown>
  expect(claims).toMatchObject({ sub: subject, fhirUser: `${given().base}/${user}` })
  expect(String(claims['sub']).length).toBeLessThan(256)
  expect([typeof claims['exp'], typeof claims['iat']]).toEqual(['number', 'number'])
  const read = await fhir(given(), user, body['access_token'])
  expect([read.status, read.json()['id']]).toEqual([200, user.split('/')[1]])
})

test('nonce and auth_time come back, also after a refresh', async () => {
  const nonce = 'n-0S6_WzA2Mj'
  const body = await tokenOf(given(), {
    client,
    scope: 'openid fhirUser patient/*.rs offline_access',
    signIn: 'subject=ada',
    parameters: { nonce, max_age: '3600' },
  })
  expect(payloadOf(body['id_token'])).toMatchObject({ nonce, auth_time: expect.any(Number) })
  const refreshed = await post(`${given().issuer}/token`, {
    grant_type: 'refresh_token',
    refresh_token: String(body['refresh_token']),
    client_id: client,
  })
  expect(payloadOf(refreshed.body['id_token'])).toMatchObject({ sub: 'ada', fhirUser: `${given().base}/Patient/ada` })
})

test('without openid there is no id_token, without fhirUser no fhirUser', async () => {
  const plain = await tokenOf(given(), { client, scope: 'patient/*.rs', signIn: 'subject=ada' })
  expect(plain['id_token']).toBeUndefined()
  const anonymous = await tokenOf(given(), { client, scope: 'openid patient/*.rs', signIn: 'subject=ada' })
  expect(payloadOf(anonymous['id_token'])['fhirUser']).toBeUndefined()
  expect(payloadOf(anonymous['access_token'])['fhirUser']).toBeUndefined()
})
