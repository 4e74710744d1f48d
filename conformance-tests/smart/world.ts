/**
 * A server with authorization, people who can sign in, registered apps, and what an app does in a browser.
 *
 * Everything goes over HTTP, as https://hl7.org/fhir/smart-app-launch/STU2.2/ describes it. Sign-in itself is believed:
 * its pages have tests of their own.
 */
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, randomUUID, sign } from 'node:crypto'
import { afterAll, beforeAll, expect } from '@jest/globals'
import { server as serverCaller } from '../../src/access/index.js'
import { openAuthorization } from '../../src/authorization.js'
import { readConfig } from '../../src/config.js'
import type { Resource } from '../../src/fhir/index.js'
import { update } from '../../src/interactions/index.js'
import type { World as Tenant } from '../../src/site.js'
import type { Account, AuthorizationServer, CallerSpec, RegisteredClient, Registration } from '../../src/smart/index.js'
import { mintToken } from '../../src/smart/index.js'
import { believing } from '../../src/smart/testing.js'
import { startTestServer, type TestServer } from '../../src/testing.js'

export type World = {
  server: TestServer
  /** FHIR base and issuer, as links are written. */
  base: string
  issuer: string
  accounts: Map<string, Account>
  /** Sessions of the sign-in pages that go on. */
  alive: Set<string>
  authorization: AuthorizationServer
  register(registration: Partial<Registration>): Promise<{ client: RegisteredClient; secret?: string }>
  mint(spec: CallerSpec): Promise<string>
  /** Puts a resource as the server's own, of the hospital where it is named. */
  put(resource: { resourceType: string; id: string; [member: string]: unknown }, hospital?: string): Promise<void>
}

/** Starts before the first test of a file, and stops after the last. */
export function world(settings: Record<string, string> = {}): () => World {
  let made: World | undefined
  beforeAll(async () => {
    made = await startWorld(settings)
  })
  afterAll(() => made?.server.close())
  return () => made!
}

export async function startWorld(settings: Record<string, string> = {}): Promise<World> {
  const accounts = new Map<string, Account>()
  const alive = new Set<string>()
  const identities = believing(accounts, alive)
  const server = await startTestServer({ AUTH: 'on', ...limits, ...settings }, { identities: async () => identities })
  const world = (await server.site.world('default'))!
  const config = readConfig({ AUTH: 'on', ...settings })
  // The command line works on the same store from another process; so does this.
  const authorization = await openAuthorization(world, {
    config,
    site: server.site,
    log: silent,
    identities: async () => identities,
  })
  const base = server.baseUrl
  return {
    server,
    base,
    issuer: authorization.context.issuer,
    accounts,
    alive,
    authorization,
    register: (registration) =>
      authorization.clients.register({ name: 'An app', redirectUris: ['https://app.example/back'], ...registration }),
    mint: (spec) => mintToken(authorization, spec),
    put: putInto(world),
  }
}

export const putInto =
  ({ contextOf }: Pick<Tenant, 'contextOf'>): World['put'] =>
  async (resource, hospital) => {
    const custodian = { url: custodianUrl, valueReference: { reference: `Organization/${hospital}` } }
    const { resourceType: type, id } = resource
    const written = { ...resource, ...(hospital !== undefined && { meta: { extension: [custodian] } }) }
    await update(contextOf(serverCaller('default', 'test')), { type, id }, written as Resource, {})
  }

const custodianUrl = 'https://hospitallink.example/fhir/StructureDefinition/custodian'

