/**
 * Which web pages may call from a browser: none, unless their origin is in the settings.
 *
 * https://fetch.spec.whatwg.org/#http-cors-protocol
 */
import type { IncomingMessage } from 'node:http'

const exposed = 'ETag, Location, Content-Location, Last-Modified, X-Request-Id, Retry-After'
const requested =
  'Accept, Authorization, Content-Type, If-Match, If-None-Match, If-Modified-Since, If-None-Exist, Prefer, Idempotency-Key, X-Request-Id, X-Security-Context'

/** The headers for a page of an allowed origin, as a flat list; `preflight` are the methods a preflight asks about. */
export function corsHeaders(request: IncomingMessage, origins: readonly string[], preflight?: string): string[] {
  const { origin } = request.headers
  if (origin === undefined || origins.length === 0) return []
  if (!origins.includes('*') && !origins.includes(origin)) return []
  const headers = ['Access-Control-Allow-Origin', origin, 'Access-Control-Expose-Headers', exposed]
  if (preflight === undefined) return headers
  return [
    ...headers,
    ...['Access-Control-Allow-Methods', preflight],
    ...['Access-Control-Allow-Headers', requested],
    ...['Access-Control-Max-Age', '600'],
  ]
}
