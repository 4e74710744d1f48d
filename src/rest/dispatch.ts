/**
 * Batch entries that are no writes of one resource (reads, searches, operations): answered by the same table of routes.
 *
 * https://hl7.org/fhir/R4/http.html#transaction
 */
import { instant } from '../fhir/index.js'
import { type BatchRequest, type BatchResponse, type Context, type Dispatch, etag } from '../interactions/index.js'
import { type Answer, collected } from './answer.js'
import { type Exchange, preferOf, preferring, splitQuery } from './exchange.js'
import { locate } from './locate.js'
import { operationAt } from './operation.js'
import { routeOf } from './routes.js'
import type { Service } from './service.js'

export function dispatcher(service: Service, context: Context): Dispatch {
  const dispatch = async (request: BatchRequest) => {
    const exchange = entryExchange(service, context, request)
    const answer = await routeOf(request.method, exchange.place).answer(exchange)
    return responseOf(exchange, answer.pieces ? await collected(answer, answer.pieces) : answer)
  }
  return Object.assign(dispatch, {
    affectsState: (url: string) => {
      const place = locate(pathOf(url))
      return place.shape === 'operation' && operationAt({ service, place }).affectsState
    },
  })
}

function pathOf(url: string): string {
  const mark = url.indexOf('?')
  const path = mark < 0 ? url : url.slice(0, mark)
  return path === '' || path.startsWith('/') ? path : `/${path}`
}

function entryExchange(service: Service, context: Context, request: BatchRequest): Exchange {
  const { url, method } = request
  const mark = url.indexOf('?')
  const source = { kind: 'entry', request } as const
  const prefer = preferOf(source)
  return {
    service,
    context: preferring(context, prefer),
    place: locate(pathOf(url)),
    method,
    ...splitQuery(mark < 0 ? '' : url.slice(mark + 1), service.limits.parametersMax),
    prefer,
    source,
  }
}

function responseOf({ context, place, method }: Exchange, { status, stored, location, body }: Answer): BatchResponse {
  const isResource = place.shape === 'instance' || place.shape === 'version'
  return {
    status,
    ...(stored && { etag: etag(stored.version), lastModified: instant(stored.updated) }),
    ...(location !== undefined && { location }),
    ...(body && method !== 'HEAD' && { body }),
    ...(body && isResource && { fullUrl: `${context.baseUrls[0]}/${place.type}/${place.id}` }),
  }
}
