/**
 * The one door through which the server calls others: key sets, webhooks, peers, identity providers.
 *
 * https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
 *
 * Addresses come from clients and from resources, so each is an attempt to reach what only we can reach, until shown
 * otherwise. The name is resolved here and the connection is made to the very address that was judged: a second look-up
 * could answer something else. Redirects are not followed; credentials belong to an origin and go nowhere else.
 */
import { lookup as resolveName } from 'node:dns'
import {
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
  validateHeaderName,
  validateHeaderValue,
} from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { type Json, parseJson } from '../fhir/index.js'
import { type Allowed, isAllowedAddress, isLoopbackHost, isPublicAddress, nothingAllowed } from './public-address.js'

export type OutboundRequest = {
  url: string
  method?: string
  headers?: Record<string, string>
  /** Headers that are sent to this origin alone, such as Authorization. */
  credentials?: { origin: string; headers: Record<string, string> }
  body?: string | Buffer
  /** Most bytes of the answer; 1 MB unless said. */
  sizeMax?: number
  /** Until the whole answer is there; 10 s unless said. */
  timeoutMs?: number
}

/** `json` reads the body. @throws OutboundFailed where it is no JSON */
export type OutboundResponse = { status: number; headers: Record<string, string>; body: Buffer; json(): Json }

export type Outbound = (request: OutboundRequest) => Promise<OutboundResponse>

/** We do not go there; the sentence names the host at most, so that it may be shown and logged. */
export class OutboundRefused extends Error {
  override name = 'OutboundRefused'
}

/** The other side did not answer, or not as it should; nothing it sent is in the sentence. */
export class OutboundFailed extends Error {
  override name = 'OutboundFailed'
}

export type OutboundOptions = {
  allowed?: Allowed
  /** Resolves names; for tests. */
  lookup?: Lookup
  /** Certificates to trust instead of Node's own list. */
  ca?: string
}

/** As `dns.lookup` with `all`. */
export type Lookup = (
  host: string,
  options: { all: true },
  callback: (error: NodeJS.ErrnoException | null, addresses: { address: string; family: number }[]) => void,
) => void

const sizeMaxDefault = 1024 * 1024
const timeoutMsDefault = 10_000
const idleMs = 5_000

export function outboundHttp({ allowed = nothingAllowed, lookup = resolveName, ca }: OutboundOptions = {}): Outbound {
  // No connection is kept: each is made to an address that was judged for it. Others wait within their time limit.
  const limits = { keepAlive: false, maxSockets: 16, maxTotalSockets: 256 }
  const agents = {
    'https:': new HttpsAgent({ ...limits, minVersion: 'TLSv1.2', ...(ca !== undefined && { ca }) }),
    'http:': new HttpAgent(limits),
  }
  return async (request) => {
    const url = destination(request, allowed)
    const { protocol, hostname } = url
    const isHttps = protocol === 'https:'
    const judge = (address: string) =>
      isHttps
        ? isPublicAddress(address) || isAllowedAddress(allowed, address) || allowed.hosts.has(hostname)
        : isLoopbackHost(isIP(address) === 6 ? `[${address}]` : address)
    // An address in the URL is connected to without a look-up.
    const literal = hostname.replace(/^\[|\]$/g, '')
    if (isIP(literal) && !judge(literal)) throw refusedAddress(hostname)
    const sent = (isHttps ? httpsRequest : httpRequest)(url, {
      method: request.method ?? 'GET',
      agent: agents[isHttps ? 'https:' : 'http:'],
      headers: {
        'User-Agent': 'hospitallink',
        ...request.headers,
        ...request.credentials?.headers,
        'Accept-Encoding': 'identity',
        ...(request.body !== undefined && { 'Content-Length': String(Buffer.byteLength(request.body)) }),
      },
      lookup: judged(lookup, judge),
      setHost: true,
      timeout: Math.min(idleMs, request.timeoutMs ?? timeoutMsDefault),
    })
    return new Promise<OutboundResponse>((resolve, reject) => {
      const end = (error: Error) => {
        clearTimeout(patience)
        sent.destroy()
        reject(error)
      }
      const patience = setTimeout(
        () => end(new OutboundFailed(`${hostname} took too long to answer`)),
        request.timeoutMs ?? timeoutMsDefault,
      )
      sent.once('timeout', () => end(new OutboundFailed(`${hostname} fell silent`)))
      sent.on('error', (cause) => end(failure(hostname, cause)))
      sent.once('response', (response) =>
        collected(response, hostname, request.sizeMax ?? sizeMaxDefault).then((answer) => {
          clearTimeout(patience)
          resolve(answer)
        }, end),
      )
      sent.end(request.body)
    })
  }
}