/** A hospital with a doctor, and two patients of it with a laboratory result and vital signs each. */
export async function hospital({ put, accounts }: Pick<World, 'put' | 'accounts'>): Promise<void> {
  await put({ resourceType: 'Organization', id: 'general', name: 'General Hospital' }, 'general')
  await put({ resourceType: 'Practitioner', id: 'bob', name: [{ text: 'Dr Bob' }] }, 'general')
  for (const [id, family] of [
    ['ada', 'Amin'],
    ['ben', 'Bello'],
  ]) {
    const subject = { reference: `Patient/${id}` }
    await put(
      {
        resourceType: 'Patient',
        id: id!,
        name: [{ given: ['Test'], family }],
        birthDate: '1990-01-01',
        managingOrganization: { reference: 'Organization/general' },
        generalPractitioner: [{ reference: 'Practitioner/bob' }],
      },
      'general',
    )
    await put(
      {
        resourceType: 'Encounter',
        id: `visit-${id}`,
        status: 'in-progress',
        class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'AMB' },
        subject,
        participant: [{ individual: { reference: 'Practitioner/bob' } }],
        serviceProvider: { reference: 'Organization/general' },
      },
      'general',
    )
    for (const category of ['laboratory', 'vital-signs'])
      await put(
        {
          resourceType: 'Observation',
          id: `${category}-${id}`,
          status: 'final',
          category: [
            { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/observation-category', code: category }] },
          ],
          code: { text: category },
          subject,
        },
        'general',
      )
  }
  accounts.set('ada', account({ subject: 'ada', user: { type: 'Patient', id: 'ada' }, role: 'patient', name: 'Ada' }))
  accounts.set(
    'bob',
    account({
      subject: 'bob',
      user: { type: 'Practitioner', id: 'bob' },
      role: 'doctor',
      name: 'Dr Bob',
      organizations: ['general'],
    }),
  )
}

/** Tests ask more often than people do. */
export const limits = { RATE_LIMIT: '0', RATE_LIMIT_PATIENT: '0', RATE_LIMIT_ADDRESS: '0' }

const silent = { error: () => {} } as never

export const account = (given: Partial<Account> & Pick<Account, 'subject' | 'user' | 'role'>): Account => ({
  organizations: [],
  name: 'Someone',
  disabled: false,
  revision: 1,
  ...given,
})

/** https://datatracker.ietf.org/doc/html/rfc7636#section-4 */
export const pkce = () => {
  const verifier = randomBytes(32).toString('base64url')
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') }
}

export type Ask = {
  client: string
  scope: string
  redirectUri?: string
  launch?: string
  /** Who signs in, as the sign-in page is told: `subject=…&mfa`. */
  signIn?: string
  /** What the person looks for, and whom they choose. */
  words?: string
  patient?: string
  /** What they allow: all unless said. */
  allow?: (scopes: string[]) => string[]
  deny?: boolean
  /** Further parameters, or others in place of ours; undefined leaves one out. */
  parameters?: Record<string, string | undefined>
  method?: 'GET' | 'POST'
}

export type Authorized = {
  /** Parameters of the redirect to the app. */
  back: URLSearchParams
  redirect: string
  state: string
  verifier: string
  /** Scopes that could be left out on the page. */
  offered: string[]
  /** Pages that were shown. */
  pages: string[]
}

/** A browser that follows redirects of our origin, keeps cookies by path, and answers the pages. */
export class Browser {
  private readonly cookies = new Map<string, { value: string; path: string }>()

  constructor(readonly origin: string) {}

  async open(
    url: string,
    {
      method = 'GET',
      body,
      headers = {},
    }: { method?: string; body?: URLSearchParams; headers?: Record<string, string> } = {},
  ) {
    const target = new URL(url, this.origin)
    const cookie = [...this.cookies]
      .filter(([, { path }]) => target.pathname.startsWith(path))
      .map(([key, { value }]) => `${key.split(' ')[0]}=${value}`)
      .join('; ')
    const response = await fetch(target, {
      method,
      redirect: 'manual',
      headers: { ...headers, ...(cookie !== '' && { cookie }) },
      ...(body && { body }),
    })
    for (const line of response.headers.getSetCookie()) {
      const [pair = '', ...attributes] = line.split(';')
      const at = pair.indexOf('=')
      const path = attributes.map((each) => /^ *path=(.*)$/i.exec(each)?.[1]).find(Boolean) ?? '/'
      const key = `${pair.slice(0, at)} ${path}`
      const value = pair.slice(at + 1)
      if (value === '' || /expires=Thu, 01 Jan 1970|max-age=0/i.test(line)) this.cookies.delete(key)
      else this.cookies.set(key, { value, path })
    }
    return response
  }
}

