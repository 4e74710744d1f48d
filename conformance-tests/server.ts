/**
 * The server under test: the one at BASE_URL, or one of ours in a folder of its own for each test file.
 *
 * Everything here goes over HTTP. Importing this file starts the server before the first test and stops it after the
 * last; tests make what they need and never assume that they are alone.
 */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect } from '@jest/globals'
import type { Bundle, BundleEntry, FhirResource, OperationOutcome } from 'fhir/r4.js'

let base = process.env['BASE_URL']?.replace(/\/$/, '') ?? ''
let stop = async () => {}

/** Whether it is ours, so that limits and settings are known. */
export const ours = base === ''

beforeAll(async () => {
  if (!ours) return
  const { startTestServer } = await import('../src/testing.js')
  const server = await startTestServer({ BODY_MAX: '8mb' })
  base = server.baseUrl
  stop = () => server.close()
})

afterAll(() => stop())

export const baseUrl = (): string => base

export type Answer = { status: number; headers: Headers; text: string; bytes: Buffer }

export type Sent = { headers?: Record<string, string>; body?: unknown }

const json = 'application/fhir+json'

/** `path` is relative to the base. A body that is no text or bytes is sent as JSON. */
export async function send(method: string, path: string, { headers = {}, body }: Sent = {}): Promise<Answer> {
  const raw = body === undefined || typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body)
  const response = await fetch(path === '' || path.startsWith('?') ? `${base}${path}` : `${base}/${path}`, {
    method,
    redirect: 'manual',
    headers: { ...(raw !== undefined && { 'content-type': json }), ...headers },
    ...(raw !== undefined && { body: raw as NonNullable<RequestInit['body']> }),
  })
  const bytes = Buffer.from(await response.arrayBuffer())
  return { status: response.status, headers: response.headers, text: bytes.toString(), bytes }
}

export const get = (path: string, headers: Record<string, string> = {}) => send('GET', path, { headers })
export const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  send('POST', path, { body, headers })
export const put = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  send('PUT', path, { body, headers })
export const remove = (path: string, headers: Record<string, string> = {}) => send('DELETE', path, { headers })

/** The body of an answer as a resource. */
export const resourceIn = <T extends FhirResource>({ text }: Answer): T => JSON.parse(text) as T

/** A stored copy of the resource, with its id. */
export async function created<T extends FhirResource>(resource: T): Promise<T & { id: string }> {
  const answer = await post(resource.resourceType, resource)
  expect([answer.status, answer.status === 201 ? '' : answer.text]).toEqual([201, ''])
  return JSON.parse(answer.text) as T & { id: string }
}

/** A Bundle that was asked for and must come. */
export async function bundle(path: string, headers: Record<string, string> = {}): Promise<Bundle> {
  const answer = await get(path, headers)
  expect([answer.status, answer.status === 200 ? '' : answer.text]).toEqual([200, ''])
  return resourceIn<Bundle>(answer)
}

/** A searchset through all its pages, with the ids of each page. */
export async function allPages(
  path: string,
  between: (page: number) => Promise<unknown> = async () => {},
): Promise<Bundle[]> {
  const pages: Bundle[] = []
  let next: string | undefined = path
  while (next !== undefined && pages.length < 1000) {
    const page: Bundle = await bundle(next)
    pages.push(page)
    next = linkOf(page, 'next')
    await between(pages.length)
  }
  return pages
}

/** A link of a Bundle, relative to the base. */
export function linkOf({ link = [] }: Bundle, relation: string): string | undefined {
  const url = link.find((each) => each.relation === relation)?.url
  return url === undefined ? undefined : url.replace(`${base}/`, '').replace(base, '')
}

export const entriesOf = ({ entry = [] }: Bundle, mode?: 'match' | 'include' | 'outcome'): BundleEntry[] =>
  entry.filter(({ search }) => mode === undefined || search?.mode === mode)

/** Ids of the matches, in their order. */
export const idsIn = (found: Bundle): (string | undefined)[] =>
  entriesOf(found, 'match').map(({ resource }) => resource?.id)

/** `Type/id` of every entry, in their order. */
export const refsIn = ({ entry = [] }: Bundle): string[] =>
  entry.map(({ resource }) => `${resource?.resourceType}/${resource?.id}`)

/** That the answer is a failure the client can understand: the status and an OperationOutcome that says why. */
export function expectOutcome(answer: Answer, status: number | number[], code?: string): OperationOutcome {
  const expected = Array.isArray(status) ? status : [status]
  if (!expected.includes(answer.status))
    expect([answer.status, answer.text.slice(0, 500)]).toEqual([expected, 'an OperationOutcome'])
  const outcome = resourceIn<OperationOutcome>(answer)
  expect(outcome.resourceType).toBe('OperationOutcome')
  const issue = outcome.issue.find(({ severity }) => severity === 'error' || severity === 'fatal')
  expect(issue?.diagnostics ?? issue?.details?.text).toBeTruthy()
  if (code !== undefined) expect(outcome.issue.map((each) => each.code)).toContain(code)
  return outcome
}

/** A word no other test uses, to find what one test has made. */
export const unique = (prefix = 'x'): string => `${prefix}${randomUUID().replaceAll('-', '')}`

/** A system for identifiers and tags of one test. */
export const uniqueSystem = (): string => `urn:uuid:${randomUUID()}`
