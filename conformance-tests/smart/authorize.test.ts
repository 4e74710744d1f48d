/**
 * The authorization endpoint, and what it refuses.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#obtain-authorization-code
 */
import { beforeAll, describe, expect, test } from '@jest/globals'
import { authorize, Browser, exchange, hospital, payloadOf, tokenOf, world } from './world.js'

const given = world()
const scope = 'openid fhirUser launch/patient patient/Patient.rs'

let client = ''
beforeAll(async () => {
  await hospital(given())
  client = (await given().register({ name: 'An app' })).client.id
})

describe('the app hears what is wrong with its request', () => {
  test.each([
    ['another audience', { aud: 'https://elsewhere.example/fhir' }, 'invalid_request'],
    ['no audience', { aud: undefined }, 'invalid_request'],
    ['no code challenge', { code_challenge: undefined, code_challenge_method: undefined }, 'invalid_request'],
    ['the plain challenge method', { code_challenge_method: 'plain' }, 'invalid_request'],
    ['a challenge without its method', { code_challenge_method: undefined }, 'invalid_request'],
    ['the implicit flow', { response_type: 'token' }, 'unsupported_response_type'],
    ['a hybrid flow', { response_type: 'code id_token' }, 'unsupported_response_type'],
    ['no response type', { response_type: undefined }, 'invalid_request'],
    ['no person to ask', { prompt: 'none' }, 'login_required'],
    ['prompts that contradict', { prompt: 'none login' }, 'invalid_request'],
    ['a request object', { request: 'eyJhbGciOiJub25lIn0.e30.' }, 'request_not_supported'],
    ['an age that is none', { max_age: '-1' }, 'invalid_request'],
    ['scopes that mean nothing here', { scope: 'system/*.rs nonsense patient/Nothing.rs' }, 'invalid_scope'],
    ['another resource', { resource: 'https://elsewhere.example' }, 'invalid_target'],
  ])('%s', async (_what, parameters: Record<string, string | undefined>, error) => {
    const { back, state } = await authorize(given(), { client, scope, signIn: 'subject=ada', parameters })
    expect([back.get('error'), back.get('state'), back.get('code')]).toEqual([error, state, null])
    expect(back.get('iss')).toBe(given().issuer)
  })
})

describe('an address that is not registered is never gone to', () => {
  test.each([
    'https://app.example/back/',
    'https://app.example/back?x=1',
    'https://app.example/Back',
    'https://app.example.evil.example/back',
    'https://app.example/back/../evil',
    'http://app.example/back',
    'https://APP.example/back',
    'javascript:alert(1)',
    '',
  ])('%s', async (redirect_uri) => {
    const response = await new Browser(given().issuer).open(
      `${given().issuer}/authorize?${new URLSearchParams({ response_type: 'code', client_id: client, redirect_uri, scope, aud: given().base })}`,
    )
    expect(response.status).toBe(400)
    expect(response.headers.get('location')).toBeNull()
    expect(response.headers.get('content-type')).toMatch(/^text\/html/)
  })

  test.each([undefined, 'nobody', "' or 1=1", '../admin', 'x'.repeat(5000)])('nor for the client %s', async (id) => {
    const query = new URLSearchParams({ response_type: 'code', redirect_uri: 'https://app.example/back', scope })
    if (id !== undefined) query.set('client_id', id)
    const response = await fetch(`${given().issuer}/authorize?${query}`, { redirect: 'manual' })
    expect(response.status).toBe(400)
    expect(response.headers.get('location')).toBeNull()
    const page = await response.text()
    expect(page).not.toContain('<script')
  })

  test('a disabled or waiting client asks in vain', async () => {
    for (const status of ['disabled', 'pending'] as const) {
      const { client: other } = await given().register({ status })
      const { redirect, pages } = await authorize(given(), { client: other.id, scope, signIn: 'subject=ada' })
      expect(redirect).toBe('')
      expect(pages).toHaveLength(1)
    }
  })
})

