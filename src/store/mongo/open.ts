/**
 * The store for hospitals that outgrow one file: a replica set, and as many server processes as are needed.
 *
 * https://www.mongodb.com/docs/manual/replication/
 *
 * Why it is built as it is: docs/decisions/0021-the-store-on-mongodb.md, and 0022 for its tenants and audit log.
 */
import { type Database, StoreUnusable } from '../store.js'
import { Collections } from './collections.js'
import { connect, unusable } from './connect.js'
import { sentenceOf, timely } from './failures.js'
import { Feed } from './feed.js'
import { Keeper } from './keeper.js'
import { secrets, site } from './secrets.js'
import { type Tenant, tenant } from './tenant.js'

export type MongoOptions = {
  clock?: () => number
  /** Most resources one page may include. */
  includesMax?: number
  /** Most resources a chained search may lead through. */
  targetsMax?: number
  /** How long the database may take to answer; a commit with its tries included. */
  timeLimitMs?: number
  /** Whether documents hold the resource itself beside its bytes, for people with a shell and for analytics. */
  documents?: boolean
  /** Told, in a sentence, what happens to indexes meanwhile. */
  say?: (sentence: string) => void
}

export async function openMongo(url: string, options: MongoOptions = {}): Promise<Database> {
  const {
    clock = Date.now,
    includesMax = 10_000,
    targetsMax = 100_000,
    timeLimitMs = 30_000,
    documents = true,
    say = () => undefined,
  } = options
  const { client, db } = await connect(url, timeLimitMs)
  try {
    const collections = new Collections(db, say)
    await collections.open()
    const tenants = new Map<string, Tenant>()
    const keeper = new Keeper(client, db, () => tenants.values(), opened)
    const feed = new Feed(db)
    const shared = { client, db, collections, feed, clock, includesMax, targetsMax, timeLimitMs, documents }

    function opened(name: string): Tenant {
      const known = tenants.get(name)
      if (known) return known
      if (!isTenant.test(name)) throw new Error('a tenant is named by 1 to 64 of A-Z a-z 0-9 - .')
      const made = tenant(name, { ...shared, holder: keeper.holder })
      tenants.set(name, made)
      return made
    }

    return {
      tenant: (name) => opened(name).store,
      secrets: timely(secrets(db, site, clock), timeLimitMs),
      backup: async () => {
        throw new StoreUnusable(
          'A MongoDB database is backed up by its own tools: mongodump --oplog, or snapshots of its volumes; docs/operating.md says how',
        )
      },
      health: async () => {
        try {
          // Only a write tells a full disk, a lost majority and a missing right.
          await db
            .collection<{ _id: string }>('about')
            .updateOne({ _id: 'health' }, { $set: { at: new Date() } }, { upsert: true, timeoutMS: healthTimeoutMs })
          return undefined
        } catch (error) {
          return sentenceOf(error)
        }
      },
      close: async () => {
        keeper.close()
        collections.builds.close()
        await feed.close()
        for (const each of tenants.values()) await each.close()
        await client.close()
      },
    }
  } catch (error) {
    await client.close().catch(() => undefined)
    throw unusable(error)
  }
}

const healthTimeoutMs = 3_000

const isTenant = /^[A-Za-z0-9.-]{1,64}$/
