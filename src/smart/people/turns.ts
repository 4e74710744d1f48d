/**
 * Work of which only a few pieces may run at once, a limited number may wait, and the rest is told to come back.
 */
import { SignInRefused } from './refused.js'

/** A number of seats for work that looks things up before its turn comes: whoever finds none is told at once. */
export function seats(seatsMax: number): <T>(work: () => Promise<T>) => Promise<T> {
  let taken = 0
  return async (work) => {
    if (taken >= seatsMax) throw new SignInRefused('busy', 2000)
    taken++
    try {
      return await work()
    } finally {
      taken--
    }
  }
}

export type Turns = {
  /** @throws SignInRefused busy, when too many wait already */
  take<T>(work: () => Promise<T>): Promise<T>
}

export function turns({ atOnce, waitingMax }: { atOnce: number; waitingMax: number }): Turns {
  let running = 0
  const waiting: (() => void)[] = []
  return {
    take: async (work) => {
      if (running >= atOnce && waiting.length >= waitingMax) throw new SignInRefused('busy', 2000)
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
