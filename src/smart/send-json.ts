/**
 * JSON answers of the authorization server: those nobody may keep, and those that are for everybody.
 *
 * https://datatracker.ietf.org/doc/html/rfc6749#section-5.1
 */
import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { JsonObject } from '../fhir/index.js'

/** An answer to one client alone. */
export function sendJson(
  response: ServerResponse,
  status: number,
  body: JsonObject,
  headers: Record<string, string> = {},
): void {
  const bytes = Buffer.from(JSON.stringify(body))
  response.writeHead(status, {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': bytes.length,
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    ...headers,
  })
  response.end(bytes)
}

/** For everybody, from pages of any origin, with a validator. */
export function sendOpen(
  request: IncomingMessage,
  response: ServerResponse,
  body: JsonObject,
  type = 'application/json; charset=utf-8',
): void {
  response.setHeader('Access-Control-Allow-Origin', '*')
  response.setHeader('X-Content-Type-Options', 'nosniff')
  if (request.method === 'OPTIONS') {
    response.writeHead(204, {
      'Access-Control-Allow-Methods': 'GET, HEAD',
      'Access-Control-Allow-Headers': String(request.headers['access-control-request-headers'] ?? 'accept'),
      'Access-Control-Max-Age': '3600',
    })
    response.end()
    return
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    sendJson(response, 405, { error: 'invalid_request' }, { Allow: 'GET, HEAD, OPTIONS' })
    return
  }
  const bytes = Buffer.from(JSON.stringify(body))
  const etag = `W/"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`
  response.setHeader('ETag', etag)
  response.setHeader('Access-Control-Expose-Headers', 'ETag')
  if (request.headers['if-none-match'] === etag) {
    response.writeHead(304)
    response.end()
    return
  }
  response.writeHead(200, { 'Content-Type': type, 'Content-Length': bytes.length })
  response.end(request.method === 'HEAD' ? undefined : bytes)
}
