/**
 * One entry of a batch or transaction: what its request asks for.
 *
 * https://hl7.org/fhir/R4/bundle.html#transaction
 */
import {
  FhirError,
  type Issue,
  invalid,
  isObject,
  isResourceType,
  type Json,
  JsonError,
  type JsonObject,
  parseJson,
  type Resource,
  unsupported,
} from '../fhir/index.js'
import type { Event } from './audited.js'
import type { Context, PatchBody, Preconditions } from './context.js'

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

export type Entry = {
  /** The place in the Bundle. */
  index: number
  method: Method
  /** Relative to our base, with its query. */
  url: string
  target: Target
  fullUrl?: string
  resource?: Resource
  preconditions: Preconditions
  ifModifiedSince?: string
}

/** `other`: reads, searches and operations, which the HTTP layer answers. */
export type Target =
  | { kind: 'type'; type: string }
  | { kind: 'instance'; type: string; id: string }
  | { kind: 'criteria'; type: string; criteria: string }
  | { kind: 'other' }

const methods = new Set<string>(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] satisfies Method[])

/** @throws FhirError where the entry is not a request we can carry out */
export function readEntry({ baseUrls }: Pick<Context, 'baseUrls'>, json: Json, index: number): Entry {
  if (!isObject(json)) throw invalid('an entry is an object')
  const { fullUrl, resource, request } = json
  if (!isObject(request)) throw invalid('each entry needs a request with method and url', 'request')
  const method = text(request, 'method') ?? ''
  if (!methods.has(method))
    throw invalid('the method is one of GET, HEAD, POST, PUT, PATCH and DELETE', 'request.method')
  const url = relative(text(request, 'url') ?? '', baseUrls)
  if (fullUrl !== undefined && typeof fullUrl !== 'string') throw invalid('fullUrl is a string', 'fullUrl')
  const ifMatch = text(request, 'ifMatch')
  const ifNoneMatch = text(request, 'ifNoneMatch')
  const ifNoneExist = text(request, 'ifNoneExist')
  const ifModifiedSince = text(request, 'ifModifiedSince')
  const entry: Entry = {
    index,
    method: method as Method,
    url,
    target: targetOf(method as Method, url),
    ...(fullUrl !== undefined && fullUrl !== '' && { fullUrl }),
    preconditions: {
      ...(ifMatch !== undefined && { ifMatch }),
      ...(ifNoneMatch !== undefined && { ifNoneMatch }),
      ...(ifNoneExist !== undefined && { ifNoneExist }),
    },
    ...(ifModifiedSince !== undefined && { ifModifiedSince }),
  }
  return resource === undefined ? withoutResource(entry) : withResource(entry, resource)
}

function text(request: JsonObject, name: string): string | undefined {
  const value = request[name]
  if (value === undefined) return undefined
  if (typeof value !== 'string' || value === '') throw invalid(`${name} is a string`, `request.${name}`)
  return value
}

function withoutResource(entry: Entry): Entry {
  const needed =
    entry.method === 'PUT' || entry.method === 'PATCH' || (entry.method === 'POST' && entry.target.kind === 'type')
  if (needed) throw invalid(`a ${entry.method} needs a resource in its entry`, 'resource')
  return entry
}

function withResource(entry: Entry, resource: Json): Entry {
  if (!isObject(resource) || typeof resource['resourceType'] !== 'string' || !isResourceType(resource['resourceType']))
    throw invalid('the resource has no resourceType that FHIR R4 knows', 'resource')
  if (entry.method === 'POST' && entry.target.kind === 'type' && entry.target.type !== resource['resourceType'])
    throw invalid(`the url names ${entry.target.type} and the resource is another type`, 'resource')
  return { ...entry, resource: resource as Resource }
}

function relative(url: string, baseUrls: readonly string[]): string {
  if (url === '') throw invalid('the request needs a url, such as Patient or Patient/1', 'request.url')
  const base = baseUrls.find((each) => url === each || url.startsWith(`${each}/`) || url.startsWith(`${each}?`))
  const path = base === undefined ? url : url.slice(base.length)
  if (/^[a-z][a-z0-9+.-]*:/i.test(path)) throw invalid('the url is relative to the base of this server', 'request.url')
  return path.startsWith('/') ? path.slice(1) : path
}

