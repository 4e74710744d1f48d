/**
 * The FHIR endpoint: a plain function of request and response, to be called directly or mounted in Express.
 *
 * https://hl7.org/fhir/R4/http.html
 *
 * Nothing is made for a request that could have been made before: the framework's router costs more than a read.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { anyone, type Caller } from '../access/index.js'
import { FhirError, notFound, unavailable } from '../fhir/index.js'
import type { Origin } from '../interactions/index.js'
import { type Answer, always, alwaysSecure, failure, type Sending, send } from './answer.js'
import { corsHeaders } from './cors.js'
import { fhirErrorOf } from './errors.js'
import { type Exchange, preferOf, preferring, splitQuery } from './exchange.js'
import { locate, type Shape } from './locate.js'
import { type Format, fallbackFormat, formatParameter, negotiate } from './negotiate.js'
import { recorded, recordStranger } from './recorded.js'
import { requestIdOf } from './request-id.js'
import { allowed, routeOf } from './routes.js'
import type { Done, Service } from './service.js'

const none: readonly string[] = []

export type FhirHandler = (request: IncomingMessage, response: ServerResponse) => void

/** `basePath` is the path of the base URL, such as `/fhir`; inside Express it is the path of the mount. */
export function fhirHandler(service: Service, basePath: string): FhirHandler {
  return (request, response) => {
    void respond(service, basePath, request, response)
  }
}

async function respond(
  service: Service,
  basePath: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const started = performance.now()
  const sending: Sending = {
    request,
    response,
    format: fallbackFormat,
    compress: service.compress,
    always: service.secure ? alwaysSecure : always,
    extra: none,
  }
  const done: Done = { interaction: 'none', type: undefined, status: 0, milliseconds: 0 }
  let answer: Answer
  try {
    answer = await answered(service, basePath, sending, done)
  } catch (error) {
    if (sending.format === fallbackFormat) sending.format = formatOfFailure(request, service.limits.parametersMax)
    answer = failure(fhirErrorOf(error, service.report))
  }
  try {
    if (answer.form?.length) sending.format = formatOf(request, answer.form)
    const sent = send(sending, answer)
    if (sent) await sent
  } catch (error) {
    await sendFailure(service, sending, error)
  }
  if (answer.status >= 400) endUpload(request)
  done.status = response.statusCode
  done.milliseconds = performance.now() - started
  service.observe(done)
}

/** An answer that cannot be written as it was asked for (characters XML has not), or a stream that broke. */
async function sendFailure(service: Service, sending: Sending, error: unknown): Promise<void> {
  const failed = fhirErrorOf(error, service.report)
  if (sending.response.headersSent) sending.response.destroy()
  else await send({ ...sending, format: fallbackFormat }, failure(failed))
}

const lingerMs = 3000

/**
 * A client that is still sending what was refused hears so, and then no longer has our ear. Cutting it off at once
 * would take the answer away as well.
 */
function endUpload(request: IncomingMessage): void {
  if (request.complete) return
  request.resume()
  setTimeout(() => {
    if (!request.complete) request.destroy()
  }, lingerMs).unref()
}

/** Throws what is wrong with the request itself, and promises the rest. Fills in `done` as it learns. */
function answered(service: Service, basePath: string, sending: Sending, done: Done): Promise<Answer> | Answer {
  const { request } = sending
  const url = request.url ?? ''
  const { limits } = service
  const origin = service.origin(request)
  if (origin || request.headers['x-request-id'] !== undefined || request.headers.origin !== undefined)
    sending.extra = earned(request, origin, service.allowsOrigin)
  if (service.isOverloaded())
    throw unavailable('More is asked of the server than it can do; try again in a second', undefined, {
      headers: { 'Retry-After': '1' },
    })
  if (url.length > limits.urlMax)
    throw new FhirError(414, [
      {
        severity: 'error',
        code: 'too-long',
        diagnostics: `The URL is longer than ${limits.urlMax} characters; send the parameters with POST _search`,
      },
    ])
  const mark = url.indexOf('?')
  const path = belowBase(request, mark < 0 ? url : url.slice(0, mark), basePath)
  const place = locate(path)
  done.type = place.type
  // https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#considerations-for-cross-origin-resource-sharing-cors-support
  if (place.shape === 'metadata' && request.headers.origin !== undefined)
    sending.extra = earned(request, origin, () => true)
  if (request.method === 'OPTIONS') return options(service, sending, place.shape)
  const split = splitQuery(mark < 0 ? '' : url.slice(mark + 1), limits.parametersMax)
  const route = routeOf(request.method ?? 'GET', place)
  done.interaction = route.interaction
  sending.format = formatOf(request, split.form, route.native)
  const source = { kind: 'http', request } as const
  const prefer = preferOf(source)
  const answer = (caller: Caller, admitted: Caller | undefined) => {
    service.admit(admitted, request)
    return recorded(route, {
      service,
      context: preferring(service.context(caller, request, origin), prefer),
      place,
      method: request.method ?? 'GET',
      ...split,
      prefer,
      source,
    })
  }
  // What the server can do is told to everybody: https://hl7.org/fhir/R4/http.html#capabilities
  if (route.interaction === 'capabilities') return answer(anyone, undefined)
  const strange = async (error: unknown): Promise<never> => {
    // Who asks too often was heard already; an event for each request would fill the log for whoever wants it full.
    if (!isThrottled(error))
      await recordStranger(service, { request, origin }, { interaction: route.interaction, place, error })
    throw error
  }
  const caller = identified(service, request)
  return caller instanceof Promise ? caller.then((found) => answer(found, found), strange) : answer(caller, caller)
}

