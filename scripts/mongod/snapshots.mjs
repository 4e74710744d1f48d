/**
 * Reads at one time outside of transactions.
 *
 * https://www.mongodb.com/docs/manual/reference/read-concern-snapshot/
 */
import { refuse } from './errors.mjs'

/** A server keeps five minutes of history; a test needs less. */
const KEPT_MS = 10_000

/** @typedef {{ time: import('bson').Timestamp, view: import('./store.mjs').View, until: number }} Snapshot */

export class Snapshots {
  /** @type {Map<string, Snapshot>} */
  #byTime = new Map()

  /** @param {import('./store.mjs').Store} store */
  constructor(store) {
    this.store = store
  }

  /**
   * What was committed at a time, or now.
   * @param {import('bson').Timestamp} [time] of an earlier answer
   * @returns {Snapshot}
   */
  at(time = this.store.now()) {
    const now = Date.now()
    for (const [key, { until }] of this.#byTime) if (until < now) this.#byTime.delete(key)
    const key = time.toString()
    let snapshot = this.#byTime.get(key)
    if (!snapshot) {
      if (!time.equals(this.store.now()))
        refuse(246, 'Unable to read from a snapshot: it was not asked for at its time, or too long ago')
      snapshot = { time, view: this.store.main.fork(), until: 0 }
      this.#byTime.set(key, snapshot)
    }
    snapshot.until = now + KEPT_MS
    return snapshot
  }
}
