/**
 * Numbers given afterwards, in batches, by the process that holds a lease: to versions, and to entries of the audit log.
 *
 * https://www.mongodb.com/docs/manual/core/transactions-production-consideration/
 *
 * A counter that every commit increments would let commits run one at a time. What is to be numbered says 0 instead, and
 * is numbered after it is visible. The transaction that numbers writes the lease: a holder that was stopped and awakes
 * when another holds it finds the other's name and numbers nothing.
 */
import type { ClientSession, Collection, Db, Document, MongoClient, Sort } from 'mongodb'
import { codeOf, isDuplicate } from './failures.js'
import { free, type Lanes } from './lanes.js'
import { commitsCollection, keyOf } from './marks.js'
import { transaction } from './transaction.js'

const leaseMs = 5_000
/** A plain write waits for a transaction that holds its document, but not for long. */
const patienceMs = 1_000
const batchMax = 1000
/** What comes under load is numbered together. */
const delayMs = 50

export type LeaseDocument = { _id: string; t: string; holder: string; until: Date; next: number }

/** Which documents, and what the next of them is given; both are told the number that comes next. */
export type Stamped<D extends Document, L extends LeaseDocument> = {
  what: 'sequence' | 'chain'
  /** The member that is 0 until it is numbered. */
  member: 'seq' | 'sq'
  order: Sort
  projection: Document
  session: ClientSession
  /** What each of the batch is set to, and what the lease is. */
  stamp(batch: readonly D[], lease: L): { set: Document[]; lease: Partial<L> }
}

export class Stamping<D extends Document & { _id: string }, L extends LeaseDocument = LeaseDocument> {
  private timer: NodeJS.Timeout | undefined
  private running: Promise<number> | undefined
  private closed = false
  private heldUntil = 0

  constructor(
    private readonly client: MongoClient,
    private readonly db: Db,
    private readonly lanes: Lanes,
    private readonly timeLimitMs: number,
    private readonly stamped: Stamped<D, L>,
    /** Told after each batch that is visible. */
    private readonly done: () => void,
  ) {}

  private get key(): string {
    return keyOf.lease(this.lanes.tenant, this.stamped.what)
  }

  private get leases(): Collection<LeaseDocument> {
    return this.db.collection<LeaseDocument>(commitsCollection)
  }

  /** Something was stored. */
  soon(): void {
    if (this.closed) return
    this.timer ??= setTimeout(() => {
      this.timer = undefined
      // What fails now is tried again by the patrol, or by who asks for what is numbered.
      this.all().catch(() => undefined)
    }, delayMs)
    this.timer.unref()
  }

  async lease(): Promise<L | null> {
    return (await this.leases.findOne({ _id: this.key }, { maxTimeMS: this.timeLimitMs })) as L | null
  }

  /** Numbers what was stored and is not numbered; only one process does. How many numbers it gave. */
  async all(): Promise<number> {
    while (this.running) await this.running.catch(() => 0)
    this.running = this.numbered()
    try {
      return await this.running
    } finally {
      this.running = undefined
    }
  }

  private async numbered(): Promise<number> {
    let sum = 0
    for (;;) {
      const some = await this.db
        .collection(commitsCollection)
        .findOne({ [this.stamped.member]: 0, t: this.lanes.tenant }, { projection: { _id: 1 } })
      if (!some) return sum
      if (!(await this.hold())) {
        // The other numbers this too, or lets go.
        this.soon()
        return sum
      }
      // The sessions of a process that dies are found by its lane.
      await this.lanes.use()
      const given = await transaction(this.client, {
        timeLimitMs: this.timeLimitMs,
        session: this.stamped.session,
        // The lease went to another: what is left is its work.
        work: (session) => this.batch(session),
      }).catch((error: unknown) => {
        if (isDuplicate(error instanceof Error ? error.cause : error)) return 0
        throw error
      })
      if (!given) return sum
      sum += given
      this.done()
    }
  }

  /** Whether we hold the lease, taking it when nobody does. */
  private async hold(): Promise<boolean> {
    const now = Date.now()
    const { holder, tenant } = this.lanes
    try {
      const lease = await this.leases.findOneAndUpdate(
        { _id: this.key, $or: [{ holder }, { until: { $lt: new Date(now) } }] },
        { $set: { holder, until: new Date(now + leaseMs) }, $setOnInsert: { t: tenant, next: 1 } },
        { upsert: true, returnDocument: 'after', maxTimeMS: patienceMs },
      )
      const held = lease?.holder === holder
      this.heldUntil = held ? now + leaseMs : 0
      return held
    } catch (error) {
      // A transaction of a process that died may hold the lease until the server ends it.
      if (isDuplicate(error) || codeOf(error) === 50) {
        this.heldUntil = 0
        return false
      }
      throw error
    }
  }

  private async batch(session: ClientSession): Promise<number> {
    const { holder, tenant } = this.lanes
    const { member, order, projection, stamp } = this.stamped
    const lease = await this.leases.findOne({ _id: this.key }, { session })
    if (lease?.holder !== holder) return 0
    const batch = await this.db
      .collection(commitsCollection)
      .find<D>({ [member]: 0, t: tenant }, { session, projection })
      .sort(order)
      .limit(batchMax)
      .toArray()
    if (!batch.length) return 0
    const stamps = stamp(batch, lease as L)
    // Who has numbered everything lets go, so that the process which stores next need not wait for this one.
    const lasting = { ...stamps.lease, ...(batch.length < batchMax && { until: free }) }
    await this.db
      .collection<Document & { _id: string }>(commitsCollection)
      .bulkWrite(
        [
          { updateOne: { filter: { _id: this.key, holder }, update: { $set: lasting }, upsert: true } },
          ...batch.map(({ _id }, i) => ({ updateOne: { filter: { _id }, update: { $set: stamps.set[i]! } } })),
        ],
        { session, ordered: true },
      )
    return batch.length
  }

  /** Numbers what is on its way, and lets the lease go. */
  async close(): Promise<void> {
    this.closed = true
    clearTimeout(this.timer)
    await this.running?.catch(() => 0)
    if (!this.heldUntil) return
    await this.leases
      .updateOne({ _id: this.key, holder: this.lanes.holder }, { $set: { until: free } }, { maxTimeMS: patienceMs })
      .catch(() => undefined)
  }
}
