/**
 * Collections and indexes: made before the first write of a type, because a transaction cannot.
 *
 * https://www.mongodb.com/docs/manual/core/transactions-operations/#restricted-operations
 */
import type { Db } from 'mongodb'
import { StoreUnusable } from '../store.js'
import { contentCollection } from './content.js'
import { codeOf } from './failures.js'
import { compared, descriptionOf, type Index, IndexBuilds } from './index-builds.js'
import { commitsCollection } from './marks.js'
import { historyOf } from './reader.js'

/** The shape of what lies in the database; another number is another shape. */
export const layout = 2

const living = { partialFilterExpression: { vis: { $exists: true } } }

/**
 * Every index begins with the tenant. Those that give an order have the class of those who may see a resource before it,
 * and end in the order of creation, which is unique, or the server would sort in memory. What was deleted is in none.
 */
export const current: Index[] = [
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

export type Definitions = { current: Index[]; history: Index[] }

const history: Index[] = [
  { name: 'written', key: { t: 1, lu: -1, w: -1 } },
  { name: 'versions', key: { t: 1, id: 1, lu: -1, w: -1 } },
]

const fixed: Record<string, Index[]> = {
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

  readonly builds: IndexBuilds

  constructor(
    readonly db: Db,
    say: (sentence: string) => void = () => undefined,
    private readonly definitions: Definitions = { current, history },
  ) {
    this.builds = new IndexBuilds(db, say)
  }

  async open(): Promise<void> {
    for (const [name, indexes] of Object.entries(fixed)) await this.made(name, indexes)
    await this.upgrade()
  }

  /** What an earlier version of the server has left otherwise than it is now, type by type and once a version. */
  private async upgrade(): Promise<void> {
    const about = this.db.collection<{ _id: string; of: string }>('about')
    const of = JSON.stringify([this.definitions.current, this.definitions.history].map((each) => each.map(versionOf)))
    if ((await about.findOne({ _id: 'indexes' }))?.of === of) return
    const names = (await this.db.listCollections({}, { nameOnly: true }).toArray()).map(({ name }) => name)
    for (const type of names.filter((name) => names.includes(historyOf(name)))) await this.ensure(type)
    // While something is built, the next start looks again.
    void this.builds.idle().then(async (whole) => {
      if (whole) await about.updateOne({ _id: 'indexes' }, { $set: { of } }, { upsert: true }).catch(() => undefined)
    })
  }

  /** Makes what a type needs, once. */
  ensure(type: string): Promise<void> {
    const known = this.ready.get(type)
    if (known) return known
    const made = (async () => {
      await this.made(type, this.definitions.current)
      await this.made(historyOf(type), this.definitions.history)
    })()
    this.ready.set(type, made)
    made.catch(() => this.ready.delete(type))
    return made
  }

  private async made(name: string, indexes: Index[]): Promise<void> {
    // Making what is there already waits for every transaction that uses it, even one of a process that died.
    if (!(await this.db.listCollections({ name }, { nameOnly: true }).hasNext()))
      await this.db.createCollection(name).catch((error: unknown) => {
        if (codeOf(error) !== 48) throw error
      })
    const collection = this.db.collection(name)
    const { missing, outdated } = compared(indexes, await collection.indexes())
    if (!missing.length && !outdated.length) return
    if (
      (outdated.length || missing.length < indexes.length) &&
      (await collection.findOne({}, { projection: { _id: 1 } }))
    ) {
      this.builds.soon(name, missing, outdated)
      return
    }
    try {
      if (missing.length) await collection.createIndexes(missing.map(descriptionOf))
      for (const each of outdated) await collection.dropIndex(each)
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

const versionOf = ({ name, version = 1 }: Index): string => `${name} v${version}`
