/**
 * What goes wrong between us and the database, told apart: what may be tried again, and what a person must mend.
 *
 * https://www.mongodb.com/docs/manual/reference/error-codes/
 */
import {
  MongoCompatibilityError,
  MongoError,
  MongoNetworkError,
  MongoServerError,
  type ServerType,
  type TopologyDescription,
} from 'mongodb'
import { StoreUnavailable } from '../store.js'

export const isTransient = (error: unknown): boolean =>
  error instanceof MongoError && error.hasErrorLabel('TransientTransactionError')

export const isUnknownCommit = (error: unknown): boolean =>
  error instanceof MongoError && error.hasErrorLabel('UnknownTransactionCommitResult')

export const isDuplicate = (error: unknown): boolean => codeOf(error) === 11000

export function codeOf(error: unknown): number | undefined {
  return error instanceof MongoServerError && typeof error.code === 'number' ? error.code : undefined
}

/** What passes when another member takes over; the driver tries reads again for the same. */
const passing = new Set([6, 7, 89, 91, 134, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436])

/** Whether a read that failed so may be sent again. */
export const isWorthAnotherTry = (error: unknown): boolean =>
  error instanceof MongoNetworkError || passing.has(codeOf(error) ?? Number.NaN)

/** What the server says when a command of ours is wrong: our bug, which waiting does not mend. */
const ours = new Set([2, 9, 14, 15, 28, 40, 52, 53, 54, 56, 57, 59, 66, 67, 72, 73, 168, 197, 10334, 17280, 17419])

const noPrimary = 'the database has no primary at the moment'
const noMajority = 'a majority of the members of the replica set does not answer'
const full = 'the disk of the database is full; make room, or give it a larger one'
const wrongPassword = 'the user or the password in STORE is wrong'

const sentences: Record<number, string> = {
  13: 'the user of STORE may not do this; give it the role readWrite on the database',
  18: wrongPassword,
  50: 'the database did not answer in time',
  64: noMajority,
  91: noPrimary,
  100: noMajority,
  112: 'too many write the same at once',
  189: noPrimary,
  262: 'the database did not answer in time',
  // What Atlas calls a full quota.
  8000: 'the database refused; the user or the password in STORE is wrong, or its space is used up',
  10058: noPrimary,
  10107: noPrimary,
  11600: noPrimary,
  11602: noPrimary,
  12501: full,
  13435: noPrimary,
  13436: noPrimary,
  14031: full,
}

/** What Node says of a connection that did not come about, by its code. */
const connections: [RegExp, string][] = [
  [/^(ENOTFOUND|EAI_\w+|ESERVFAIL|ENODATA)$/, 'the host named in STORE is not known to the name service'],
  [
    /^(SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT|UNABLE_TO_\w+|CERT_UNTRUSTED)$/,
    'the certificate of the database is not trusted; name its authority with tlsCAFile=… in STORE',
  ],
  [/^CERT_HAS_EXPIRED$/, 'the certificate of the database has expired'],
  [/^ERR_TLS_CERT_ALTNAME_INVALID$/, 'the certificate of the database is for another host than STORE names'],
  [/^(EPROTO|ERR_SSL_\w+)$/, 'the database and STORE do not agree on TLS; see tls=true in STORE'],
]

/** No address, no user and no value of a request: what is said here may reach a client. */
export function sentenceOf(error: unknown): string {
  const code = codeOf(error)
  if (code !== undefined) return sentences[code] ?? `the database refused with error ${code}`
  if (chain(error).some((each) => each instanceof MongoCompatibilityError)) return tooOld
  return sentenceOfTheWay(error) ?? unreached(topologyOf(error)) ?? 'the database cannot be reached'
}

/** Whether the connection did not come about. */
export const isOfTheWay = (error: unknown): boolean => sentenceOfTheWay(error) !== undefined

function sentenceOfTheWay(error: unknown): string | undefined {
  for (const { code } of chain(error)) {
    const known = connections.find(([pattern]) => typeof code === 'string' && pattern.test(code))
    if (known) return known[1]
  }
  return undefined
}

const tooOld = 'it is older than the version 6.0 the store needs'

type Failure = { code?: unknown; cause?: unknown; reason?: unknown; error?: unknown }

/** The error, what it was caused by, and what the driver met at each member. */
function chain(error: unknown): Failure[] {
  const found: Failure[] = []
  const pending = [error]
  while (pending.length && found.length < 50) {
    const next = pending.shift() as Failure | undefined
    if (typeof next !== 'object' || next === null || found.includes(next)) continue
    found.push(next)
    const servers = topologyOf(next)?.servers.values() ?? []
    pending.push(next.cause, ...[...servers].map((server) => server.error))
    // A closed stream says why in `error`.
    if (next.error instanceof Error) pending.push(next.error)
  }
  return found
}

function topologyOf(error: unknown): TopologyDescription | undefined {
  const { reason } = (error ?? {}) as Failure
  return typeof reason === 'object' && reason !== null && 'servers' in reason
    ? (reason as TopologyDescription)
    : undefined
}

/** The driver looked for a primary and knows what it found instead. */
function unreached(topology: TopologyDescription | undefined): string | undefined {
  if (!topology) return undefined
  if (!topology.compatible) return tooOld
  const types = [...topology.servers.values()].map(({ type }) => type as ServerType)
  if (types.length === 0)
    return 'no address in STORE is of a member of the replica set that it names with replicaSet=…: it is of another set, or of a standalone server'
  return types.some((type) => type.startsWith('RS')) ? noPrimary : undefined
}

/** Everything the database or the way to it does to us is `StoreUnavailable`; a bug of ours stays what it is. */
export function translated(error: unknown): unknown {
  if (!(error instanceof MongoError)) return error
  const code = codeOf(error)
  if (code !== undefined && ours.has(code)) return error
  return new StoreUnavailable(`The store is not available: ${sentenceOf(error)}`, { cause: error })
}

export async function translating<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw translated(error)
  }
}

/**
 * The same, and an answer in time whatever becomes of the work: beyond the limit of each command there are connections that stay
 * silent, and tries again. A change that was given up on may still be kept; the client is told to look.
 */
export async function inTime<T>(limitMs: number, work: () => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const over = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new StoreUnavailable('The store is not available: the database did not answer in time')),
      1.5 * limitMs,
    )
  })
  try {
    return await Promise.race([translating(work), over])
  } finally {
    clearTimeout(timer)
  }
}

/** Every method of a door answers in time. */
export function timely<T extends object>(door: T, limitMs: number): T {
  return new Proxy(door, {
    get: (target, name) => {
      const method: unknown = Reflect.get(target, name)
      if (typeof method !== 'function') return method
      return (...given: unknown[]) => inTime(limitMs, () => method.apply(target, given) as Promise<unknown>)
    },
  })
}
