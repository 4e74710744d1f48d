/**
 * Transactions: a snapshot, what was done in it, and how it becomes what everybody sees.
 *
 * https://www.mongodb.com/docs/manual/core/transactions/
 */
import { refuse } from './errors.mjs'

export class Transaction {
  /** @param {import('./store.mjs').Store} store */
  constructor(store) {
    this.store = store
    this.view = store.main.fork()
    this.version = store.version
    this.changes = []
    /** lock names held */
    this.held = []
    /** records this transaction has written: what it sees of them is its own */
    this.own = new Set()
    /** namespaces read or written: their indexes may not change meanwhile */
    this.touched = new Set()
    store.transactions.add(this)
  }

  hold(name) {
    this.store.locks.set(name, this)
    this.held.push(name)
  }

  /** A collection whose indexes changed after the snapshot cannot be used in it. */
  touch(namespace) {
    if (this.touched.has(namespace)) return
    const seen = this.view.get(namespace)
    const current = this.store.main.get(namespace)
    if (seen && (seen.shared !== current?.shared || seen.catalog !== current.catalog))
      refuse(
        246,
        `Unable to read from a snapshot due to pending collection catalog changes to collection '${namespace}'`,
      )
    this.touched.add(namespace)
  }

  commit(origin) {
    const { store } = this
    if (this.changes.length > 0) {
      if (store.version === this.version) store.main = this.view
      else for (const change of this.changes) this.#apply(change)
      store.committed(this.changes, origin)
    }
    this.#end()
  }

  #apply({ kind, namespace, rid, before, after, collection }) {
    const { main } = this.store
    if (kind === 'create') main.collections.set(namespace, collection.emptied())
    else main.put(namespace, rid, before, after)
  }

  abort() {
    this.#end()
  }

  #end() {
    for (const name of this.held) this.store.locks.delete(name)
    this.store.transactions.delete(this)
    this.store.released()
  }
}
