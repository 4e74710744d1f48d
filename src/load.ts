/**
 * Loads files of FHIR data into a running server: Bundles, single resources, NDJSON, in JSON or XML, also gzipped.
 *
 * https://hl7.org/fhir/R4/http.html#transaction
 *
 * It is an ordinary client: what the server refuses is listed at the end, and the rest is loaded all the same.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'
import {
  isId,
  isObject,
  type Json,
  type JsonObject,
  parseJson,
  type Resource,
  readXml,
  writeJson,
} from './fhir/index.js'

export type LoadOptions = {
  /** The FHIR base, without a final slash. */
  to: string
  token?: string
  /** Requests under way at the same time. */
  jobs: number
  onFile?: (file: string, resources: number, done: number, total: number) => void
  fetch?: typeof fetch
}

export type Loaded = {
  files: number
  /** Resources by type that are on the server now, whether created, updated or there already. */
  counts: Record<string, number>
  failures: { file: string; reason: string }[]
  skipped: string[]
}

/** Nothing answers at the address: no use going on. */
export class Unreachable extends Error {
  override name = 'Unreachable'
}

const wanted = /\.(json|ndjson|xml)(\.gz)?$/i

/** One POST or PUT; `body` is JSON text. `fresh` makes it anew when it is to be tried again after others. */
type Request = { method: 'POST' | 'PUT'; path: string; body: string; isBundle: boolean }

/** The files of the paths, in the order of loading: `0-*` holds what the others refer to. */
export function filesOf(paths: string[]): { first: string[]; rest: string[]; named: Set<string> } {
  const named = new Set(paths.filter((path) => statSync(path).isFile()))
  const files = paths.flatMap((path) =>
    named.has(path)
      ? [path]
      : readdirSync(path, { recursive: true, encoding: 'utf8' })
          .filter((name) => wanted.test(name))
          .sort()
          .map((name) => join(path, name)),
  )
  const isFirst = (file: string) => basename(file).startsWith('0-')
  return { first: files.filter(isFirst), rest: files.filter((file) => !isFirst(file)), named }
}

/**
 * @throws Unreachable
 */
export async function load(paths: string[], options: LoadOptions): Promise<Loaded> {
  const { first, rest, named } = filesOf(paths)
  const total = first.length + rest.length
  const loaded: Loaded = { files: 0, counts: {}, failures: [], skipped: [] }
  let done = 0
  let again: { file: string; request: Request; reason: string }[] = []

  const loadFile = async (file: string) => {
    let resources = 0
    try {
      const requests = requestsOf(file)
      if (requests.length === 0 && !named.has(file)) loaded.skipped.push(file)
      else if (requests.length === 0) throw new Error('holds no FHIR resource')
      for (const request of requests) {
        const answer = await send(request, options)
        resources += count(loaded, answer.types)
        for (const { reason, request: failed } of answer.refused) again.push({ file, request: failed, reason })
      }
      if (requests.length) loaded.files++
    } catch (error) {
      if (error instanceof Unreachable) throw error
      loaded.failures.push({ file, reason: error instanceof Error ? error.message : String(error) })
    }
    options.onFile?.(file, resources, ++done, total)
  }

  for (const file of first) await loadFile(file)
  const queue = rest.values()
  const work = async () => {
    for (const file of queue) await loadFile(file)
  }
  await Promise.all(Array.from({ length: options.jobs }, work))

  // Single resources may refer to others that came later: they get another chance as long as that helps.
  for (let before = Number.POSITIVE_INFINITY; again.length && again.length < before; ) {
    before = again.length
    const waiting = again
    again = []
    for (const { file, request } of waiting) {
      const answer = await send(request, options)
      count(loaded, answer.types)
      for (const { reason, request: failed } of answer.refused) again.push({ file, request: failed, reason })
    }
  }
  for (const { file, reason } of again) loaded.failures.push({ file, reason })
  return loaded
}

function count({ counts }: Loaded, types: string[]): number {
  for (const type of types) counts[type] = (counts[type] ?? 0) + 1
  return types.length
}

function requestsOf(file: string): Request[] {
  const raw = readFileSync(file)
  const bytes = /\.gz$/i.test(file) ? gunzipSync(raw) : raw
  if (/\.ndjson(\.gz)?$/i.test(file)) return batches(lines(bytes))
  const isXml = /\.xml(\.gz)?$/i.test(file)
  const tree = isXml ? readXml(bytes) : parseJson(bytes)
  if (!isResource(tree)) return []
  const text = isXml ? writeJson(tree) : bytes.toString()
  if (tree.resourceType !== 'Bundle') return [single(tree, text)]
  const type = tree['type']
  if (type === 'transaction' || type === 'batch') return [{ method: 'POST', path: '', body: text, isBundle: true }]
  if (type !== 'collection' && type !== 'searchset') return [single(tree, text)]
  const entries = Array.isArray(tree['entry']) ? tree['entry'] : []
  return batches(
    entries.flatMap((entry) => (isObject(entry) && isResource(entry['resource']) ? [entry['resource']] : [])),
  )
}

