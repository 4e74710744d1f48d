/**
 * How often something may be tried: counted before it is tried, so that a hundred tries at once are a hundred.
 *
 * https://pages.nist.gov/800-63-4/sp800-63b.html#throttle
 */
import type { Secrets } from '../../store/index.js'
import { change, readJson } from './change.js'
import { SignInRefused } from './refused.js'

/** At most `count` in any `windowMs`; from `slowFrom` on each waits twice as long as the one before it, from 1 s on. */
export type Limit = { count: number; windowMs: number; slowFrom?: number; apartMs?: number }

const minute = 60_000
const hour = 60 * minute

export const limits = {
  /** Wrong passwords or codes of an account, from one network or one known device. */
  signIn: { count: 10, windowMs: 15 * minute, slowFrom: 5 },
  /** Wrong passwords of an account from everywhere that is not a device it knows. */
  signInAnywhere: { count: 100, windowMs: hour },
  /** Wrong second factors of an account, likewise: who got the password must not try codes from a thousand networks. */
  secondAnywhere: { count: 50, windowMs: hour },
  /** Wrong passwords from one network, of whatever accounts. */
  network: { count: 200, windowMs: 15 * minute },
  /** Wrong one-time codes of an account. */
  oneTimeWrong: { count: 20, windowMs: hour },
  oneTimeHourly: { count: 5, windowMs: hour, apartMs: 30_000 },
  oneTimeDaily: { count: 10, windowMs: 24 * hour },
  /** One-time codes asked for from one address. */
  oneTimeAddress: { count: 20, windowMs: hour },
} as const satisfies Record<string, Limit>

export type Attempts = {
  /** Counts one. @throws SignInRefused tooMany, and then it is not counted */
  count(key: string, limit: Limit): Promise<Counted>
  /** Counts nothing. @throws SignInRefused tooMany */
  check(key: string, limit: Limit): Promise<void>
  forget(key: string): Promise<void>
}

/** `undo` takes the one that was counted back: it was no failure. */
export type Counted = { undo(): Promise<void> }

export function attempts(secrets: Secrets, clock: () => number): Attempts {
  const nameOf = (key: string): string => `people/attempts/${key}`
  return {
    count: async (key, limit) => {
      const now = clock()
      const waitMs = await change<number[], number>(secrets, nameOf(key), (was = []) => {
        const recent = was.filter((at) => at > now - limit.windowMs)
        const wait = waitOf(recent, limit, now)
        return wait > 0 ? { answer: wait } : { now: [...recent, now], expires: now + limit.windowMs, answer: 0 }
      })
      if (waitMs > 0) throw new SignInRefused('tooMany', waitMs)
      return {
        undo: () =>
          change<number[], void>(secrets, nameOf(key), (was = []) => {
            const place = was.lastIndexOf(now)
            return place < 0
              ? { answer: undefined }
              : { now: was.toSpliced(place, 1), expires: now + limit.windowMs, answer: undefined }
          }),
      }
    },
    check: async (key, limit) => {
      const recent = (await readJson<number[]>(secrets, nameOf(key))) ?? []
      const now = clock()
      const waitMs = waitOf(
        recent.filter((at) => at > now - limit.windowMs),
        limit,
        now,
      )
      if (waitMs > 0) throw new SignInRefused('tooMany', waitMs)
    },
    forget: (key) => secrets.drop(nameOf(key)),
  }
}

/** How long until one more is allowed; `recent` in the order of time. */
function waitOf(recent: readonly number[], { count, windowMs, slowFrom, apartMs = 0 }: Limit, now: number): number {
  const last = recent.at(-1)
  if (last === undefined) return 0
  if (recent.length >= count) return Math.max(1, recent[recent.length - count]! + windowMs - now)
  const slow = slowFrom === undefined || recent.length < slowFrom ? 0 : 1000 * 2 ** (recent.length - slowFrom)
  return Math.max(0, last + Math.max(slow, apartMs) - now)
}
