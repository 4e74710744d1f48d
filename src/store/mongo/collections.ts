/**
 * Collections and indexes: made before the first write of a type, because a transaction cannot.
 *
 * https://www.mongodb.com/docs/manual/core/transactions-operations/#restricted-operations
 */
import type { ClientSession, Db, IndexDescription } from 'mongodb'
import { StoreUnusable } from '../store.js'
import { codeOf } from './failures.js'
import { commitsCollection, keyOf } from './marks.js'
import { historyOf } from './reader.js'

/** The shape of what lies in the database; another number is another shape. */
export const layout = 1

/** Every index begins with the tenant; sorted ones end in the order of creation, or the server would sort in memory. */
export const current: IndexDescription[] = [
  { name: 'created', key: { t: 1, k: 1, o: 1 } },
  { name: 'updated', key: { t: 1, k: 1, lu: -1, o: 1 } },
  { name: 'dated', key: { t: 1, k: 1, date1: -1, o: 1 } },
  { name: 'seldom', key: { t: 1, x: 1 } },
  { name: 'intervals', key: { t: 1, 'd.p': 1, 'd.hi': 1, 'd.lo': 1 } },
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
    { name: 'unchained', key: { sq: 1, t: 1, at: 1, w: 1 }, partialFilterExpression: { sq: 0 } },
    { name: 'accesses', key: { t: 1, at: 1, id: 1 }, partialFilterExpression: { sq: { $gte: 0 } } },
    { name: 'accesses by key', key: { t: 1, keys: 1, at: 1, id: 1 }, partialFilterExpression: { sq: { $gte: 0 } } },
    { name: 'leases', key: { until: 1 }, partialFilterExpression: { lane: { $gte: 0 } } },
  ],
  claims: [{ name: 'expiry', key: { at: 1 }, expireAfterSeconds: 0 }],
  secrets: [{ name: 'expiry', key: { at: 1 }, expireAfterSeconds: 0 }],
}

type Root = { _id: string; types?: string[] }

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
          { cause: error },
        )
      throw error
    }
  }
}

/** The types that a tenant has. */
export class TenantTypes {
  private known: readonly string[] = []

  constructor(
    readonly collections: Collections,
    private readonly tenant: string,
  ) {}

  private get roots() {
    return this.collections.db.collection<Root>(commitsCollection)
  }

  /** The types anybody has stored, in an order that is always the same. */
  async all(session?: ClientSession): Promise<readonly string[]> {
    const found = await this.roots.findOne(
      { _id: keyOf.root(this.tenant) },
      { projection: { types: 1 }, ...(session && { session }) },
    )
    this.known = (found?.types ?? []).sort()
    return this.known
  }

  /** Makes what the types need, and says so before anything of them is stored. */
  async ensure(types: Iterable<string>): Promise<void> {
    const distinct = [...new Set(types)]
    await Promise.all(distinct.map((type) => this.collections.ensure(type)))
    if (distinct.every((type) => this.known.includes(type))) return
    const added = distinct.filter((type) => !this.known.includes(type))
    await this.roots.updateOne(
      { _id: keyOf.root(this.tenant) },
      { $addToSet: { types: { $each: added } } },
      { upsert: true },
    )
    this.known = [...new Set([...this.known, ...added])].sort()
  }
}
