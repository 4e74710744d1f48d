/**
 * Binary: content in its own type, and the same as a resource for who asks for FHIR's types.
 *
 * https://hl7.org/fhir/R4/binary.html#rest
 *
 * Content is offered as a download and never shown in our origin, because anybody may have uploaded it. Generic types
 * (application/json) mean the content itself, unless what was sent says that it is a Binary resource.
 */
import { isObject, notAcceptable, parseJson, type Resource, unsupportedMedia } from '../fhir/index.js'
import { create, update } from '../interactions/index.js'
import type { Answer } from './answer.js'
import { readBody } from './body.js'
import { type Exchange, preconditionsOf, resourceFrom } from './exchange.js'
import { answerCreate, answerRead, answerUpdate, answerVread, writtenAnswer } from './instance.js'
import { contentKind, isFhirType, isGenericType, mediaRanges } from './negotiate.js'

export const answerBinaryRead = async (exchange: Exchange): Promise<Answer> =>
  native(exchange, await answerRead(exchange))

export const answerBinaryVread = async (exchange: Exchange): Promise<Answer> =>
  native(exchange, await answerVread(exchange))

/** The content instead of the resource, where the client wants it so. */
function native({ source, form }: Exchange, answer: Answer): Answer {
  if (source.kind === 'entry' || form.some(([name]) => name === '_format') || !answer.body) return answer
  const { rest, data } = contentOf(answer.body)
  const contentType = mediaTypeOf(rest['contentType'])
  if (!wantsNative(source.request.headers.accept, contentType)) return answer
  const { stored } = answer
  return {
    status: 200,
    ...(stored && { stored }),
    contentType,
    headers: { 'Content-Disposition': 'attachment' },
    ...decoded(data),
  }
}

function wantsNative(accept: string | undefined, contentType: string): boolean {
  if (accept === undefined) return true
  const [type = '', sort = ''] = contentType.split(';')[0]!.trim().toLowerCase().split('/')
  for (const range of mediaRanges(accept)) {
    if (isFhirType(range.type)) return false
    if (range.type === '*/*' || range.type === `${type}/*` || range.type === `${type}/${sort}`) return true
    if (isGenericType(range.type)) return false
  }
  throw notAcceptable('This Binary is of another type than Accept allows; allow */* or application/fhir+json')
}

/** Headers are ASCII on one line; what is no media type is answered as plain bytes. */
const mediaTypeOf = (contentType: unknown): string =>
  typeof contentType === 'string' && /^[\w.+-]+\/[\w.+-]+(\s*;[\x20-\x7e]*)?$/.test(contentType)
    ? contentType
    : 'application/octet-stream'

const dataKey = '"data":"'

/** The resource without its data, and the data as base64. Large data at the end, where we write it, is not parsed. */
function contentOf(body: Buffer): { rest: Resource; data: Buffer } {
  const start = body.lastIndexOf(dataKey) + dataKey.length
  const end = body.length - 2
  if (start > dataKey.length && body.indexOf('"', start) === end)
    return {
      rest: parseJson(Buffer.concat([body.subarray(0, start), body.subarray(end)])) as Resource,
      data: body.subarray(start, end),
    }
  const rest = parseJson(body)
  const text = isObject(rest) && typeof rest['data'] === 'string' ? rest['data'] : ''
  return { rest: rest as Resource, data: Buffer.from(text.replace(/\s/g, ''), 'latin1') }
}

/** A multiple of four letters of base64. */
const pieceSize = 256 * 1024

function decoded(data: Buffer): Pick<Answer, 'body' | 'pieces' | 'length'> {
  const isPlain = data.length % 4 === 0 && !data.includes(' ') && !data.includes('\\')
  if (data.length <= pieceSize || !isPlain) return { body: Buffer.from(unescaped(data), 'base64') }
  const padding = data[data.length - 1] !== 61 ? 0 : data[data.length - 2] !== 61 ? 1 : 2
  return { pieces: pieces(data), length: (data.length / 4) * 3 - padding }
}

/** base64 may be broken into lines, which JSON writes as escapes. */
const unescaped = (data: Buffer): string => {
  const text = data.toString('latin1')
  return text.includes('\\') ? text.replace(/\\[nrt]/g, '').replaceAll('\\/', '/') : text
}

async function* pieces(data: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < data.length; at += pieceSize)
    yield Buffer.from(data.toString('latin1', at, at + pieceSize), 'base64')
}

export async function answerBinaryCreate(exchange: Exchange): Promise<Answer> {
  const resource = await uploaded(exchange)
  if (!resource) return answerCreate(exchange)
  return writtenAnswer(exchange, await create(exchange.context, resource, preconditionsOf(exchange)))
}

export async function answerBinaryUpdate(exchange: Exchange): Promise<Answer> {
  const resource = await uploaded(exchange)
  if (!resource) return answerUpdate(exchange)
  const id = exchange.place.id!
  return writtenAnswer(
    exchange,
    await update(exchange.context, { type: 'Binary', id }, { ...resource, id }, preconditionsOf(exchange)),
  )
}

/** The content that was sent as a Binary resource; undefined where a resource was sent, which is not read yet. */
async function uploaded({ source, service }: Exchange): Promise<Resource | undefined> {
  if (source.kind === 'entry') return undefined
  const { request } = source
  const contentType = request.headers['content-type']?.replace(/\s+/g, ' ').trim()
  if (contentType === undefined || contentType === '')
    throw unsupportedMedia('Content needs a Content-Type: its own, or application/fhir+json for a Binary resource')
  const type = contentType.split(';')[0]!.trim().toLowerCase()
  if (isFhirType(type)) return undefined
  if (mediaTypeOf(contentType) !== contentType) throw unsupportedMedia('The Content-Type is no media type')
  const bytes = await readBody(request, service.limits.bodyMax)
  if (isGenericType(type) && saysBinary(bytes)) return resourceFrom(bytes, contentKind(contentType))
  const context = request.headers['x-security-context']
  return {
    resourceType: 'Binary',
    contentType,
    ...(typeof context === 'string' && { securityContext: { reference: context } }),
    // Last, where `contentOf` looks for it.
    ...(bytes.length > 0 && { data: bytes.toString('base64') }),
  }
}

const saysBinary = (bytes: Buffer): boolean =>
  /^\s*\{[^{[]*"resourceType"\s*:\s*"Binary"|^\s*(<\?[^>]*>\s*)?<Binary\s[^>]*http:\/\/hl7\.org\/fhir"/.test(
    bytes.subarray(0, 4096).toString(),
  )
