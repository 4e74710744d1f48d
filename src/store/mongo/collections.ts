/**
 * Collections and indexes: made before the first write of a type, because a transaction cannot.
 *
 * https://www.mongodb.com/docs/manual/core/transactions-operations/#restricted-operations
 */
import type { ClientSession, Db, IndexDescription } from 'mongodb'
import { StoreUnusable } from '../store.js'
import { codeOf } from './failures.js'
import { root } from './lanes.js'
import { commitsCollection } from './marks.js'
import { historyOf } from './reader.js'

/** The shape of what lies in the database; another number is another shape. */
export const layout = 1

/** Every index begins with the tenant; sorted ones end in the order of creation, or the server would sort in memory. */
const current: IndexDescription[] = [
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
  [commitsCollection]: [{ name: 'sequence', key: { seq: 1, w: 1 } }],
  claims: [{ name: 'expiry', key: { at: 1 }, expireAfterSeconds: 0 }],
  secrets: [{ name: 'expiry', key: { at: 1 }, expireAfterSeconds: 0 }],
}

export class Collections {
  private readonly ready = new Map<string, Promise<void>>()
  private known: string[] = []

  constructor(private readonly db: Db) {}

  private get roots() {
    return this.db.collection<{ _id: string; types?: string[] }>(commitsCollection)
  }

  async open(): Promise<void> {
    for (const [name, indexes] of Object.entries(fixed)) await this.made(name, indexes)
    await this.types()
  }

  /** The types anybody has stored, in an order that is always the same. */
  async types(session?: ClientSession): Promise<readonly string[]> {
    const found = await this.roots.findOne({ _id: root }, { projection: { types: 1 }, ...(session && { session }) })
    this.known = (found?.types ?? []).sort()
    return this.known
  }

  /** Makes what a type needs, once, and says so before anything of the type is stored. */
  async ensure(types: Iterable<string>): Promise<void> {
    await Promise.all([...new Set(types)].map((type) => this.ready.get(type) ?? this.make(type)))
  }

  private make(type: string): Promise<void> {
    const made = (async () => {
      await this.made(type, current)
      await this.made(historyOf(type), history)
      if (!this.known.includes(type))
        await this.roots.updateOne({ _id: root }, { $addToSet: { types: type } }, { upsert: true })
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
