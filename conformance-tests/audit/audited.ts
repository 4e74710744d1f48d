/** A server that records every access, and what the tests of the audit log ask of it. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll } from '@jest/globals'
import type { AuditEvent, Bundle, FhirResource, Patient } from 'fhir/r4.js'
import type { TestServer } from '../../src/testing.js'

let server: TestServer

beforeAll(async () => {
  const { startTestServer } = await import('../../src/testing.js')
  server = await startTestServer({ AUDIT: 'on' })
})

afterAll(() => server.close())

export const theServer = (): TestServer => server

export type Answer = { status: number; headers: Headers; text: string; request: string; body: unknown }

/** Every request has an id, by which its events are found. */
export async function send(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const request = headers['x-request-id'] ?? randomUUID()
  const response = await fetch(`${server.fhir}${path === '' || path.startsWith('?') ? path : `/${path}`}`, {
    method,
    headers: {
      ...(body !== undefined && { 'content-type': 'application/fhir+json' }),
      'x-request-id': request,
      ...headers,
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.includes('json') === true
  return {
    status: response.status,
    headers: response.headers,
    text,
    request: response.headers.get('x-request-id') ?? request,
    body: isJson && text !== '' ? JSON.parse(text) : undefined,
  }
}

export const get = (path: string) => send('GET', path)
export const post = (path: string, body: unknown, headers?: Record<string, string>) => send('POST', path, body, headers)
export const put = (path: string, body: unknown, headers?: Record<string, string>) => send('PUT', path, body, headers)

export async function created<T extends FhirResource>(resource: T): Promise<T & { id: string }> {
  const { status, body, text } = await post(resource.resourceType, resource)
  if (status !== 201) throw new Error(`${status} ${text}`)
  return body as T & { id: string }
}

export const aPatient = (more: Partial<Patient> = {}) =>
  created<Patient>({ resourceType: 'Patient', name: [{ family: 'Okello' }], ...more })

export const anObservation = (patient: string, more: object = {}) =>
  created({
    resourceType: 'Observation',
    status: 'final',
    code: { text: 'viral load' },
    subject: { reference: `Patient/${patient}` },
    ...more,
  })

export const resourcesIn = <T extends FhirResource>(bundle: unknown): T[] =>
  ((bundle as Bundle<T>).entry ?? []).flatMap(({ resource }) => (resource ? [resource] : []))

/** The events of one request, oldest first. */
export async function eventsOf({ request }: Pick<Answer, 'request'>): Promise<AuditEvent[]> {
  const { body, status, text } = await get('AuditEvent?_sort=-date&_count=500')
  if (status !== 200) throw new Error(text)
  return resourcesIn<AuditEvent>(body)
    .filter(({ entity = [] }) => entity.some(({ what }) => what?.identifier?.value === request))
    .reverse()
}

/** What an event says in a line: `R read 0 Observation/1/_history/1 Patient/1`. */
export const lineOf = ({ action, subtype, outcome, entity = [] }: AuditEvent): string =>
  [action, subtype?.[0]?.code, outcome, ...entity.flatMap(({ what }) => what?.reference ?? [])].join(' ')
