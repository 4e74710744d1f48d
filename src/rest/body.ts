/**
 * Request bodies: collected within the limit, decompressed, and read as resources.
 *
 * https://hl7.org/fhir/R4/http.html#mime-type
 */
import type { IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { brotliDecompress, gunzip, inflate } from 'node:zlib'
import {
  type FhirError,
  invalid,
  isObject,
  type Json,
  JsonError,
  parseJson,
  type Resource,
  structure,
  tooLarge,
  unsupportedMedia,
} from '../fhir/index.js'

type Decode = (input: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>

const gunzipped: Decode = promisify<Buffer, { maxOutputLength: number }, Buffer>(gunzip)
const decoders = new Map<string, Decode>([
  ['gzip', gunzipped],
  ['x-gzip', gunzipped],
  ['deflate', promisify<Buffer, { maxOutputLength: number }, Buffer>(inflate)],
  ['br', promisify<Buffer, { maxOutputLength: number }, Buffer>(brotliDecompress)],
])

const overLimit = (bodyMax: number): FhirError =>
  tooLarge(`The body is larger than ${bodyMax} bytes; send it in parts`, undefined, {
    headers: { Connection: 'close' },
  })

/**
 * The body's bytes. What goes over the limit is cut off at once and not read to its end.
 *
 * @throws FhirError 400, 413, 415
 */
export async function readBody(request: IncomingMessage, bodyMax: number): Promise<Buffer> {
  const encoding = request.headers['content-encoding']?.trim().toLowerCase()
  const decode =
    encoding === undefined || encoding === '' || encoding === 'identity' ? undefined : decoders.get(encoding)
  if (encoding && encoding !== 'identity' && !decode)
    throw unsupportedMedia('This Content-Encoding is not understood; send gzip, deflate, br or none')
  const sent = await collect(request, bodyMax)
  if (!decode || sent.length === 0) return sent
  try {
    return await decode(sent, { maxOutputLength: bodyMax })
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw overLimit(bodyMax)
    throw invalid('The body is not what its Content-Encoding says', undefined, { cause })
  }
}

function collect(request: IncomingMessage, bodyMax: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    if (Number(request.headers['content-length']) > bodyMax) return reject(overLimit(bodyMax))
    const chunks: Buffer[] = []
    let size = 0
    request.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > bodyMax) {
        request.removeAllListeners('data')
        request.pause()
        reject(overLimit(bodyMax))
      } else chunks.push(chunk)
    })
    request.on('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size)))
    // The client went away; nobody will read the answer.
    request.on('error', (cause) => reject(invalid('The body ended too early', undefined, { cause })))
  })
}

/** @throws FhirError 400 with the place of what is wrong */
export function parseBody(bytes: Buffer): Json {
  if (bytes.length === 0) throw invalid('The request needs a body')
  try {
    return parseJson(bytes)
  } catch (cause) {
    if (!(cause instanceof JsonError)) throw cause
    throw structure(`The body is not JSON as FHIR writes it: ${cause.message}`, undefined, { cause })
  }
}

const isResource = (value: Json): value is Resource => isObject(value) && typeof value['resourceType'] === 'string'

/** @throws FhirError 400 */
export function asResource(value: Json): Resource {
  if (!isObject(value)) throw structure('The body must be a JSON object: one resource')
  if (!isResource(value)) throw structure('The body has no resourceType; name the type of the resource')
  return value
}
