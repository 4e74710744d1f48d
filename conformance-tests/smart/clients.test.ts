/**
 * Clients of others, unchanged: fhirclient launches standalone and from the EHR, fhir-kit-client finds the endpoints.
 *
 * https://github.com/smart-on-fhir/client-js, https://github.com/Vermonster/fhir-kit-client
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import { beforeAll, expect, test } from '@jest/globals'
import { Client as KitClient } from 'fhir-kit-client'
import { Browser, hospital, tokenOf, world } from './world.js'

const given = world()
beforeAll(() => hospital(given()))

type Api = {
  authorize(options: Record<string, unknown>): Promise<unknown>
  ready(): Promise<SmartClient>
}
type SmartClient = {
  state: { tokenResponse: Record<string, unknown> }
  patient: { id: string | null }
  encounter: { id: string | null }
  getFhirUser(): string | null
  request<T>(url: string): Promise<T>
  refresh(): Promise<unknown>
}
type Smart = (request: unknown, response: unknown, storage: unknown) => Api

const smart = createRequire(import.meta.url)('fhirclient') as Smart

/** One page of the app: where fhirclient sends the browser. */
function page(storage: Map<string, unknown>, url: string) {
  let location = ''
  const kept = {
    get: async (key: string) => storage.get(key),
    set: async (key: string, value: unknown) => {
      storage.set(key, value)
      return value
    },
    unset: async (key: string) => storage.delete(key),
  }
  const { host, pathname, search } = new URL(url)
  const request = {
    headers: { host },
    url: pathname + search,
    socket: {},
    connection: {},
  } as unknown as IncomingMessage
  const response = {
    writeHead: (_status: number, headers: Record<string, string>) => {
      location = headers['location'] ?? headers['Location'] ?? location
    },
    end: () => {},
  } as unknown as ServerResponse
  return { api: smart(request, response, kept), went: () => location }
}

async function launched(options: Record<string, unknown>, signIn: string): Promise<SmartClient> {
  const storage = new Map<string, unknown>()
  const start = page(storage, 'http://localhost:4000/launch')
  await start.api.authorize({ redirectUri: 'http://localhost:4000/app', ...options })
  // The browser goes through our pages.
  const browser = new Browser(new URL(given().issuer).origin)
  let url = start.went()
  for (let turn = 0; turn < 10 && !url.startsWith('http://localhost:4000'); turn++) {
    const response = await browser.open(url, { headers: { 'x-test-sign-in': signIn } })
    const next = response.headers.get('location')
    if (next !== null) {
      url = next
      continue
    }
    const text = await response.text()
    const form = text.match(/<form[\s\S]*?<\/form>/g)!.at(-1)!
    const body = new URLSearchParams({ decision: 'allow' })
    for (const input of form.match(/<input[^>]*>/g) ?? [])
      body.append(/name="([^"]*)"/.exec(input)![1]!, /value="([^"]*)"/.exec(input)![1]!.replaceAll('&amp;', '&'))
    const answer = await browser.open(/action="([^"]*)"/.exec(form)![1]!, { method: 'POST', body })
    url = answer.headers.get('location')!
  }
  return page(storage, url).api.ready()
}

const app = async (more: object = {}) =>
  (await given().register({ redirectUris: ['http://localhost:4000/app'], name: 'fhirclient', ...more })).client.id

test('fhirclient launches standalone, reads, and refreshes', async () => {
  const client = await launched(
    {
      iss: given().base,
      clientId: await app(),
      scope: 'launch/patient openid fhirUser patient/*.rs offline_access',
      pkceMode: 'required',
    },
    'subject=ada',
  )
  expect(client.patient.id).toBe('ada')
  expect(client.getFhirUser()).toBe('Patient/ada')
  expect(await client.request<{ id: string }>('Patient/ada')).toMatchObject({ resourceType: 'Patient', id: 'ada' })
  const before = client.state.tokenResponse['access_token']
  await client.refresh()
  expect(client.state.tokenResponse['access_token']).not.toBe(before)
  expect(await client.request<{ total: number }>('Observation?patient=ada')).toMatchObject({ total: 2 })
})

test('fhirclient launches from the EHR, with patient and encounter', async () => {
  const clientId = await app({ launchUri: 'http://localhost:4000/launch' })
  const ehr = await tokenOf(given(), {
    client: (await given().register({ firstParty: true })).client.id,
    scope: 'user/*.cruds',
    signIn: 'subject=bob',
  })
  const made = await fetch(`${given().issuer}/launch`, {
    method: 'POST',
    headers: { authorization: `Bearer ${String(ehr['access_token'])}`, 'content-type': 'application/json' },
    body: JSON.stringify({ client_id: clientId, patient: 'ben', encounter: 'visit-ben' }),
  })
  const { launch } = (await made.json()) as { launch: string }
  const client = await launched(
    { iss: given().base, launch, clientId, scope: 'launch openid fhirUser patient/*.rs', pkceMode: 'required' },
    'subject=bob',
  )
  expect([client.patient.id, client.encounter.id, client.getFhirUser()]).toEqual([
    'ben',
    'visit-ben',
    'Practitioner/bob',
  ])
  expect(await client.request<{ id: string }>('Patient/ben')).toMatchObject({ id: 'ben' })
})

test('fhir-kit-client finds the endpoints', async () => {
  const client = new KitClient({ baseUrl: given().base })
  const metadata = (await client.smartAuthMetadata()) as unknown as Record<string, URL>
  expect(String(metadata['authorizeUrl'])).toBe(`${given().issuer}/authorize`)
  expect(String(metadata['tokenUrl'])).toBe(`${given().issuer}/token`)
})

test('fhir-kit-client reads with a token', async () => {
  const token = await tokenOf(given(), {
    client: await app(),
    scope: 'patient/*.rs',
    signIn: 'subject=ada',
    redirectUri: 'http://localhost:4000/app',
  })
  const client = new KitClient({ baseUrl: given().base, bearerToken: String(token['access_token']) })
  expect(await client.read({ resourceType: 'Patient', id: 'ada' })).toMatchObject({ id: 'ada' })
})
