/**
 * Where a request comes from: for the audit log, and for limits on who is not known yet.
 *
 * https://datatracker.ietf.org/doc/html/rfc7239#section-8.1
 *
 * Everybody can write an X-Forwarded-For. Only what our own proxies appended to it counts, and they are named in a
 * setting.
 */
import type { IncomingMessage } from 'node:http'
import { type BlockList, isIP } from 'node:net'

export type AddressOf = (request: IncomingMessage) => string

/** `proxies` undefined: nobody stands in front. */
export function addressFrom(proxies: BlockList | undefined): AddressOf {
  if (!proxies) return peerOf
  return (request) => {
    const peer = peerOf(request)
    const forwarded = request.headers['x-forwarded-for']
    return forwarded === undefined ? peer : beforeProxies(proxies, peer, String(forwarded))
  }
}

const peerOf = ({ socket }: IncomingMessage): string => plain(socket.remoteAddress ?? '')

/** From right to left: each proxy wrote whom it was asked by, so the first stranger is the client. */
function beforeProxies(proxies: BlockList, peer: string, forwarded: string): string {
  const hops = forwarded.slice(-1000).split(',')
  let known = peer
  while (hops.length > 0 && isIn(proxies, known)) {
    const hop = plain(hops.pop()!.trim())
    if (isIP(hop) === 0) break
    known = hop
  }
  return known
}

const isIn = (list: BlockList, address: string): boolean =>
  isIP(address) !== 0 && list.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6')

/** Without a port, brackets, a zone, or the notation of IPv4 in IPv6. */
function plain(address: string): string {
  // An IPv4 address as it is: every request has one.
  if (!/[^\d.]/.test(address)) return address
  const [, inBrackets] = /^\[([^\]]*)\](?::\d+)?$/.exec(address) ?? []
  const bare = inBrackets ?? (/^[\d.]+:\d+$/.test(address) ? address.slice(0, address.indexOf(':')) : address)
  return bare.startsWith('::ffff:') && bare.includes('.') ? bare.slice('::ffff:'.length) : bare.split('%')[0]!
}

/** What one household or one machine has: an IPv4 address, or the first 64 bits of an IPv6 one. */
export function networkOf(address: string): string {
  if (isIP(address) !== 6) return address
  const [head = '', tail] = address.split('::')
  const groups = head === '' ? [] : head.split(':')
  const rest = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : 8 - groups.length - rest.length
  return [...groups, ...new Array<string>(Math.max(0, zeros)).fill('0'), ...rest].slice(0, 4).join(':')
}
