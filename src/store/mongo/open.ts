/**
 * The store for hospitals that outgrow one file: a replica set, and as many server processes as are needed.
 *
 * https://www.mongodb.com/docs/manual/replication/
 *
 * Why it is built as it is: docs/decisions/0021-the-store-on-mongodb.md.
 */
import type { AuditLog, Database, Store } from '../store.js'
import { Collections } from './collections.js'
import { Writer } from './commit.js'
import { connect, unusable } from './connect.js'
import { explain } from './explain.js'
import { translating } from './failures.js'
import { History } from './history.js'
import { Lanes } from './lanes.js'
import { maintenance } from './maintenance.js'
import { Places } from './places.js'
import { Queue } from './queue.js'
import { Reader } from './reader.js'
import { Search } from './search.js'
import { secrets } from './secrets.js'
import { Sequence } from './sequence.js'

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
}

/** Tenants come later; every document and every index has its place for them. */
const tenant = 'default'

export async function openMongo(url: string, options: MongoOptions = {}): Promise<Database> {
  const {
    clock = Date.now,
    includesMax = 10_000,
    targetsMax = 100_000,
    timeLimitMs = 30_000,
    documents = true,
  } = options
  const { client, db } = await connect(url, timeLimitMs)
  try {
    const collections = new Collections(db)
    await collections.open()
    const types = () => collections.types()
    const reader = new Reader(db, tenant, timeLimitMs)
    const search = new Search(types, { includesMax, targetsMax })
    const history = new History(types, targetsMax)
    const lanes = new Lanes(client, db, timeLimitMs)
    const places = new Places(clock)
    const sequence = new Sequence(client, db, lanes, timeLimitMs)
    const writer = new Writer({ db, reader, search, collections, lanes, places, clock, documents })
    const queue = new Queue(client, collections, lanes, writer, timeLimitMs, () => sequence.soon())
    await places.resume(db)
    const { backup, health, ...rest } = maintenance({ client, db, reader, collections, timeLimitMs })
    const keys = secrets(db, clock)
    const store: Store = {
      read: (ref, reach, version) => translating(() => history.read(reader, ref, reach, version)),
      search: (query, reach) => translating(() => search.find(reader, query, reach)),
      history: (query, reach) => translating(() => history.find(reader, query, reach)),
      commit: (commit) => translating(() => queue.commit(commit)),
      changes: (after, limit) => translating(() => sequence.changes(reader, after, limit)),
      explain: (query, reach) => translating(() => explain(search, reader, query, reach)),
      secrets: keys,
      audit: audit(),
      maintenance: rest,
    }
    return {
      tenant: () => store,
      secrets: keys,
      backup,
      health,
      close: async () => {
        await queue.close()
        await sequence.close()
        await lanes.close()
        await client.close()
      },
    }
  } catch (error) {
    await client.close().catch(() => undefined)
    throw unusable(error)
  }
}

const audit = (): AuditLog => ({
  append: async () => {},
  read: async () => undefined,
  find: async () => [],
  chain: async () => [],
  head: async () => undefined,
})
