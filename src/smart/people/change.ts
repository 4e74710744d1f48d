/**
 * One value changed by many at once, also from several processes: read, decide, swap, and once more if another was first.
 */

import type { Secrets } from '../../store/index.js'
import { SignInRefused } from './refused.js'

/** What becomes of the value: `now` undefined leaves it. */
export type Decision<T, R> = { now?: T; expires?: number | undefined; answer: R }

/** In one process they wait for one another, which spares the rounds that all but one would lose. */
const waiting = new Map<string, Promise<unknown>>()

const roundsMax = 100

export async function change<T, R>(
  secrets: Secrets,
  key: string,
  decide: (was: T | undefined) => Decision<T, R>,
): Promise<R> {
  const turn = (waiting.get(key) ?? Promise.resolve()).then(() => swapped(secrets, key, decide))
  const settled = turn.catch(() => {})
  waiting.set(key, settled)
  try {
    return await turn
  } finally {
    if (waiting.get(key) === settled) waiting.delete(key)
  }
}

async function swapped<T, R>(
  secrets: Secrets,
  key: string,
  decide: (was: T | undefined) => Decision<T, R>,
): Promise<R> {
  for (let round = 0; round < roundsMax; round++) {
    const was = await secrets.get(key)
    const { now, expires, answer } = decide(was === undefined ? undefined : (JSON.parse(was) as T))
    if (now === undefined || (await secrets.swap(key, was, JSON.stringify(now), expires))) return answer
  }
  throw new SignInRefused('busy', 1000)
}

export async function readJson<T>(secrets: Secrets, key: string): Promise<T | undefined> {
  const text = await secrets.get(key)
  return text === undefined ? undefined : (JSON.parse(text) as T)
}
