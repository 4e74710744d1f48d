/**
 * Values by key, for what is not FHIR: codes, grants, sessions, keys. Of a tenant, or of the site itself.
 *
 * https://www.mongodb.com/docs/manual/core/index-ttl/
 *
 * The server sweeps what is over once a minute, by its own clock; a value is over for us when our clock says so.
 */
import type { Db } from 'mongodb'
import type { Secrets } from '../store.js'
import { isDuplicate, translating } from './failures.js'
import { after as beyond } from './filter.js'

type SecretDocument = { _id: string; value: string; expires?: number; at?: Date }

/** No tenant has this name. */
export const site = ''

export function secrets(db: Db, tenant: string, clock: () => number): Secrets {
  const collection = db.collection<SecretDocument>('secrets')
  const own = `${tenant}/`
  const expired = (now: number) => ({ expires: { $lte: now } })
  const current = (now: number) => ({ $nor: [expired(now)] })
  const living = (found: SecretDocument | null) =>
    found && (found.expires === undefined || found.expires > clock()) ? found.value : undefined
  const dated = (value: string, expires: number | undefined) => ({
    value,
    ...(expires !== undefined && {
      expires,
      at: new Date(Math.min(Date.now() + Math.max(0, expires - clock()), 8.64e15)),
    }),
  })
  return {
    put: (key, value, expires) =>
      translating(async () => {
        await collection.replaceOne({ _id: own + key }, dated(value, expires), { upsert: true })
      }),
    swap: (key, was, value, expires) =>
      translating(async () => {
        const now = clock()
        const before = was === undefined ? expired(now) : { value: was, ...current(now) }
        try {
          const { matchedCount, upsertedCount } = await collection.replaceOne(
            { _id: own + key, ...before },
            dated(value, expires),
            { upsert: was === undefined },
          )
          return matchedCount + upsertedCount > 0
        } catch (error) {
          // There is one already, and it is not over.
          if (isDuplicate(error)) return false
          throw error
        }
      }),
    list: (prefix, limit, after) =>
      translating(async () => {
        const end = beyond(own + prefix)
        const ids = { $gte: own + prefix, ...(end && { $lt: end }), ...(after !== undefined && { $gt: own + after }) }
        const found = await collection
          .find({ _id: ids, ...current(clock()) })
          .sort({ _id: 1 })
          .limit(limit)
          .toArray()
        return found.map(({ _id, value }) => [_id.slice(own.length), value])
      }),
    get: (key) => translating(async () => living(await collection.findOne({ _id: own + key }))),
    take: (key) => translating(async () => living(await collection.findOneAndDelete({ _id: own + key }))),
    drop: (key) =>
      translating(async () => {
        await collection.deleteOne({ _id: own + key })
      }),
  }
}
