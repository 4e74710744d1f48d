/**
 * A browser as we know it: its session, the device it is, and the network it is in.
 *
 * https://www.rfc-editor.org/rfc/rfc6265#section-4.1
 */
import type { IncomingMessage } from 'node:http'
import { isIPv6 } from 'node:net'
import type { Origin } from '../../interactions/index.js'
import { type Cookies, sessionCookie, type Visit } from '../pages/index.js'
import type { AccountStore, StoredAccount } from './accounts.js'
import type { Session, Sessions } from './sessions.js'
import { type Done, deviceMs, type From } from './sign-in.js'

export type Browser = {
  /** The session, used with this, and its account as it is now. */
  signedIn(visit: Pick<Visit, 'request'>): Promise<{ session: Session; account: StoredAccount } | undefined>
  /** Whether the sign-in is young enough to be built on (15 minutes). */
  isFresh(session: Session): boolean
  from(visit: Pick<Visit, 'request'>): From
  signIn(visit: Visit, done: Done): void
}

const deviceCookie = 'device'

const freshMs = 15 * 60_000

export function browserOf({
  cookies,
  sessions,
  accounts,
  clock,
  originOf,
}: {
  cookies: Cookies
  sessions: Sessions
  accounts: AccountStore
  clock(): number
  originOf(request: IncomingMessage): Origin
}): Browser {
  return {
    signedIn: async ({ request }) => {
      const session = await sessions.use(cookies.read(request, sessionCookie))
      if (!session) return undefined
      const account = await accounts.bySubject(session.subject)
      if (account && !account.disabled && account.revision === session.revision) return { session, account }
      await sessions.end(session.id)
      return undefined
    },
    isFresh: ({ at, methods }) => methods.includes('pwd') && clock() - at < freshMs,
    from: ({ request }) => {
      const origin = originOf(request)
      return { origin, network: networkOf(origin.address), device: cookies.read(request, deviceCookie) }
    },
    signIn: (visit, { cookie, device }) => {
      visit.sessionIs(cookie)
      cookies.write(visit.response, deviceCookie, device, deviceMs / 1000)
    },
  }
}

/** Whoever has one IPv6 address has the 2^64 beside it. */
export function networkOf(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '')
  if (!isIPv6(plain)) return plain
  const [head = '', tail] = plain.split('%')[0]!.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? [] : Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => '0')
  const groups = [...left, ...zeros, ...right].slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16))
  return `${groups.join(':')}::/64`
}
