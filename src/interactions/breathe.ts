/**
 * Long work in slices, so that the requests of others are answered in between.
 */
import { setImmediate as turn } from 'node:timers/promises'

export type Breathe = () => Promise<void> | undefined

/**
 * To be awaited between two steps: lets others run when this work has run for `sliceMs` without a pause. Several
 * branches of the same work share it, and pause together, since each with a slice of its own would add up.
 */
export function breather(sliceMs = 15): Breathe {
  let began = performance.now()
  let pause: Promise<void> | undefined
  return () => {
    if (pause || performance.now() - began < sliceMs) return pause
    pause = turn().then(() => {
      began = performance.now()
      pause = undefined
    })
    return pause
  }
}

/** Runs the task for every item, at most `width` at a time; the results stand in the order of the items. */
export async function inWindows<T, R>(
  items: readonly T[],
  width: number,
  task: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = new Array(items.length)
  let next = 0
  const worker = async () => {
    for (let i = next++; i < items.length; i = next++) results[i] = await task(items[i]!, i)
  }
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker))
  return results
}