describe('a parameter of any shape is answered', () => {
  const odd = ['', ' ', '\u0000', '%', '[]', '{"a":1}', 'ü'.repeat(300), '<script>alert(1)</script>', '__proto__']
  const names = [
    'response_type',
    'scope',
    'state',
    'aud',
    'launch',
    'code_challenge',
    'code_challenge_method',
    'prompt',
  ]
  const more = [
    'max_age',
    'acr_values',
    'nonce',
    'ui_locales',
    'login_hint',
    'id_token_hint',
    'response_mode',
    'claims',
  ]
  test.each([...names, ...more])('%s', async (name) => {
    for (const value of odd) {
      const { back, pages } = await authorize(given(), {
        client,
        scope,
        signIn: 'subject=ada',
        parameters: { [name]: value },
      })
      expect(back.get('error')).not.toBe('server_error')
      expect(pages.join('')).not.toContain('server_error')
    }
    const twice = `${new URLSearchParams({ client_id: client, redirect_uri: 'https://app.example/back' })}&${name}=a&${name}=b`
    const response = await fetch(`${given().issuer}/authorize?${twice}`, { redirect: 'manual' })
    expect(response.status).toBeLessThan(500)
  })

  test.each(['PUT', 'DELETE', 'PATCH', 'OPTIONS'])('%s is no way to ask', async (method) => {
    const response = await fetch(`${given().issuer}/authorize`, { method })
    expect([404, 405, 501]).toContain(response.status)
  })

  test('a form that is too long, or none', async () => {
    const long = await fetch(`${given().issuer}/authorize`, { method: 'POST', body: `a=${'x'.repeat(100_000)}` })
    expect(long.status).toBe(413)
    const json = await fetch(`${given().issuer}/authorize`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
    })
    expect(json.status).toBeLessThan(500)
  })

  test('an interaction of somebody else is none', async () => {
    for (const path of ['/interaction/none', '/interaction/none/authorize', '/authorize/none', '/interaction/%00']) {
      const response = await fetch(given().issuer + path, { redirect: 'manual' })
      expect([400, 404]).toContain(response.status)
    }
  })
})

describe('step-up', () => {
  const mfa = { acr_values: 'mfa' }

  test('a second factor that is asked for and given is in the id_token', async () => {
    const body = await tokenOf(given(), {
      client,
      scope,
      signIn: 'subject=bob&mfa',
      words: 'Amin',
      patient: 'ada',
      parameters: mfa,
    })
    expect(payloadOf(body['id_token'])).toMatchObject({ acr: 'mfa', amr: ['pwd', 'otp', 'mfa'] })
  })

  test('one that is not given is refused', async () => {
    const { back } = await authorize(given(), { client, scope, signIn: 'subject=ada', parameters: mfa })
    expect(back.get('error')).toBe('unmet_authentication_requirements')
  })

  test('it is asked for without openid as well', async () => {
    const { back } = await authorize(given(), {
      client,
      scope: 'patient/Patient.rs',
      signIn: 'subject=ada',
      parameters: mfa,
    })
    expect(back.get('error')).toBe('unmet_authentication_requirements')
  })

  test.each([{ max_age: '60' }, { prompt: 'login' }, { max_age: '0' }])(
    'an old sign-in does not do for %j',
    async (parameters) => {
      const old = Date.now() - 3_600_000
      for (const wish of [scope, 'patient/Patient.rs']) {
        const { back } = await authorize(given(), { client, scope: wish, signIn: `subject=ada&at=${old}`, parameters })
        expect(back.get('error')).toBe('login_required')
      }
      const { back } = await authorize(given(), { client, scope, signIn: 'subject=ada', parameters })
      expect(back.get('code')).toBeTruthy()
    },
  )
})

test('two people in two tabs of one browser do not get in each other’s way', async () => {
  const first = await authorize(given(), { client, scope, signIn: 'subject=ada' })
  const second = await authorize(given(), { client, scope, signIn: 'subject=bob', words: 'Bello', patient: 'ben' })
  const { body: hers } = await exchange(given(), first, { client_id: client })
  const { body: his } = await exchange(given(), second, { client_id: client })
  expect([hers['patient'], his['patient']]).toEqual(['ada', 'ben'])
})
