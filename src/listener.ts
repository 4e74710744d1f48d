/**
 * The port: how connections are held, how long they may take, and what is answered to what is no HTTP.
 *
 * https://nodejs.org/docs/latest-v20.x/api/http.html#class-httpserver
 */
import { readFileSync } from 'node:fs'
import { createServer, type Server as HttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Socket } from 'node:net'
import type { Config } from './config.js'
import { operationOutcome, writeJson } from './fhir/index.js'

export type Handle = (request: IncomingMessage, response: ServerResponse) => void

/** How long nothing may pass on a connection whose request is being answered. */
const silenceMs = 300_000

/** Not listening yet. */
export function listener(config: Config, handle: Handle): HttpServer {
  const options = {
    // Longer heads than Node's 16 kB, so that a URL that is too long is told so by us.
    maxHeaderSize: 96 * 1024,
    requestTimeout: config.requestTimeoutMs,
    headersTimeout: Math.min(60_000, config.requestTimeoutMs),
    connectionsCheckingInterval: Math.min(2_000, config.requestTimeoutMs),
    keepAliveTimeout: config.keepAliveTimeoutMs,
  }
  const { tlsCert, tlsKey } = config
  const server =
    tlsCert === ''
      ? createServer(options, handle)
      : createTlsServer(
          { ...options, cert: readFileSync(tlsCert), key: readFileSync(tlsKey), minVersion: 'TLSv1.2' },
          handle,
        )
  server.maxConnections = config.connectionsMax
  // A client that does not read its answer holds it in our memory.
  server.timeout = silenceMs
  server.on('clientError', answerClientError)
  // Only 100-continue is known: https://datatracker.ietf.org/doc/html/rfc9110#section-10.1.1
  server.on('checkExpectation', (_request, response: ServerResponse) => {
    response.writeHead(417, { 'Content-Type': 'application/fhir+json; charset=utf-8' })
    response.end(outcomeOf('Of Expect only 100-continue is understood'))
  })
  return server
}

/** Lets running requests end, but not for ever. */
export async function closed(server: HttpServer, timeoutMs: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const impatience = setTimeout(() => server.closeAllConnections(), timeoutMs)
    // A connection whose request has just ended would stay open for the next one.
    const tidying = setInterval(() => server.closeIdleConnections(), 20)
    server.close(() => {
      clearTimeout(impatience)
      clearInterval(tidying)
      resolve()
    })
  })
}

export const outcomeOf = (diagnostics: string): string =>
  writeJson(operationOutcome([{ severity: 'error', code: 'invalid', diagnostics }]))

const clientErrors: Record<string, [status: string, diagnostics: string]> = {
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'The URL and the headers together are too long'],
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'The request took too long to arrive'],
}

/** What is no HTTP never becomes a request; it is answered on the bare connection. */
function answerClientError(error: NodeJS.ErrnoException, socket: Socket & { _httpMessage?: unknown }): void {
  // An answer is on its way on this connection: ours would be read as a part of it.
  if (!socket.writable || socket._httpMessage || error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const [status, diagnostics] = clientErrors[error.code ?? ''] ?? ['400 Bad Request', 'The request is not HTTP']
  const body = outcomeOf(diagnostics)
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: application/fhir+json; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}
