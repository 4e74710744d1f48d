/**
 * What a request is answered with, before and on the wire.
 *
 * https://hl7.org/fhir/R4/http.html
 *
 * An Answer says nothing of HTTP's mechanics, so that a batch entry has one too; `send` turns it into headers and bytes:
 * format, compression, HEAD. Headers are written once, as one flat list, because that is what Node does fastest.
 */
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type FhirError, type JsonObject, parseJson, type Resource, writeJson, writeXml } from '../fhir/index.js'
import { etag } from '../interactions/index.js'
import type { Stored } from '../store/index.js'
import { compress, compressMin, compressor, type Encoding, encodingOf } from './compress.js'
import type { Format } from './negotiate.js'
import type { Parameter } from './parameters.js'

/** `body` and `pieces` are one JSON document unless `contentType` says what else they are. */
export type Answer = {
  status: number
  body?: Buffer
  pieces?: AsyncIterable<Buffer>
  contentType?: string
  /** How many bytes the pieces are together, where it is known. */
  length?: number
  /** The version whose ETag and Last-Modified are sent. */
  stored?: Pick<Stored, 'version' | 'updated'>
  location?: string
  contentLocation?: string
  headers?: Record<string, string>
  /** What a form said about the form of the answer: `_format`, `_pretty`. */
  form?: Parameter[]
}

const dates = new Map<number, string>()

/** As HTTP writes it. Resources are loaded many a second, and a date costs more than finding it again. */
function httpDate(ms: number): string {
  const second = Math.floor(ms / 1000)
  let date = dates.get(second)
  if (date === undefined) {
    date = new Date(ms).toUTCString()
    if (dates.size >= 1000) dates.clear()
    dates.set(second, date)
  }
  return date
}

export const resourceAnswer = (status: number, resource: JsonObject): Answer => ({
  status,
  body: Buffer.from(writeJson(resource)),
})

export const failure = (error: FhirError): Answer => ({
  ...resourceAnswer(error.status, error.outcome),
  ...(error.options.headers && { headers: error.options.headers }),
})

/** Sent with every answer. Records of patients are not for caches, frames, or browsers that guess types. */
export const always: readonly string[] = [
  'Cache-Control',
  'no-store',
  'Content-Security-Policy',
  "default-src 'none'; frame-ancestors 'none'; sandbox",
  'X-Content-Type-Options',
  'nosniff',
  'Referrer-Policy',
  'no-referrer',
  'Vary',
  'Accept, Accept-Encoding, Authorization, Origin',
]

/** A year of https: for browsers that came by it: https://datatracker.ietf.org/doc/html/rfc6797#section-6.1 */
export const alwaysSecure: readonly string[] = [...always, 'Strict-Transport-Security', 'max-age=31536000']

/** What `send` needs to know besides the answer. `always` and `extra` (what the request earned) are flat lists. */
export type Sending = {
  request: IncomingMessage
  response: ServerResponse
  format: Format
  compress: boolean
  always: readonly string[]
  extra: readonly string[]
}

/** Promises its end only where something must be waited for: compression, a stream. */
export function send(sending: Sending, answer: Answer): Promise<void> | undefined {
  const { response, format } = sending
  if (response.headersSent || response.destroyed) return undefined
  const isFhir = answer.contentType === undefined
  if (answer.pieces) {
    if (!isFhir || (format.kind === 'json' && !format.pretty)) return stream(sending, answer, answer.pieces)
    return collected(answer, answer.pieces).then((whole) => send(sending, whole))
  }
  const headers = headersOf(sending, answer)
  if (!answer.body) {
    if (answer.status !== 204 && answer.status !== 304) headers.push('Content-Length', '0')
    response.writeHead(answer.status, headers)
    response.end()
    return undefined
  }
  headers.push('Content-Type', answer.contentType ?? format.contentType)
  const body = isFhir ? represent(answer.body, format) : answer.body
  const encoding = encodingFor(sending, answer, body.length)
  if (encoding === undefined) return end(sending, answer.status, headers, body)
  headers.push('Content-Encoding', encoding)
  return compress(body, encoding).then((compressed) => end(sending, answer.status, headers, compressed))
}

function end({ request, response }: Sending, status: number, headers: string[], body: Buffer): undefined {
  headers.push('Content-Length', String(body.length))
  response.writeHead(status, headers)
  if (request.method === 'HEAD') response.end()
  else response.end(body)
  return undefined
}

function encodingFor(sending: Sending, { contentType }: Answer, size: number): Encoding | undefined {
  if (!sending.compress || size < compressMin || !isText(contentType)) return undefined
  return encodingOf(sending.request.headers['accept-encoding'])
}

function headersOf({ always, extra }: Sending, { stored, location, contentLocation, headers }: Answer): string[] {
  const list = extra.length ? [...always, ...extra] : always.slice()
  if (stored) list.push('ETag', etag(stored.version), 'Last-Modified', httpDate(stored.updated))
  if (location !== undefined) list.push('Location', location)
  if (contentLocation !== undefined) list.push('Content-Location', contentLocation)
  if (headers) for (const name in headers) list.push(name, headers[name]!)
  return list
}

/** A stored resource or a Bundle in the format that was asked for; the usual one costs nothing. */
function represent(body: Buffer, format: Format): Buffer {
  if (format.kind === 'json' && !format.pretty) return body
  const resource = parseJson(body) as Resource
  return Buffer.from(
    format.kind === 'xml' ? writeXml(resource, { pretty: format.pretty }) : `${writeJson(resource, 2)}\n`,
  )
}

/** Pictures and archives are compressed already. */
const isText = (contentType: string | undefined): boolean =>
  contentType === undefined || /^text\/|[/+](json|xml)\b/.test(contentType)

/** The whole answer at once, for what cannot be streamed. */
export async function collected({ pieces: _, ...answer }: Answer, pieces: AsyncIterable<Buffer>): Promise<Answer> {
  const all: Buffer[] = []
  for await (const piece of pieces) all.push(piece)
  return { ...answer, body: Buffer.concat(all) }
}

/**
 * The first piece is awaited before the head is written, so that what fails at once is still answered as an
 * OperationOutcome. Later the connection is cut: an end that looks good would be a lie.
 */
async function stream(sending: Sending, answer: Answer, pieces: AsyncIterable<Buffer>): Promise<void> {
  const { request, response, format } = sending
  const iterator = pieces[Symbol.asyncIterator]()
  let next = await iterator.next()
  const headers = headersOf(sending, answer)
  headers.push('Content-Type', answer.contentType ?? format.contentType)
  const encoding = encodingFor(sending, answer, Number.POSITIVE_INFINITY)
  if (encoding) headers.push('Content-Encoding', encoding)
  else if (answer.length !== undefined) headers.push('Content-Length', String(answer.length))
  response.writeHead(answer.status, headers)
  if (request.method === 'HEAD') {
    response.end()
    await iterator.return?.()
    return
  }
  const transform = encoding && compressor(encoding)
  transform?.pipe(response)
  const sink = transform ?? response
  const gone = new AbortController()
  response.once('close', () => {
    gone.abort()
    transform?.destroy()
  })
  try {
    for (; !next.done && !response.destroyed; next = await iterator.next())
      if (!sink.write(next.value)) await once(sink, 'drain', { signal: gone.signal }).catch(ignoreAbort)
    sink.end()
  } catch (error) {
    response.destroy()
    throw error
  } finally {
    await iterator.return?.()
  }
}

/** The client left while we waited for it; the loop sees that it did. */
function ignoreAbort(error: unknown): void {
  if (!(error instanceof Error && error.name === 'AbortError')) throw error
}
