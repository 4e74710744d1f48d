/**
 * One request as the routes see it: where it goes, what it carries, what it may expect. A batch entry has one too.
 *
 * https://hl7.org/fhir/R4/http.html
 */
import type { IncomingMessage } from 'node:http'
import { invalid, type Resource, readXml } from '../fhir/index.js'
import type { BatchRequest, Context, PatchBody, Preconditions } from '../interactions/index.js'
import { asResource, parseBody, readBody } from './body.js'
import type { Place } from './locate.js'
import { type Content, contentKind, unknownContent } from './negotiate.js'
import { type Parameter, parseParameters } from './parameters.js'
import { type Prefer, parsePrefer } from './prefer.js'
import type { Service } from './service.js'

export type Exchange = {
  service: Service
  context: Context
  place: Place
  method: string
  /** The query string as it came, without what is about the form of the answer. */
  query: string
  parameters: Parameter[]
  /** The parameters about the form of the answer, to be repeated in links. */
  form: Parameter[]
  prefer: Prefer
  source: Source
}

/** Where body and headers come from. */
export type Source = { kind: 'http'; request: IncomingMessage } | { kind: 'entry'; request: BatchRequest }

const formNames = new Set(['_format', '_pretty'])

/** A query string in parts: what is about the form of the answer, and the rest. */
export function splitQuery(query: string, parametersMax: number): Pick<Exchange, 'query' | 'parameters' | 'form'> {
  if (query === '') return { query, parameters: [], form: [] }
  const all = parseParameters(query, parametersMax)
  const form = all.filter(([name]) => formNames.has(name))
  if (form.length === 0) return { query, parameters: all, form }
  return {
    query: query
      .split('&')
      .filter((part) => !/^_(format|pretty)(=|$)/.test(part))
      .join('&'),
    parameters: all.filter(([name]) => !formNames.has(name)),
    form,
  }
}

/** The context with the handling of unknown parameters that the client prefers. */
export function preferring(context: Context, { handling }: Prefer): Context {
  if (handling === undefined || handling === context.settings.handling) return context
  return { ...context, settings: { ...context.settings, handling } }
}

/** The media types a resource may come in. */
const fhirTypes = 'application/fhir+json, application/fhir+xml'

/** The resource in the body. */
export async function resourceOf(exchange: Exchange): Promise<Resource> {
  const resource = await optionalResourceOf(exchange)
  if (!resource) throw invalid('The request needs a resource as its body')
  return resource
}

/** The resource in the body, if there is a body. */
export async function optionalResourceOf({ source, service }: Exchange): Promise<Resource | undefined> {
  if (source.kind === 'entry') return source.request.resource
  const { request } = source
  const content = contentKind(request.headers['content-type'])
  if (content !== 'json' && content !== 'xml') {
    if (!hasBody(request)) return undefined
    throw unknownContent(request.headers['content-type'], fhirTypes)
  }
  const bytes = await readBody(request, service.limits.bodyMax)
  return bytes.length === 0 ? undefined : resourceFrom(bytes, content)
}

export const resourceFrom = (bytes: Buffer, content: Content): Resource =>
  content === 'xml' ? readXml(bytes) : asResource(parseBody(bytes))

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0

/** https://hl7.org/fhir/R4/http.html#patch */
export async function patchOf(exchange: Exchange): Promise<PatchBody> {
  const { source, service } = exchange
  if (source.kind === 'entry') return { kind: 'fhirpath', parameters: await resourceOf(exchange) }
  const { request } = source
  const contentType = request.headers['content-type']
  const content = contentKind(contentType)
  if (content === 'form' || content === 'other')
    throw unknownContent(contentType, `application/json-patch+json (JSON Patch), ${fhirTypes} (FHIRPath Patch)`)
  const bytes = await readBody(request, service.limits.bodyMax)
  if (content === 'xml') return { kind: 'fhirpath', parameters: readXml(bytes) }
  const body = parseBody(bytes)
  // A JSON Patch is a list and a Parameters resource is not, so that application/json can mean either.
  if (content === 'json-patch' || Array.isArray(body)) return { kind: 'json', operations: body }
  return { kind: 'fhirpath', parameters: asResource(body) }
}

/** A form is for searches that a URL is too short for, and not for data. */
const formMax = 1024 * 1024

/** https://hl7.org/fhir/R4/search.html#Introduction: the parameters of URL and form together. */
export async function searchFormOf(exchange: Exchange): Promise<Pick<Exchange, 'parameters' | 'form'>> {
  const { source, service, parameters, form } = exchange
  if (source.kind === 'entry') return exchange
  const { request } = source
  const contentType = request.headers['content-type']
  if (!hasBody(request)) return exchange
  if (contentKind(contentType) !== 'form') throw unknownContent(contentType, 'application/x-www-form-urlencoded')
  const { bodyMax, parametersMax } = service.limits
  const body = (await readBody(request, Math.min(bodyMax, formMax))).toString()
  const sent = splitQuery(body, parametersMax - parameters.length)
  return { parameters: [...parameters, ...sent.parameters], form: [...form, ...sent.form] }
}

/** https://hl7.org/fhir/R4/http.html#concurrency, #ccreate */
export function preconditionsOf({ source }: Exchange): Preconditions {
  if (source.kind === 'entry') return source.request.preconditions
  const { headers } = source.request
  const preconditions: Preconditions = {}
  const idempotencyKey = headers['idempotency-key']
  const ifNoneExist = headers['if-none-exist']
  if (headers['if-match'] !== undefined) preconditions.ifMatch = headers['if-match']
  if (headers['if-none-match'] !== undefined) preconditions.ifNoneMatch = headers['if-none-match']
  if (ifNoneExist !== undefined) preconditions.ifNoneExist = String(ifNoneExist).replace(/^[\w:/.-]*\?/, '')
  if (idempotencyKey !== undefined) preconditions.idempotencyKey = String(idempotencyKey)
  return preconditions
}

export const preferOf = (source: Source): Prefer =>
  parsePrefer(source.kind === 'http' ? flat(source.request.headers.prefer) : source.request.prefer)

const flat = (header: string | string[] | undefined): string | undefined =>
  Array.isArray(header) ? header.join(',') : header