const isThrottled = (error: unknown): boolean => error instanceof FhirError && error.status === 429

/** Who cannot be identified asks as often as an address may: tokens are not to be guessed. */
function identified(service: Service, request: IncomingMessage): Caller | Promise<Caller> {
  const strange = (error: unknown): never => {
    service.admit(undefined, request)
    throw error
  }
  try {
    const caller = service.identify(request)
    return caller instanceof Promise ? caller.catch(strange) : caller
  } catch (error) {
    return Promise.reject(error).catch(strange)
  }
}

/** Express takes the path of the mount away from `url` and leaves it in `baseUrl`. */
function belowBase(request: IncomingMessage & { baseUrl?: string }, path: string, basePath: string): string {
  if (request.baseUrl) return path
  const below = path.startsWith(basePath) ? path.slice(basePath.length) : undefined
  if (below === undefined || (below !== '' && below[0] !== '/')) throw notFound('There is no FHIR server at this path')
  return below
}

function formatOf(request: IncomingMessage, form: Exchange['form'], native = false): Format {
  const { accept } = request.headers
  if (form.length === 0) return native ? tolerant(accept) : negotiate(accept)
  let format: Format | undefined
  let pretty: boolean | undefined
  for (const [name, value] of form) {
    if (name === '_format') format = formatParameter(value)
    else pretty = value !== 'false'
  }
  format ??= native ? tolerant(accept) : negotiate(accept)
  return pretty === undefined ? format : { ...format, pretty }
}

/** What is wrong with a request may be found before its format was looked at: a path FHIR does not have, say. */
function formatOfFailure(request: IncomingMessage, parametersMax: number): Format {
  const url = request.url ?? ''
  const mark = url.indexOf('?')
  try {
    return formatOf(request, splitQuery(mark < 0 ? '' : url.slice(mark + 1), parametersMax).form, true)
  } catch (error) {
    if (error instanceof FhirError) return fallbackFormat
    throw error
  }
}

/** Where content has a type of its own, Accept may name types that are none of ours. */
function tolerant(accept: string | undefined): Format {
  try {
    return negotiate(accept)
  } catch (error) {
    if (error instanceof FhirError && error.status === 406) return fallbackFormat
    throw error
  }
}

function options(service: Service, sending: Sending, shape: Shape): Answer {
  const allow = allowed(shape)
  const allows = shape === 'metadata' ? () => true : service.allowsOrigin
  sending.extra = [...requestId(sending.request, undefined), ...corsHeaders(sending.request, allows, allow)]
  return { status: 204, headers: { Allow: allow } }
}

/** The headers that depend on the request; of most the id alone. */
function earned(request: IncomingMessage, origin: Origin | undefined, allows: (origin: string) => boolean): string[] {
  const id = requestId(request, origin)
  return request.headers.origin === undefined ? id : [...id, ...corsHeaders(request, allows)]
}

/** https://hl7.org/fhir/R4/http.html#custom: the client's id of the request comes back, or the one that is recorded. */
function requestId(request: IncomingMessage, origin: Origin | undefined): string[] {
  const id = origin?.id ?? requestIdOf(request)
  return id === undefined ? [] : ['X-Request-Id', id]
}