function targetOf(method: Method, url: string): Target {
  if (method === 'GET' || method === 'HEAD') return { kind: 'other' }
  const query = url.indexOf('?')
  const path = (query < 0 ? url : url.slice(0, query)).replace(/\/$/, '')
  const criteria = query < 0 ? '' : url.slice(query + 1)
  const [type = '', id, ...more] = path.split('/')
  if (method === 'POST' && (type === '_search' || id === '_search' || path.includes('$'))) return { kind: 'other' }
  if (!isResourceType(type)) throw invalid('the url begins with a resource type of FHIR R4', 'request.url')
  if (more.length) throw unsupported(`${method} goes to Type or Type/id`, 'request.url')
  if (method === 'POST') {
    if (id !== undefined)
      throw invalid('a POST goes to the type; the server assigns the id. PUT to an id', 'request.url')
    return { kind: 'type', type }
  }
  if (id !== undefined) return { kind: 'instance', type, id }
  if (criteria === '') throw invalid(`a ${method} names Type/id, or search parameters after Type?`, 'request.url')
  return { kind: 'criteria', type, criteria }
}

/**
 * A patch inside a Bundle: a Binary with the JSON Patch, or Parameters with a FHIRPath Patch.
 *
 * https://hl7.org/fhir/R4/http.html#patch
 */
export function patchOf(resource: Resource): PatchBody {
  if (resource.resourceType === 'Parameters') return { kind: 'fhirpath', parameters: resource }
  const { contentType, data } = resource
  if (resource.resourceType !== 'Binary' || typeof data !== 'string' || typeof contentType !== 'string')
    throw invalid('a PATCH carries a Binary with a JSON Patch, or Parameters with a FHIRPath Patch', 'resource')
  if (!/^application\/json-patch\+json\s*(;|$)/i.test(contentType))
    throw unsupported('the Binary of a PATCH has the contentType application/json-patch+json', 'resource.contentType')
  try {
    return { kind: 'json', operations: parseJson(Buffer.from(data, 'base64')) }
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    throw invalid(`the JSON Patch in the Binary cannot be read: ${error.message}`, 'resource.data', { cause: error })
  }
}

/** So many resources are named by the event of a Bundle that was refused. */
const namedMax = 50

/** The event of a Bundle, or of an entry, that was refused as a whole: what it asked for, as far as it has an address. */
export function entryEvent(what: 'batch' | 'transaction', entries: readonly Json[]): Event {
  const named = new Set<string>()
  for (const entry of entries) {
    const request = isObject(entry) ? entry['request'] : undefined
    const url = isObject(request) ? request['url'] : undefined
    const [address, type = ''] =
      (typeof url === 'string' && /^\/?([A-Z][A-Za-z]+)(\/[A-Za-z0-9\-.]{1,64})?/.exec(url)) || []
    if (address !== undefined && isResourceType(type)) named.add(address.replace(/^\//, ''))
    if (named.size === namedMax) break
  }
  return { what, ...(named.size > 0 && { data: [...named] }) }
}

/** The error as one of this entry of the Bundle. */
export function atEntry(error: unknown, index: number): unknown {
  if (!(error instanceof FhirError)) return error
  const place = `Bundle.entry[${index}]`
  const issues = error.issues.map((issue): Issue => {
    const within = issue.expression?.map((expression) => placed(place, expression))
    return { ...issue, expression: within ?? [place] }
  })
  return new FhirError(error.status, issues, { ...error.options, cause: error.options.cause ?? error })
}

function placed(place: string, expression: string): string {
  if (expression.startsWith('Bundle.entry[')) return expression
  const dot = expression.indexOf('.')
  const root = dot < 0 ? expression : expression.slice(0, dot)
  if (isResourceType(root)) return `${place}.resource${dot < 0 ? '' : expression.slice(dot)}`
  return /^(request|resource|fullUrl)\b/.test(expression) ? `${place}.${expression}` : place
}
