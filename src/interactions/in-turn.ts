/**
 * Lets those who want to change the same thing do so one after the other, in the order in which they came.
 *
 * The store decides every precondition inside its commit; this only keeps sixty-four writers of one resource in this
 * process from computing sixty-three results that are thrown away.
 */
import type { Store } from '../store/index.js'

const queues = new WeakMap<Store, Map<string, Promise<unknown>>>()

export async function inTurn<T>(store: Store, key: string, task: () => Promise<T>): Promise<T> {
  const queue = queues.get(store) ?? new Map<string, Promise<unknown>>()
  queues.set(store, queue)
  const before = queue.get(key)
  const mine = before ? before.then(task, task) : task()
  queue.set(key, mine)
  try {
    return await mine
  } finally {
    if (queue.get(key) === mine) queue.delete(key)
  }
}