/** From the app's request to the redirect that ends it. */
export async function authorize({ base, issuer }: World, ask: Ask): Promise<Authorized> {
  const browser = new Browser(new URL(issuer).origin)
  const { verifier, challenge } = pkce()
  const state = randomUUID()
  const redirectUri = ask.redirectUri ?? 'https://app.example/back'
  const parameters = Object.entries({
    response_type: 'code',
    client_id: ask.client,
    redirect_uri: redirectUri,
    scope: ask.scope,
    state,
    aud: base,
    code_challenge: challenge,
    code_challenge_method: 'S256',
    launch: ask.launch,
    ...ask.parameters,
  }).filter((entry): entry is [string, string] => entry[1] !== undefined)
  const query = new URLSearchParams(parameters)
  const headers = { 'x-test-sign-in': ask.signIn ?? '' }
  let response =
    ask.method === 'POST'
      ? await browser.open(`${issuer}/authorize`, { method: 'POST', body: query, headers })
      : await browser.open(`${issuer}/authorize?${query}`, { headers })
  const pages: string[] = []
  let offered: string[] = []
  for (let turn = 0; turn < 12; turn++) {
    const location = response.headers.get('location')
    if (location !== null) {
      if (!location.startsWith(issuer) && !location.startsWith('/'))
        return { back: parametersOf(location), redirect: location, state, verifier, offered, pages }
      response = await browser.open(location, { headers })
      continue
    }
    const page = await response.text()
    pages.push(page)
    const answer = answerOf(page, ask)
    if (!answer) return { back: new URLSearchParams(), redirect: '', state, verifier, offered, pages }
    if (answer.offered.length) offered = answer.offered
    response = await browser.open(answer.action, { method: 'POST', body: answer.body, headers })
  }
  throw new Error('the pages go round in a circle')
}

/** Of a redirect; flows that are refused answer in the fragment. */
function parametersOf(location: string): URLSearchParams {
  const { search, hash } = new URL(location)
  return new URLSearchParams(hash === '' ? search : hash.slice(1))
}

const attribute = (tag: string, name: string): string =>
  unescaped(new RegExp(` ${name}="([^"]*)"`).exec(tag)?.[1] ?? '')
const unescaped = (text: string): string =>
  text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&')

/** The form of a page, filled in; undefined where there is none. */
function answerOf(page: string, { words, patient, allow, deny }: Ask) {
  const forms = page.match(/<form[\s\S]*?<\/form>/g) ?? []
  const withPatients = forms.find((form) => form.includes('name="patient"'))
  const withSearch = forms.find((form) => form.includes('name="search"'))
  const form = withPatients ?? (words === undefined || !withSearch ? forms.at(-1) : withSearch)
  if (!form) return undefined
  const inputs = form.match(/<input[^>]*>/g) ?? []
  const token = inputs.find((input) => input.includes('name="form"'))
  const body = new URLSearchParams({ form: token ? attribute(token, 'value') : '' })
  const offered = inputs.filter((input) => input.includes('type="checkbox"')).map((input) => attribute(input, 'value'))
  if (deny) body.set('decision', 'deny')
  else if (withPatients) body.set('patient', patient ?? '')
  else if (form === withSearch) body.set('search', words ?? '')
  else {
    body.set('decision', 'allow')
    for (const scope of allow ? allow(offered) : offered) body.append('scope', scope)
  }
  return { action: attribute(form.slice(0, form.indexOf('>') + 1), 'action'), body, offered }
}

export type TokenAnswer = { status: number; headers: Headers; body: Record<string, unknown> }

