/**
 * Collections and indexes: made before the first write of a type, because a transaction cannot.
 *
 * https://www.mongodb.com/docs/manual/core/transactions-operations/#restricted-operations
 */
import type { Db, IndexDescription } from 'mongodb'
import { StoreUnusable } from '../store.js'
import { contentCollection } from './content.js'
import { codeOf } from './failures.js'
import { commitsCollection } from './marks.js'
import { historyOf } from './reader.js'

/** The shape of what lies in the database; another number is another shape. */
export const layout = 1

const living = { partialFilterExpression: { vis: { $exists: true } } }

/**
 * Every index begins with the tenant. Those that give an order have the class of those who may see a resource before it,
 * and end in the order of creation, which is unique, or the server would sort in memory. What was deleted is in none.
 */
export const current: IndexDescription[] = [
  { name: 'created', key: { t: 1, k: 1, vis: 1, o: 1 }, ...living },
  { name: 'updated', key: { t: 1, n: 1, vis: 1, lu: -1, o: 1 }, partialFilterExpression: { n: { $exists: true } } },
  { name: 'dated', key: { t: 1, n: 1, vis: 1, date1: -1, o: 1 }, partialFilterExpression: { n: { $exists: true } } },
  {
    name: 'of a patient',
    key: { t: 1, pt: 1, vis: 1, date1: -1, o: 1 },
    partialFilterExpression: { pt: { $exists: true } },
  },
  { name: 'seldom', key: { t: 1, x: 1, vis: 1, o: 1 }, ...living },
  { name: 'intervals', key: { t: 1, vis: 1, 'd.p': 1, 'd.hi': 1, 'd.lo': 1 }, ...living },
  { name: 'all', key: { t: 1, vis: 1, o: 1 }, ...living },
  { name: 'all updated', key: { t: 1, vis: 1, lu: -1, o: 1 }, ...living },
  { name: 'all dated', key: { t: 1, vis: 1, date1: -1, o: 1 }, ...living },
  { name: 'written', key: { t: 1, lu: -1, w: -1 } },
]

const history: IndexDescription[] = [
  { name: 'written', key: { t: 1, lu: -1, w: -1 } },
  { name: 'versions', key: { t: 1, id: 1, lu: -1, w: -1 } },
]

const fixed: Record<string, IndexDescription[]> = {
  [commitsCollection]: [
    { name: 'sequence', key: { t: 1, seq: 1 }, partialFilterExpression: { seq: { $gt: 0 } } },
    { name: 'uncounted', key: { seq: 1, t: 1, w: 1 }, partialFilterExpression: { seq: 0 } },
    { name: 'chain', key: { t: 1, sq: 1 }, partialFilterExpression: { sq: { $gt: 0 } } },
    { name: 'unchained', key: { sq: 1, t: 1, w: 1 }, partialFilterExpression: { sq: 0 } },
    { name: 'accesses', key: { t: 1, at: 1, id: 1 }, partialFilterExpression: { sq: { $gte: 0 } } },
    { name: 'accesses by key', key: { t: 1, keys: 1, at: 1, id: 1 }, partialFilterExpression: { sq: { $gte: 0 } } },
    { name: 'leases', key: { until: 1 }, partialFilterExpression: { lane: { $gte: 0 } } },
  ],
  [contentCollection]: [],
  claims: [{ name: 'expiry', key: { at: 1 }, expireAfterSeconds: 0 }],
  secrets: [{ name: 'expiry', key: { at: 1 }, expireAfterSeconds: 0 }],
}

/** What all tenants share: collections and indexes are made once, whoever needs them first. */
export class Collections {
  private readonly ready = new Map<string, Promise<void>>()

  constructor(readonly db: Db) {}

  async open(): Promise<void> {
    for (const [name, indexes] of Object.entries(fixed)) await this.made(name, indexes)
  }

  /** Makes what a type needs, once. */
  ensure(type: string): Promise<void> {
    const known = this.ready.get(type)
    if (known) return known
    const made = (async () => {
      await this.made(type, current)
      await this.made(historyOf(type), history)
    })()
    this.ready.set(type, made)
    made.catch(() => this.ready.delete(type))
    return made
  }

  private async made(name: string, indexes: IndexDescription[]): Promise<void> {
    // Making what is there already waits for every transaction that uses it, even one of a process that died.
    if (!(await this.db.listCollections({ name }, { nameOnly: true }).hasNext()))
      await this.db.createCollection(name).catch((error: unknown) => {
        if (codeOf(error) !== 48) throw error
      })
    const collection = this.db.collection(name)
    const there = new Map((await collection.indexes()).map((index) => [index.name, JSON.stringify(index.key)]))
    const missing = indexes.filter((index) => there.get(index.name!) !== JSON.stringify(index.key))
    if (!missing.length) return
    try {
      await collection.createIndexes(missing)
    } catch (error) {
      if (codeOf(error) === 85 || codeOf(error) === 86)
        throw new StoreUnusable(
          `The collection ${name} has an index of the same name or keys as one of ours, but not the same; drop it and start again`,
          { cause: error, passing: true },
        )
      throw error
    }
  }
}
