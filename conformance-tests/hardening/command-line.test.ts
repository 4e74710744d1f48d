/**
 * What operators do at the command line, and what a running server makes of it at once.
 *
 * docs/operating.md
 */
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import jwt from 'jsonwebtoken'
import type { Input } from '../../src/command.js'
import { startTestServer, type TestServer } from '../../src/testing.js'

let server: TestServer
beforeAll(async () => {
  server = await startTestServer({ AUTH: 'on', RATE_LIMIT_ADDRESS: '0' })
})
afterAll(() => server.close())

const run = (action: string, input: Input = {}) => server.carryOut(action, input)
const rows = async (action: string, input: Input = {}) =>
  (await run(action, { ...input, json: true })).map((line) => JSON.parse(line) as Record<string, unknown>)

describe('tenants', () => {
  test('are added once, listed, and there at once', async () => {
    const [line] = await run('tenant add', { name: 'north', title: 'The north' })
    const base = line!.split(' ').at(-1)!
    expect((await fetch(`${base}/metadata`)).status).toBe(200)
    await expect(run('tenant add', { name: 'north' })).rejects.toThrow('There is a tenant "north" already.')
    expect(await rows('tenant list')).toEqual([
      { name: 'default', title: 'default', base: server.baseUrl },
      { name: 'north', title: 'The north', base },
    ])
  })

  test.each([['North'], ['-a'], ['a b'], ['a'.repeat(64)], ['../x'], ['default'], ['__proto__']])(
    '%s is no name of one',
    async (name) => {
      await expect(run('tenant add', { name })).rejects.toMatchObject({ name: 'CommandRefused' })
    },
  )
})

describe('people', () => {
  const somebody = (more: Input = {}) => ({ name: 'Bob Odhiambo', role: 'doctor', user: 'Practitioner/bob', ...more })
  const signIn = async (username: string, password: string) =>
    (
      await fetch(`${server.origin}/oauth/api/sign-in`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ username, password }),
      })
    ).status

  test('are added, sign in, get another role, and sign in no more when they are disabled', async () => {
    const password = 'a long enough sentence'
    const [subject] = await run('user add', somebody({ userName: 'bob', organization: ['Organization/a'], password }))
    expect(await signIn('bob', password)).toBe(200)
    expect(await rows('user list')).toContainEqual(
      expect.objectContaining({ subject, role: 'doctor', organizations: ['a'], disabled: false }),
    )
    await run('user role', { subject, role: 'nurse', organization: ['b'] })
    expect(await rows('user list')).toContainEqual(
      expect.objectContaining({ subject, role: 'nurse', organizations: ['b'] }),
    )
    await run('user disable', { subject })
    expect(await signIn('bob', password)).toBe(401)
    await run('user enable', { subject })
    expect(await signIn('bob', password)).toBe(200)
    expect(await run('user renew', { subject })).toEqual([expect.stringContaining('/oauth/invitation?token=')])
    expect((await run('user list')).join('\n')).not.toMatch(/argon2|sentence/)
  })

  test('are invited by a link', async () => {
    const [link] = await run('user invite', somebody({ contact: 'asha@hospital.example' }))
    expect((await fetch(link!)).status).toBe(200)
  })

  test.each<[string, Input, string]>([
    ['user add', somebody({ role: '' }), 'role is missing'],
    ['user add', somebody({ role: 'superuser' }), 'role'],
    ['user add', somebody({ user: 'bob' }), 'Practitioner/bob'],
    ['user add', somebody({ userName: 'short', password: 'short' }), ''],
    ['user add', somebody({ tenant: 'nowhere' }), 'There is no tenant "nowhere"'],
    ['user invite', somebody({ contact: 'nonsense' }), 'e-mail address'],
    ['user disable', { subject: 'nobody' }, 'no such account'],
    ['user role', { subject: 'nobody', role: 'nurse' }, 'no such account'],
  ])('%s with %j is refused in a sentence', async (action, input, sentence) => {
    await expect(run(action, input)).rejects.toMatchObject({
      name: expect.stringMatching(/Refused$/),
      message: expect.stringContaining(sentence),
    })
  })
})

