/**
 * Which web pages may call from a browser: none, unless the settings or a registered app name their origin.
 *
 * https://fetch.spec.whatwg.org/#http-cors-protocol
 */
import type { IncomingMessage } from 'node:http'

const exposed = 'ETag, Location, Content-Location, Last-Modified, X-Request-Id, Retry-After, WWW-Authenticate'
const requested =
  'Accept, Authorization, Content-Type, If-Match, If-None-Match, If-Modified-Since, If-None-Exist, Prefer, Idempotency-Key, X-Request-Id, X-Security-Context'

/**
 * The headers for a page of an allowed origin, as a flat list; `preflight` are the methods a preflight asks about.
 * Credentials are never allowed: a token is sent by the app, not by the browser.
 */
export function corsHeaders(
  { headers: { origin } }: IncomingMessage,
  allows: (origin: string) => boolean,
  preflight?: string,
): string[] {
  if (origin === undefined || !allows(origin)) return []
  const headers = ['Access-Control-Allow-Origin', origin, 'Access-Control-Expose-Headers', exposed]
  if (preflight === undefined) return headers
  return [
    ...headers,
    ...['Access-Control-Allow-Methods', preflight],
    ...['Access-Control-Allow-Headers', requested],
    ...['Access-Control-Max-Age', '600'],
  ]
}
