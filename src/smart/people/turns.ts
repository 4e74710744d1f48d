/**
 * Work of which only a few pieces may run at once, a limited number may wait, and the rest is told to come back.
 */
import { SignInRefused } from './refused.js'

export type Turns = {
  /** @throws SignInRefused busy, when too many wait already */
  take<T>(work: () => Promise<T>): Promise<T>
  /** Whether one more would be refused. */
  full(): boolean
}

export function turns({ atOnce, waitingMax }: { atOnce: number; waitingMax: number }): Turns {
  let running = 0
  const waiting: (() => void)[] = []
  const full = (): boolean => running >= atOnce && waiting.length >= waitingMax
  return {
    full,
    take: async (work) => {
      if (full()) throw new SignInRefused('busy', 2000)
      if (running < atOnce) running++
      // Whoever ends hands its turn on, so that the number running stays.
      else await new Promise<void>((resolve) => waiting.push(resolve))
      try {
        return await work()
      } finally {
        const next = waiting.shift()
        if (next) next()
        else running--
      }
    },
  }
}