/** @throws OutboundRefused what can be seen from the URL alone */
function destination({ url: text, headers = {}, credentials }: OutboundRequest, { http }: Allowed): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url) throw new OutboundRefused('The address is no absolute URL')
  if (url.username !== '' || url.password !== '') throw new OutboundRefused('A URL must not hold a password')
  const isHttp =
    url.protocol === 'http:' && isLoopbackHost(url.hostname) && (http.has(url.host) || http.has(url.hostname))
  if (url.protocol !== 'https:' && !isHttp) throw new OutboundRefused('Only https: is called')
  if (credentials && credentials.origin !== url.origin)
    throw new OutboundRefused(`The credentials are not for ${url.hostname}`)
  for (const [name, value] of Object.entries({ ...headers, ...credentials?.headers })) checkHeader(name, value)
  return url
}

function checkHeader(name: string, value: string): void {
  if (/^(host|content-length|transfer-encoding|connection|upgrade|te|trailer|expect|accept-encoding)$/i.test(name))
    throw new OutboundRefused(`The header ${name} is ours to send`)
  try {
    validateHeaderName(name)
    validateHeaderValue(name, value)
  } catch (cause) {
    throw new OutboundRefused('A header has a name or a value that HTTP does not know', { cause })
  }
}

const refusedAddress = (host: string): OutboundRefused =>
  new OutboundRefused(`${host} is no public address; OUTBOUND_ALLOW may name it`)

/** The look-up that the connection itself makes: what it hands on are the addresses that are connected to. */
const judged =
  (lookup: Lookup, judge: (address: string) => boolean): LookupFunction =>
  (host, options, callback) =>
    lookup(host, { all: true }, (error, found) => {
      if (error) return callback(error, [])
      const addresses = found.filter(({ address }) => judge(address))
      if (addresses.length === 0) return callback(refusedAddress(host), [])
      if (options.all) callback(null, addresses)
      else callback(null, addresses[0]!.address, addresses[0]!.family)
    })

function failure(host: string, cause: Error & { code?: string }): Error {
  if (cause instanceof OutboundRefused) return cause
  return new OutboundFailed(`${host} cannot be reached (${cause.code ?? cause.name})`, { cause })
}

async function collected(response: IncomingMessage, host: string, sizeMax: number): Promise<OutboundResponse> {
  const status = response.statusCode!
  const tooLong = () => new OutboundFailed(`${host} answered with more than ${sizeMax} bytes`)
  if (status >= 300 && status < 400 && response.headers.location !== undefined)
    throw new OutboundFailed(`${host} answered with a redirect, which is not followed`)
  if ((response.headers['content-encoding'] ?? 'identity') !== 'identity')
    throw new OutboundFailed(`${host} answered in an encoding nobody asked for`)
  if (Number(response.headers['content-length']) > sizeMax) throw tooLong()
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of response) {
      size += chunk.length
      if (size > sizeMax) throw tooLong()
      chunks.push(chunk)
    }
  } catch (cause) {
    throw cause instanceof OutboundFailed ? cause : new OutboundFailed(`${host} broke off its answer`, { cause })
  }
  const body = Buffer.concat(chunks, size)
  return {
    status,
    headers: Object.fromEntries(
      Object.entries(response.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value!]),
    ),
    body,
    json: () => {
      try {
        return parseJson(body)
      } catch (cause) {
        throw new OutboundFailed(`${host} did not answer with JSON`, { cause })
      }
    },
  }
}
