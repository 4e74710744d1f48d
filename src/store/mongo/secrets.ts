/**
 * Values by key, for what is not FHIR: codes, grants, sessions, keys.
 *
 * https://www.mongodb.com/docs/manual/core/index-ttl/
 *
 * The server sweeps what is over once a minute, by its own clock; a value is over for us when our clock says so.
 */
import type { Db } from 'mongodb'
import type { Secrets } from '../store.js'
import { translating } from './failures.js'

type SecretDocument = { _id: string; value: string; expires?: number; at?: Date }

export function secrets(db: Db, clock: () => number): Secrets {
  const collection = db.collection<SecretDocument>('secrets')
  const living = (found: SecretDocument | null) =>
    found && (found.expires === undefined || found.expires > clock()) ? found.value : undefined
  return {
    put: (key, value, expires) =>
      translating(async () => {
        const left = expires === undefined ? undefined : Math.max(0, expires - clock())
        await collection.replaceOne(
          { _id: key },
          {
            value,
            ...(expires !== undefined && { expires }),
            ...(left !== undefined && { at: new Date(Math.min(Date.now() + left, 8.64e15)) }),
          },
          { upsert: true },
        )
      }),
    get: (key) => translating(async () => living(await collection.findOne({ _id: key }))),
    take: (key) => translating(async () => living(await collection.findOneAndDelete({ _id: key }))),
    drop: (key) =>
      translating(async () => {
        await collection.deleteOne({ _id: key })
      }),
  }
}
