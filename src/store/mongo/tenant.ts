/**
 * The store of one tenant: everything that decides, orders and numbers is its own, so that it neither sees nor waits for
 * another; collections, connections and timers are shared.
 */
import type { Db, MongoClient } from 'mongodb'
import type { Store } from '../store.js'
import { Audit } from './audit.js'
import type { Collections } from './collections.js'
import { Writer } from './commit.js'
import { explain } from './explain.js'
import { inTime, timely } from './failures.js'
import type { Feed } from './feed.js'
import { History } from './history.js'
import type { Kept } from './keeper.js'
import { Lanes } from './lanes.js'
import { maintenance } from './maintenance.js'
import { Places } from './places.js'
import { Queue } from './queue.js'
import { Reader } from './reader.js'
import { Root } from './root.js'
import { Search } from './search.js'
import { secrets } from './secrets.js'
import { Sequence } from './sequence.js'

export type Shared = {
  client: MongoClient
  db: Db
  collections: Collections
  feed: Feed
  holder: string
  clock: () => number
  includesMax: number
  targetsMax: number
  timeLimitMs: number
  documents: boolean
}

export type Tenant = Kept & { store: Store; close(): Promise<void> }

export function tenant(name: string, shared: Shared): Tenant {
  const { client, db, collections, feed, holder, clock, includesMax, targetsMax, timeLimitMs, documents } = shared
  const root = new Root(collections, name)
  const allTypes = () => root.allTypes()
  const reader = new Reader(db, name, root, timeLimitMs)
  const search = new Search(allTypes, { includesMax, targetsMax })
  const history = new History(allTypes, targetsMax)
  const lanes = new Lanes(client, db, name, holder, timeLimitMs)
  const places = new Places(clock)
  const sequence = new Sequence({ client, db, reader, lanes, timeLimitMs, done: () => feed.tell(name) })
  const audit = new Audit({ client, db, lanes, places, timeLimitMs })
  const writer = new Writer({ db, reader, search, root, lanes, places, clock, documents })
  const queue = new Queue(client, db, root, lanes, places, writer, timeLimitMs, () => {
    sequence.soon()
    audit.soon()
  })
  const answering = <T>(work: () => Promise<T>) => inTime(timeLimitMs, work)
  const store: Store = {
    read: (ref, reach, version) => answering(() => history.read(reader, ref, reach, version)),
    search: (query, reach) => answering(() => search.find(reader, query, reach)),
    history: (query, reach) => answering(() => history.find(reader, query, reach)),
    commit: (commit) => answering(() => queue.commit(commit)),
    changes: (after, limit) => answering(() => sequence.changes(after, limit)),
    watch: (listener) => feed.watch(name, listener),
    explain: (query, reach) => answering(() => explain(search, reader, query, reach)),
    secrets: timely(secrets(db, name, clock), timeLimitMs),
    audit: timely(audit, timeLimitMs),
    maintenance: maintenance({ client, db, reader, root, audit, timeLimitMs }),
  }
  return {
    store,
    lanes,
    counting: () => sequence.soon(),
    chaining: () => audit.soon(),
    close: async () => {
      await queue.close()
      await sequence.close()
      await audit.close()
      await lanes.close()
    },
  }
}
