/**
 * A server whose callers are told by the test: everybody, or whom a header describes.
 */
import type { IncomingMessage } from 'node:http'
import { anyone, type Caller, parseScopes, understood } from '../../src/access/index.js'
import type { Wiring, World } from '../../src/site.js'
import { startTestServer, type TestServer } from '../../src/testing.js'

/** A caller as tests write one: what is left out is harmless. */
export type Who = Partial<Omit<Caller, 'scopes'>> & { role: string; scope?: string }

async function identify(request: IncomingMessage, { context }: World): Promise<Caller> {
  const header = request.headers['x-caller']
  if (typeof header !== 'string') return anyone
  const { scope, ...who } = JSON.parse(header) as Who
  const { searchParams, terminology, baseUrls, settings } = context
  const caller: Caller = {
    kind: 'person',
    id: header,
    tenant: 'default',
    subject: 'test',
    organizations: [],
    hospitals: [],
    purpose: 'TREAT',
    ...who,
  }
  if (scope === undefined) return caller
  const parsing = { searchParams, terminology, baseUrls, ...settings }
  return { ...caller, scopes: await Promise.all(parseScopes(scope).map((each) => understood(each, parsing))) }
}

export const startAccessServer = (settings: Record<string, string> = {}, wiring: Wiring = {}): Promise<TestServer> =>
  startTestServer({ AUTH: 'off', ...settings }, { identify, ...wiring })

export type Answer = { status: number; headers: Headers; text: string }

/** Sends as somebody; as everybody where nobody is named. */
export async function send(
  { fhir }: TestServer,
  who: Who | undefined,
  method: string,
  path: string,
  { body, headers = {} }: { body?: unknown; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const response = await fetch(`${fhir}/${path}`, {
    method,
    headers: {
      ...(who && { 'x-caller': JSON.stringify(who) }),
      ...(body !== undefined && { 'content-type': 'application/fhir+json' }),
      ...headers,
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  return { status: response.status, headers: response.headers, text: await response.text() }
}

export const custodianUrl = 'https://hospitallink.example/fhir/StructureDefinition/custodian'

/** The resource as a hospital's. */
export const of = <T extends object>(hospital: string | undefined, resource: T): T =>
  hospital === undefined
    ? resource
    : {
        ...resource,
        meta: { extension: [{ url: custodianUrl, valueReference: { reference: `Organization/${hospital}` } }] },
      }
