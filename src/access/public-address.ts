/**
 * Whether an address is one of the public internet, and the names and networks an operator allows besides.
 *
 * https://www.iana.org/assignments/iana-ipv4-special-registry/iana-ipv4-special-registry.xhtml
 */
import { BlockList, isIP } from 'node:net'

/** What the registries keep for machines, private networks, carriers, documentation, tests and multicast. */
const special4 = blockList('ipv4', [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
])

/** Only 2000::/3 is public at all: loopback, mapped IPv4, NAT64, unique local, link-local and multicast are outside. */
const global6 = blockList('ipv6', [['2000::', 3]])

/** Inside it: protocol assignments with Teredo, documentation, 6to4 (which carries any IPv4 address). */
const special6 = blockList('ipv6', [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
])

function blockList(family: 'ipv4' | 'ipv6', networks: [address: string, prefix: number][]): BlockList {
  const list = new BlockList()
  for (const [address, prefix] of networks) list.addSubnet(address, prefix, family)
  return list
}

const familyOf = (address: string): 'ipv4' | 'ipv6' => (isIP(address) === 4 ? 'ipv4' : 'ipv6')

export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !special4.check(address)
    case 6:
      // A zone (fe80::1%eth0) is only written on addresses that are not public.
      return !address.includes('%') && global6.check(address, 'ipv6') && !special6.check(address, 'ipv6')
    default:
      return false
  }
}

/**
 * What else may be reached: hosts by name (whatever they resolve to), networks, and `http:` on loopback.
 * A host is a name or an address as a URL writes it.
 */
export type Allowed = { hosts: ReadonlySet<string>; networks: BlockList; http: ReadonlySet<string> }

export const nothingAllowed: Allowed = { hosts: new Set(), networks: new BlockList(), http: new Set() }

/**
 * A list of names, addresses, networks (`10.2.0.0/16`) and loopback origins (`http://localhost:9000`, where a port left
 * out means any).
 *
 * @throws RangeError with what an entry must be
 */
export function allowedOf(entries: readonly string[]): Allowed {
  const hosts = new Set<string>()
  const networks = new BlockList()
  const http = new Set<string>()
  for (const entry of entries) {
    const [, address, prefix] = /^([\da-f.:]+)(?:\/(\d{1,3}))?$/i.exec(entry) ?? []
    if (address !== undefined && isIP(address)) addNetwork(networks, address, prefix)
    else if (entry.startsWith('http://')) http.add(loopbackOf(entry))
    else if (/^[a-z\d]([a-z\d-]*[a-z\d])?(\.[a-z\d]([a-z\d-]*[a-z\d])?)*$/i.test(entry)) hosts.add(entry.toLowerCase())
    else throw new RangeError(`${entry} is no host name, address, network or origin`)
  }
  return { hosts, networks, http }
}

/** @throws RangeError with what an entry must be */
export function networksOf(entries: readonly string[]): BlockList {
  const networks = new BlockList()
  for (const entry of entries) {
    const [address = '', prefix] = entry.split('/')
    if (!isIP(address)) throw new RangeError(`${entry} is no address or network`)
    addNetwork(networks, address, prefix)
  }
  return networks
}

function addNetwork(networks: BlockList, address: string, prefix: string | undefined): void {
  const bits = isIP(address) === 4 ? 32 : 128
  const length = prefix === undefined ? bits : Number(prefix)
  if (!(length >= 0 && length <= bits)) throw new RangeError(`${address}/${prefix} is no network`)
  networks.addSubnet(address, length, familyOf(address))
}

function loopbackOf(entry: string): string {
  const url = URL.canParse(entry) ? new URL(entry) : undefined
  if (!url || !isLoopbackHost(url.hostname) || url.pathname !== '/' || url.search + url.hash + url.username !== '')
    throw new RangeError(`${entry} is no origin on this machine; http: is allowed on loopback alone`)
  return url.host
}

/** A host as a URL writes it: an IPv6 address stands in brackets. */
export const isLoopbackHost = (host: string): boolean =>
  host === 'localhost' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host)

export const isAllowedAddress = ({ networks }: Allowed, address: string): boolean =>
  isIP(address) !== 0 && !address.includes('%') && networks.check(address, familyOf(address))