describe('clients', () => {
  test('of systems get tokens until they are disabled', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' })
    const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'one', alg: 'ES384' }
    await run('client add', {
      name: 'Laboratory',
      id: 'laboratory',
      jwks: JSON.stringify(jwk),
      scope: 'system/Observation.cu',
    })
    const ask = async () => {
      const client_assertion = jwt.sign({}, privateKey, {
        algorithm: 'ES384',
        keyid: 'one',
        issuer: 'laboratory',
        subject: 'laboratory',
        audience: `${server.baseUrl.replace('/fhir', '/oauth')}/token`,
        expiresIn: 60,
        jwtid: randomUUID(),
      })
      const answer = await fetch(`${server.origin}/oauth/token`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({
          grant_type: 'client_credentials',
          scope: 'system/Observation.cu',
          client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
          client_assertion,
        }),
      })
      return { status: answer.status, token: ((await answer.json()) as { access_token: string }).access_token }
    }
    const read = async (token: string) =>
      (await fetch(`${server.baseUrl}/Organization`, { headers: { Authorization: `Bearer ${token}` } })).status
    const { status, token } = await ask()
    expect([status, await read(token)]).toEqual([200, 403])
    await run('client disable', { id: 'laboratory' })
    expect([(await ask()).status, await read(token)]).toEqual([401, 401])
    await run('client approve', { id: 'laboratory' })
    expect((await ask()).status).toBe(200)
  })

  test('of apps are listed without their secret, which is shown once', async () => {
    const [id, secret] = await run('client add', {
      name: 'Chart',
      redirectUri: ['https://chart.example/back'],
      secret: true,
    })
    expect([id, secret]).toEqual([
      expect.stringMatching(/^client_id: /),
      expect.stringMatching(/^client_secret: [\w-]{40,}$/),
    ])
    const listed = (await run('client list', { json: true })).join('\n')
    expect(listed).toContain('"name":"Chart"')
    expect(listed).not.toMatch(/secretHash/)
    const [renewed] = await run('client renew-secret', { id: id!.split(' ')[1] })
    expect(renewed).not.toBe(secret)
  })

  test.each<[string, Input, string]>([
    ['client add', { name: 'x' }, 'redirect URIs, or keys'],
    ['client add', { name: 'x', redirectUri: ['http://chart.example/'] }, 'https'],
    ['client add', { name: 'x', jwks: '{' }, 'not JSON'],
    ['client add', { name: 'x', jwks: '[]' }, ''],
    ['client add', { name: 'x', id: 'a b', redirectUri: ['https://chart.example/'] }, 'client_id'],
    ['client approve', { id: 'nobody' }, 'There is no client "nobody"'],
    ['client renew-secret', { id: 'laboratory' }, 'no client "laboratory" with a secret'],
  ])('%s with %j is refused in a sentence', async (action, input, sentence) => {
    await expect(run(action, input)).rejects.toMatchObject({
      name: expect.stringMatching(/Refused$/),
      message: expect.stringContaining(sentence),
    })
  })
})

test('keys are rotated and old tokens go on', async () => {
  const caller = JSON.stringify({ user: 'Practitioner/bob' })
  const kidOf = (token: string) => jwt.decode(token, { complete: true })?.header.kid
  const read = async (token: string) =>
    (await fetch(`${server.baseUrl}/Organization`, { headers: { Authorization: `Bearer ${token}` } })).status
  const [before] = await run('token', { callers: [caller] })
  const [line] = await run('keys rotate')
  const [after] = await run('token', { callers: [caller] })
  expect(line).toContain(kidOf(after!))
  expect(kidOf(after!)).not.toBe(kidOf(before!))
  expect([await read(before!), await read(after!)]).toEqual([200, 200])
})
