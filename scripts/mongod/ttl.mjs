/**
 * Documents that expire.
 *
 * https://www.mongodb.com/docs/manual/core/index-ttl/
 */
import { numberOf } from './bson.mjs'
import { Blocked } from './errors.mjs'
import { KIND, keyOf } from './keys.mjs'
import { Writer } from './store.mjs'

/** Deletes what is past its time, as the server does once a minute. */
export function expireDocuments(store, now = Date.now()) {
  const writer = new Writer(store)
  for (const [namespace, collection] of store.main.collections)
    for (const index of collection.indexes) {
      const seconds = numberOf(index.specification.expireAfterSeconds)
      if (seconds === undefined || index.fields[0].down) continue
      const walk = index.tree.range(KIND.date, keyOf(new Date(now - seconds * 1000)))
      const expired = new Set()
      while (walk.next()) expired.add(walk.value)
      for (const rid of expired)
        try {
          writer.remove(namespace, store.main.get(namespace).records.get(rid))
        } catch (error) {
          // A transaction holds the document: it goes next time.
          if (!(error instanceof Blocked)) throw error
        }
    }
}
