/**
 * What those who operate the server need: reindex, check, counts, health.
 *
 * https://www.mongodb.com/docs/manual/core/backups/
 */
import type { Db, MongoClient } from 'mongodb'
import type { IndexEntry } from '../../search/index.js'
import type { AuditLog, Maintenance, Stored } from '../store.js'
import { check } from './check.js'
import { type CurrentDocument, searchable } from './document.js'
import { translating } from './failures.js'
import type { Reader } from './reader.js'
import type { Root } from './root.js'
import { storedOf, withBytes } from './stored.js'
import { linksOf } from './tokens.js'
import { transaction } from './transaction.js'

type Parts = { client: MongoClient; db: Db; reader: Reader; root: Root; audit: AuditLog; timeLimitMs: number }

export function maintenance({ client, db, reader, root, audit, timeLimitMs }: Parts): Maintenance {
  return {
    reindex: (type, after, limit, entries) =>
      translating(() =>
        transaction(client, {
          timeLimitMs,
          work: async (session) => {
            await root.allTypes(session)
            const collection = db.collection<CurrentDocument<Buffer>>(type)
            const found = await collection
              .find({ t: reader.tenant, vis: { $in: [...root.classes] }, o: { $gt: after } }, { ...withBytes, session })
              .sort({ o: 1 })
              .limit(limit)
              .toArray()
            const wholes = await reader.within(session).whole(found.map((document) => ({ ...document, type })))
            const updates = wholes.map((document) => {
              const known = searchableOf(type, document, entries)
              const made = { ...known, vis: root.classOf(known.vis) }
              const gone = ['d', 'n', 'pt', 'c', 'g', 'date1'].filter((name) => name in document && !(name in made))
              return {
                updateOne: {
                  filter: { _id: document._id },
                  update: {
                    $set: made,
                    ...(gone.length && { $unset: Object.fromEntries(gone.map((each) => [each, 1])) }),
                  },
                },
              }
            })
            if (updates.length)
              await db.collection<{ _id: string }>(type).bulkWrite(updates as never, { session, ordered: false })
            return found.length < limit ? undefined : found.at(-1)!.o
          },
        }),
      ),
    check: (entries) => translating(() => check(db, reader, root, audit, entries)),
    count: () =>
      translating(async () => {
        const known = await root.allTypes()
        const found = await reader.union<{ type: string; n: number }>(
          known.map((type) => ({
            type,
            stages: [
              { $match: { t: reader.tenant, vis: { $in: [...root.classes] } } },
              { $group: { _id: null, n: { $sum: 1 } } },
              { $project: { _id: 0, n: 1, type: { $literal: type } } },
            ],
          })),
        )
        return Object.fromEntries(found.map(({ type, n }) => [type, n]))
      }),
  }
}

/** What the entries make of a resource; what it refers to stays known whether or not a parameter finds it. */
export function searchableOf(
  type: string,
  document: CurrentDocument<Buffer>,
  entries: (stored: Stored) => IndexEntry[],
) {
  return searchable(type, entries(storedOf(type, document)), linksOf(document.k ?? [], document.x ?? []))
}
