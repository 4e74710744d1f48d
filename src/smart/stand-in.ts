/**
 * The request that the provider library sees: what the client sent, as we understood it.
 *
 * The library reads streams and trusts Host and X-Forwarded-*. What stands in front of it reads the body once, says
 * where the issuer is, and leaves out what the library must not see.
 */
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'

/** Forms at these endpoints are short; keys and assertions are the longest part. */
export const formMax = 64 * 1024

/** undefined when it is longer than `formMax`. */
export async function bytesOf(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request) {
    length += (chunk as Buffer).length
    if (length > formMax) return undefined
    chunks.push(chunk as Buffer)
  }
  return Buffer.concat(chunks)
}

type Changes = {
  method?: string
  /** Below the issuer: `/token`. */
  url: string
  issuer: URL
  body?: Buffer
}

/** Nothing of a session is kept between two authorizations: a person may be another one in another tab. */
const sessionCookies = /(?:^|; *)_session(?:\.sig)?=[^;]*/g

const isForwarding = /^(x-forwarded-|forwarded$)/

export function standIn(request: IncomingMessage, { method, url, issuer, body }: Changes): IncomingMessage {
  const { cookie, ...kept } = request.headers
  const headers: Record<string, string | string[] | undefined> = Object.fromEntries(
    Object.entries(kept).filter(([name]) => !isForwarding.test(name) && name !== 'transfer-encoding'),
  )
  headers['host'] = issuer.host
  headers['x-forwarded-host'] = issuer.host
  headers['x-forwarded-proto'] = issuer.protocol.slice(0, -1)
  const cookies = cookie?.replace(sessionCookies, '').replace(/^; */, '')
  if (cookies) headers['cookie'] = cookies
  if (body === undefined) {
    delete headers['content-length']
    delete headers['content-type']
  } else headers['content-length'] = String(body.length)
  return Object.assign(Readable.from(body === undefined || body.length === 0 ? [] : [body], { objectMode: false }), {
    method: method ?? request.method,
    url,
    baseUrl: issuer.pathname,
    headers,
    socket: request.socket,
    complete: true,
    httpVersion: request.httpVersion,
    httpVersionMajor: request.httpVersionMajor,
    httpVersionMinor: request.httpVersionMinor,
  }) as unknown as IncomingMessage
}
