/**
 * Values by key, for what is not FHIR: codes, grants, sessions, keys.
 *
 * https://www.mongodb.com/docs/manual/core/index-ttl/
 *
 * The server sweeps what is over once a minute, by its own clock; a value is over for us when our clock says so.
 */
import type { Db } from 'mongodb'
import type { Secrets } from '../store.js'
import { codeOf, translating } from './failures.js'

type SecretDocument = { _id: string; value: string; expires?: number; at?: Date }

export function secrets(db: Db, clock: () => number): Secrets {
  const collection = db.collection<SecretDocument>('secrets')
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
        await collection.replaceOne({ _id: key }, dated(value, expires), { upsert: true })
      }),
    swap: (key, was, value, expires) =>
      translating(async () => {
        const next = { _id: key, ...dated(value, expires) }
        const now = clock()
        const over = { expires: { $lte: now } }
        try {
          const { matchedCount, upsertedCount } = await collection.replaceOne(
            was === undefined
              ? { _id: key, ...over }
              : { _id: key, value: was, $or: [{ expires: { $exists: false } }, { expires: { $gt: now } }] },
            next,
            { upsert: was === undefined },
          )
          return matchedCount + upsertedCount > 0
        } catch (error) {
          // There is one already, and it is not over.
          if (codeOf(error) === 11000) return false
          throw error
        }
      }),
    list: (prefix, limit, after) =>
      translating(async () => {
        const found = await collection
          .find({
            _id: { $gte: prefix, $lt: `${prefix}\u{10ffff}`, ...(after !== undefined && { $gt: after }) },
            $or: [{ expires: { $exists: false } }, { expires: { $gt: clock() } }],
          })
          .sort({ _id: 1 })
          .limit(limit)
          .toArray()
        return found.map(({ _id, value }) => [_id, value])
      }),
    get: (key) => translating(async () => living(await collection.findOne({ _id: key }))),
    take: (key) => translating(async () => living(await collection.findOneAndDelete({ _id: key }))),
    drop: (key) =>
      translating(async () => {
        await collection.deleteOne({ _id: key })
      }),
  }
}