const isResource = (value: Json | undefined): value is Resource =>
  isObject(value) && typeof value['resourceType'] === 'string'

function lines(bytes: Buffer): Resource[] {
  return bytes
    .toString()
    .split('\n')
    .flatMap((line, at) => {
      if (line.trim() === '') return []
      const tree = parseJson(line)
      if (!isResource(tree)) throw new Error(`line ${at + 1} is no FHIR resource`)
      return [tree]
    })
}

const target = ({ resourceType, id }: Resource): { method: 'POST' | 'PUT'; url: string } =>
  typeof id === 'string' && isId(id)
    ? { method: 'PUT', url: `${resourceType}/${id}` }
    : { method: 'POST', url: resourceType }

function single(resource: Resource, body: string): Request {
  const { method, url } = target(resource)
  return { method, path: `/${url}`, body, isBundle: false }
}

const batchSize = 200

function batches(resources: Resource[]): Request[] {
  const requests: Request[] = []
  for (let at = 0; at < resources.length; at += batchSize) {
    const entry = resources.slice(at, at + batchSize).map((resource): Json => ({ resource, request: target(resource) }))
    requests.push({
      method: 'POST',
      path: '',
      body: writeJson({ resourceType: 'Bundle', type: 'batch', entry }),
      isBundle: true,
    })
  }
  return requests
}

type Sent = { types: string[]; refused: { reason: string; request: Request }[] }

async function send(request: Request, options: LoadOptions): Promise<Sent> {
  const response = await exchange(request, options)
  const text = await response.text()
  if (!response.ok) {
    const reason = `${response.status}: ${diagnostics(text) ?? response.statusText}`
    // A transaction stands or falls by itself; a single resource may only have come too early.
    if (request.isBundle) throw new Error(reason)
    return { types: [], refused: [{ reason, request }] }
  }
  if (!request.isBundle) return { types: [request.path.split('/')[1]!], refused: [] }
  return entriesOf(request, parseJson(text))
}

/** What became of the entries of a Bundle, by their response or, in a batch, by what was asked. */
function entriesOf(request: Request, answer: Json): Sent {
  const sent: Sent = { types: [], refused: [] }
  const asked = entryList(parseJson(request.body))
  for (const [at, entry] of entryList(answer).entries()) {
    const response = isObject(entry['response']) ? entry['response'] : {}
    const status = String(response['status'])
    const resource = asked[at]?.['resource']
    if (status.startsWith('2')) {
      if (isResource(resource) && !status.startsWith('204')) sent.types.push(resource.resourceType)
    } else {
      const reason = `entry ${at + 1}, ${status}: ${diagnostics(writeJson(response['outcome'] ?? null)) ?? 'refused'}`
      if (isResource(resource)) sent.refused.push({ reason, request: single(resource, writeJson(resource)) })
      else throw new Error(reason)
    }
  }
  return sent
}

const entryList = (bundle: Json): JsonObject[] =>
  isObject(bundle) && Array.isArray(bundle['entry']) ? bundle['entry'].filter((entry) => isObject(entry)) : []

/** The first sentences of an OperationOutcome. */
function diagnostics(text: string): string | undefined {
  try {
    const outcome = JSON.parse(text) as { issue?: { diagnostics?: string; expression?: string[] }[] }
    const sentences = outcome.issue
      ?.slice(0, 3)
      .map(({ diagnostics, expression }) => [expression?.[0], diagnostics].filter(Boolean).join(': '))
    return sentences?.join('; ') || undefined
  } catch {
    return undefined
  }
}

const triesMax = 8

async function exchange(
  { method, path, body }: Request,
  { to, token, fetch: call = fetch }: LoadOptions,
): Promise<Response> {
  for (let tries = 1; ; tries++) {
    let response: Response
    try {
      response = await call(`${to}${path}`, {
        method,
        body,
        headers: {
          'Content-Type': 'application/fhir+json',
          Accept: 'application/fhir+json',
          Prefer: 'return=minimal',
          ...(token !== undefined && { Authorization: `Bearer ${token}` }),
        },
      })
    } catch (cause) {
      throw new Unreachable(`No server answers at ${to}. Start one with "npm start", or name another with --to URL.`, {
        cause,
      })
    }
    if ((response.status !== 429 && response.status !== 503) || tries === triesMax) return response
    await response.arrayBuffer()
    const seconds = Number(response.headers.get('Retry-After'))
    await sleep(Math.min(60_000, seconds > 0 ? seconds * 1000 : 250 * 2 ** tries))
  }
}
