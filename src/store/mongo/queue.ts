/**
 * Group commit: changes that share no resource ride together in one transaction, one of which is on its way at a time.
 *
 * https://www.mongodb.com/docs/manual/core/transactions/
 *
 * What waits meanwhile goes with the next. When a transaction of several fails for what is wrong with one of them, each
 * is tried alone. What must not happen beside anything else goes alone.
 */
import type { Db, MongoClient } from 'mongodb'
import { type Commit, CommitRefused, type Committed, StoreUnavailable } from '../store.js'
import { type Decided, type Prepared, prepare, type Writer } from './commit.js'
import { isDuplicate } from './failures.js'
import type { Lanes } from './lanes.js'
import type { Places } from './places.js'
import type { Root } from './root.js'
import { transaction } from './transaction.js'

type Waiting = {
  prepared: Prepared
  alone: boolean
  names: Set<string>
  refs: Set<string>
  size: number
  /** When it must have been answered, its turn or not. */
  deadline: number
  done: (decided: Decided) => void
  failed: (error: unknown) => void
}

/** A transaction holds its snapshot in the server's cache: no more changes than this ride together. */
const changesMax = 1000
/** Nor more text than this, unless one brings it alone. */
const sizeMax = 16 * 1024 * 1024

export class Queue {
  private waiting: Waiting[] = []
  private running: Promise<void> | undefined
  private closed = false

  constructor(
    private readonly client: MongoClient,
    private readonly db: Db,
    private readonly root: Root,
    private readonly lanes: Lanes,
    private readonly places: Places,
    private readonly writer: Writer,
    private readonly timeLimitMs: number,
    /** Told after each transaction that stored something. */
    private readonly stored: () => void,
  ) {}

  async commit(commit: Commit): Promise<Committed[]> {
    if (this.closed) throw new Error('the store is closed')
    const prepared = prepare(commit)
    const decided = await new Promise<Decided>((done, failed) => {
      this.waiting.push({ prepared, ...independence(commit), deadline: Date.now() + this.timeLimitMs, done, failed })
      this.running ??= this.run()
    })
    if (decided instanceof CommitRefused) throw decided
    return decided
  }

  async close(): Promise<void> {
    this.closed = true
    await this.running
  }

  private async run(): Promise<void> {
    // What is asked for in the same turn of the event loop rides together.
    await undefined
    while (this.waiting.length) {
      const group = this.next()
      await this.together(group)
    }
    this.running = undefined
  }

  /** The first that waits, and those behind it that have nothing to do with each other, in their order. */
  private next(): Waiting[] {
    const [first, ...others] = this.waiting as [Waiting, ...Waiting[]]
    this.waiting = others
    if (first.alone) return [first]
    const group = [first]
    const names = new Set(first.names)
    const refs = new Set(first.refs)
    let changes = first.names.size
    let { size } = first
    const left: Waiting[] = []
    for (const each of others) {
      const fits = !each.alone && changes + each.names.size <= changesMax && size + each.size <= sizeMax
      const apart = fits && !meets(each.names, names) && !meets(each.names, refs) && !meets(each.refs, names)
      // Those that are left behind keep their turn: nothing that meets them goes first.
      for (const name of each.names) names.add(name)
      for (const name of each.refs) refs.add(name)
      if (!apart) left.push(each)
      else {
        group.push(each)
        changes += each.names.size
        size += each.size
      }
    }
    this.waiting = left
    return group
  }

  private async together(group: readonly Waiting[]): Promise<void> {
    const late = group.filter(({ deadline }) => Date.now() >= deadline)
    for (const each of late) each.failed(new StoreUnavailable('The store is not available: others waited before this'))
    if (late.length) {
      const left = group.filter((each) => !late.includes(each))
      return left.length ? this.together(left) : undefined
    }
    try {
      const decided = await this.transact(group)
      for (const [i, each] of group.entries()) each.done(decided[i]!)
    } catch (error) {
      if (group.length === 1) group[0]!.failed(error)
      else for (const each of group) await this.together([each])
    }
  }

  private async transact(group: readonly Waiting[]): Promise<Decided[]> {
    const prepared = group.map((each) => each.prepared)
    const alone = group[0]!.alone
    await this.root.ensure(
      prepared.flatMap(({ commit }) => commit.changes.map(({ type }) => type)),
      prepared.flatMap(({ searchables }) => searchables.flatMap((each) => (each ? [each.vis] : []))),
    )
    await this.lanes.use()
    await this.places.resume(this.db, this.lanes.tenant)
    const decided = await transaction(this.client, {
      timeLimitMs: Math.max(1, Math.min(...group.map(({ deadline }) => deadline)) - Date.now()),
      session: this.lanes.committing,
      work: async (session) => {
        try {
          return await this.writer.apply(session, prepared, alone)
        } catch (error) {
          // Somebody else has our lane: a new one, and again.
          if (isDuplicate(error)) await this.lanes.take()
          throw error
        }
      },
      committed: () => this.writer.isKept(prepared),
      // A unique key was taken since the snapshot: by another's resource, claim, or lane.
      again: isDuplicate,
    })
    this.stored()
    return decided
  }
}

function independence({
  changes,
  conditions,
  claims,
  integrity,
}: Commit): Pick<Waiting, 'alone' | 'names' | 'refs' | 'size'> {
  const names = new Set(changes.map(({ type, id }) => `${type}/${id}`))
  for (const { key } of claims ?? []) names.add(`claim ${key}`)
  let size = 0
  for (const change of changes)
    if (change.op === 'put') size += change.serialized.head.length + change.serialized.tail.length
  const refs = new Set<string>()
  if (integrity)
    for (const change of changes)
      if (change.op === 'put') for (const { type, id } of change.references) refs.add(`${type}/${id}`)
  return {
    alone: Boolean(conditions?.length) || (integrity && changes.some(({ op }) => op === 'delete')),
    names,
    refs,
    size,
  }
}

function meets(some: Set<string>, others: Set<string>): boolean {
  for (const each of some) if (others.has(each)) return true
  return false
}
