/**
 * One document for each process that writes to a tenant, which every one of its commits touches: its lane.
 *
 * https://www.mongodb.com/docs/manual/core/transactions-production-consideration/#in-progress-transactions-and-write-conflicts
 *
 * Snapshots alone let two transactions each decide on what the other is about to change. What must not happen beside
 * anything else (a condition, a delete that nothing may refer to) touches all lanes of the tenant: it conflicts with
 * every commit on its way, and one of the two is tried again. Commits of different processes touch different lanes and
 * never meet, and nor do those of different tenants.
 *
 * A lane is held by a lease. Who lost it (a stopped process that awakes) finds another's name in it and cannot commit.
 */
import type { AnyBulkWriteOperation, Binary, ClientSession, Db, Document, MongoClient } from 'mongodb'
import { StoreUnusable } from '../store.js'
import { isDuplicate } from './failures.js'
import { commitsCollection, keyOf } from './marks.js'
import { lanesMax } from './places.js'
import { newSession, transaction } from './transaction.js'

export const leaseMs = 15_000
/** A tenant that is not written to for so long has its lane given back. */
const idleMs = 120_000

/** Who holds a lane. */
export type HeldDocument = {
  _id: string
  t: string
  lane: number
  holder: string
  until: Date
  sessions: Binary[]
}

/** The lane itself: what commits write. */
type LaneDocument = { _id: string; holder: string; n: number }

/** The end of a lease that nobody holds. */
export const free = new Date(0)

export class Lanes {
  private lane = -1
  private until = 0
  private used = 0
  private taking: Promise<void> | undefined

  /** What this process commits in, what it numbers versions in, and what it chains entries of the audit log in. */
  readonly committing: ClientSession
  readonly counting: ClientSession
  readonly chaining: ClientSession

  constructor(
    private readonly client: MongoClient,
    private readonly db: Db,
    readonly tenant: string,
    readonly holder: string,
    private readonly timeLimitMs: number,
  ) {
    this.committing = newSession(client)
    this.counting = newSession(client)
    this.chaining = newSession(client)
  }

  get number(): number {
    return this.lane
  }

  /** The key by which the lane is held, if one is. */
  get key(): string | undefined {
    return this.lane < 0 ? undefined : keyOf.held(this.tenant, this.lane)
  }

  get idle(): boolean {
    return Date.now() - this.used > idleMs
  }

  private get held() {
    return this.db.collection<HeldDocument>(commitsCollection)
  }

  /** Takes a lane unless one is held whose lease goes on for a while. */
  async use(): Promise<void> {
    this.used = Date.now()
    if (this.lane < 0 || this.until - this.used < leaseMs / 3) await this.take()
  }

  /** The lease goes on. */
  renewed(until: Date): void {
    this.until = until.getTime()
  }

  /** Takes a free lane, or the one of a process that is gone. */
  async take(): Promise<void> {
    this.taking ??= this.taken().finally(() => {
      this.taking = undefined
    })
    await this.taking
  }

  private async taken(): Promise<void> {
    const { tenant } = this
    const until = new Date(Date.now() + leaseMs)
    this.lane = await transaction(this.client, {
      timeLimitMs: this.timeLimitMs,
      again: isDuplicate,
      work: async (session) => {
        const now = Date.now()
        const held = await this.held
          .find({ _id: { $gte: keyOf.held(tenant, ''), $lt: `${keyOf.held(tenant, '')}:` } }, { session })
          .toArray()
        const busy = new Set(
          held.filter(({ until, holder }) => until.getTime() > now && holder !== this.holder).map(({ lane }) => lane),
        )
        const own = held.find(({ holder }) => holder === this.holder)?.lane
        const lane = own ?? Array.from({ length: lanesMax }, (_, i) => i).find((each) => !busy.has(each))
        if (lane === undefined) throw new StoreUnusable(`More than ${lanesMax} processes write to this database`)
        const sessions = [this.committing, this.counting, this.chaining].flatMap(({ id }) => id?.id ?? [])
        await this.db.collection<LaneDocument>(commitsCollection).bulkWrite(
          [
            { updateOne: { filter: { _id: keyOf.root(tenant) }, update: { $inc: { n: 1 } }, upsert: true } },
            {
              updateOne: {
                filter: { _id: keyOf.lane(tenant, lane) },
                update: { $set: { holder: this.holder }, $inc: { n: 1 } },
                upsert: true,
              },
            },
          ],
          { session },
        )
        const holding = { t: tenant, lane, holder: this.holder, until, sessions }
        await this.held.replaceOne({ _id: keyOf.held(tenant, lane) }, holding, { upsert: true, session })
        return lane
      },
    })
    this.renewed(until)
  }

  /**
   * The statements by which a commit touches its lane, or all of them. The first fails on the unique key when the lane
   * is another's by now.
   */
  touches(everyone: boolean): AnyBulkWriteOperation<Document & { _id: string }>[] {
    const own = keyOf.lane(this.tenant, this.lane)
    const update = { $inc: { n: 1 } }
    const all = { $gte: keyOf.lane(this.tenant, ''), $lte: keyOf.root(this.tenant), $ne: own }
    return [
      { updateOne: { filter: { _id: own, holder: this.holder }, update, upsert: true } },
      ...(everyone ? [{ updateMany: { filter: { _id: all }, update } }] : []),
    ]
  }

  /** Gives the lane back. */
  async release(): Promise<void> {
    const { key } = this
    this.lane = -1
    if (key !== undefined)
      await this.held
        .updateOne({ _id: key, holder: this.holder }, { $set: { until: free } }, { maxTimeMS: 1_000 })
        .catch(() => undefined)
  }

  async close(): Promise<void> {
    await this.release()
    for (const session of [this.committing, this.counting, this.chaining])
      await session.endSession().catch(() => undefined)
  }
}