export async function post(
  url: string,
  form: Record<string, string> | URLSearchParams | string,
  headers: Record<string, string> = {},
): Promise<TokenAnswer> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    body: typeof form === 'string' ? form : new URLSearchParams(form),
    redirect: 'manual',
  })
  const text = await response.text()
  let body: Record<string, unknown> = {}
  try {
    body = JSON.parse(text) as Record<string, unknown>
  } catch {
    body = { text }
  }
  return { status: response.status, headers: response.headers, body }
}

export const basic = (id: string, secret: string): Record<string, string> => ({
  authorization: `Basic ${Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString('base64')}`,
})

/** The code becomes a token; `form` replaces or leaves out parameters. */
export async function exchange(
  { issuer }: World,
  authorized: Pick<Authorized, 'back' | 'verifier'>,
  form: Record<string, string | undefined> & { client_id?: string | undefined },
  headers: Record<string, string> = {},
): Promise<TokenAnswer> {
  const all = {
    grant_type: 'authorization_code',
    code: authorized.back.get('code') ?? 'none',
    redirect_uri: 'https://app.example/back',
    code_verifier: authorized.verifier,
    ...form,
  }
  const given = Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined)
  return post(`${issuer}/token`, Object.fromEntries(given), headers)
}

/** Authorization and token in one, for an app without a secret. */
export async function tokenOf(world: World, ask: Ask): Promise<Record<string, unknown>> {
  const authorized = await authorize(world, ask)
  const { status, body } = await exchange(world, authorized, {
    client_id: ask.client,
    ...(ask.redirectUri !== undefined && { redirect_uri: ask.redirectUri }),
  })
  expect([status, body['error_description'] ?? authorized.back.get('error_description') ?? '']).toEqual([200, ''])
  return body
}

export async function fhir({ base }: World, path: string, token?: unknown, init: RequestInit = {}) {
  const response = await fetch(path === '' ? base : `${base}/${path}`, {
    ...init,
    headers: {
      ...(token !== undefined && { authorization: `Bearer ${String(token)}` }),
      ...(init.body !== undefined && { 'content-type': 'application/fhir+json' }),
      ...(init.headers as Record<string, string> | undefined),
    },
  })
  const text = await response.text()
  return {
    status: response.status,
    headers: response.headers,
    text,
    json: () => JSON.parse(text) as Record<string, never>,
  }
}

export type KeyPair = { private: KeyObject; jwk: Record<string, unknown>; alg: 'RS384' | 'ES384'; kid: string }

export function keyPair(alg: 'RS384' | 'ES384', kid: string = randomUUID()): KeyPair {
  const { privateKey, publicKey } =
    alg === 'ES384'
      ? generateKeyPairSync('ec', { namedCurve: 'P-384' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 })
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig', key_ops: ['verify'] }
  return { private: privateKey, jwk, alg, kid }
}

/** https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html#authentication-jwt */
export function assertion(
  { issuer }: Pick<World, 'issuer'>,
  client: string,
  key: KeyPair,
  { claims = {}, header = {} }: { claims?: Record<string, unknown>; header?: Record<string, unknown> } = {},
): string {
  const now = Math.floor(Date.now() / 1000)
  const all = {
    iss: client,
    sub: client,
    aud: `${issuer}/token`,
    exp: now + 300,
    jti: randomUUID(),
    ...claims,
  }
  const payload = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
  const parts = [{ alg: key.alg, typ: 'JWT', kid: key.kid, ...header }, payload]
  const input = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  const signature = sign('sha384', Buffer.from(input), { key: key.private, dsaEncoding: 'ieee-p1363' })
  return `${input}.${signature.toString('base64url')}`
}

export const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

export const backendForm = (client_assertion: string, scope: string): Record<string, string> => ({
  grant_type: 'client_credentials',
  client_assertion_type: assertionType,
  client_assertion,
  scope,
})

export const payloadOf = (token: unknown): Record<string, unknown> =>
  JSON.parse(Buffer.from(String(token).split('.')[1]!, 'base64url').toString()) as Record<string, unknown>

export const headerOf = (token: unknown): Record<string, unknown> =>
  JSON.parse(Buffer.from(String(token).split('.')[0]!, 'base64url').toString()) as Record<string, unknown>
