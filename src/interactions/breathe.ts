/**
 * Long work in slices, so that the requests of others are answered in between.
 */
import { setImmediate as turn } from 'node:timers/promises'

/** To be awaited between two steps: lets others run when this one has run for `sliceMs` without a pause. */
export function breather(sliceMs = 15): () => Promise<void> {
  let began = performance.now()
  return async () => {
    if (performance.now() - began < sliceMs) return
    await turn()
    began = performance.now()
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
