/**
 * One document for each process that writes, which every one of its commits touches: its lane.
 *
 * https://www.mongodb.com/docs/manual/core/transactions-production-consideration/#in-progress-transactions-and-write-conflicts
 *
 * Snapshots alone let two transactions each decide on what the other is about to change. What must not happen beside
 * anything else (a condition, a delete that nothing may refer to) touches all lanes: it conflicts with every commit on
 * its way, and one of the two is tried again. Commits of different processes touch different lanes and never meet.
 *
 * A lane is held by a lease. Who lost it (a stopped process that awakes) finds another's name in it and cannot commit.
 */
import { randomUUID } from 'node:crypto'
import type { AnyBulkWriteOperation, Db, Document, MongoClient } from 'mongodb'
import { StoreUnusable } from '../store.js'
import { isDuplicate } from './failures.js'
import { commitsCollection } from './marks.js'
import { lanesMax } from './places.js'
import { transaction } from './transaction.js'

/** What a new lane and a new type write, so that who touches all lanes meets them too. */
export const root = 'lanes'
const keyOf = (lane: number | ''): string => `lane/${lane}`

const leaseMs = 60_000
const renewMs = 15_000

type LaneDocument = { _id: string; lane: number; holder: string; until: Date; n: number }

export class Lanes {
  readonly holder = randomUUID()
  private lane = -1
  private timer: NodeJS.Timeout | undefined
  private taking: Promise<void> | undefined

  constructor(
    private readonly client: MongoClient,
    private readonly db: Db,
    private readonly timeLimitMs: number,
  ) {}

  get number(): number {
    return this.lane
  }

  private get commits() {
    return this.db.collection<LaneDocument>(commitsCollection)
  }

  /** Takes a free lane, or the one of a process that is gone. */
  async take(): Promise<void> {
    this.taking ??= this.taken().finally(() => {
      this.taking = undefined
    })
    await this.taking
  }

  private async taken(): Promise<void> {
    this.lane = await transaction(this.client, {
      timeLimitMs: this.timeLimitMs,
      again: isDuplicate,
      work: async (session) => {
        const now = Date.now()
        const held = await this.commits.find({ _id: { $gte: keyOf(''), $lt: root } }, { session }).toArray()
        const busy = new Set(
          held.filter(({ until, holder }) => until.getTime() > now && holder !== this.holder).map(({ lane }) => lane),
        )
        const own = held.find(({ holder }) => holder === this.holder)?.lane
        const lane = own ?? Array.from({ length: lanesMax }, (_, i) => i).find((each) => !busy.has(each))
        if (lane === undefined) throw new StoreUnusable(`More than ${lanesMax} processes write to this database`)
        const until = new Date(now + leaseMs)
        await this.commits.bulkWrite(
          [
            { updateOne: { filter: { _id: root }, update: { $inc: { n: 1 } }, upsert: true } },
            {
              updateOne: {
                filter: { _id: keyOf(lane) },
                update: { $set: { lane, holder: this.holder, until }, $inc: { n: 1 } },
                upsert: true,
              },
            },
          ],
          { session },
        )
        return lane
      },
    })
    clearInterval(this.timer)
    this.timer = setInterval(() => void this.renew(), renewMs)
    this.timer.unref()
  }

  private async renew(): Promise<void> {
    await this.commits
      .updateOne({ _id: keyOf(this.lane), holder: this.holder }, { $set: { until: new Date(Date.now() + leaseMs) } })
      // The next commit finds out, and takes another lane if it must.
      .catch(() => undefined)
  }

  /**
   * The statements by which a commit touches its lane, or all of them. The first fails on the unique key when the lane
   * is another's by now.
   */
  touches(everyone: boolean): AnyBulkWriteOperation<Document & { _id: string }>[] {
    const own = keyOf(this.lane)
    const update = { $inc: { n: 1 } }
    return [
      { updateOne: { filter: { _id: own, holder: this.holder }, update, upsert: true } },
      ...(everyone ? [{ updateMany: { filter: { _id: { $gte: keyOf(''), $lte: root, $ne: own } }, update } }] : []),
    ]
  }

  /** Gives the lane back. */
  async close(): Promise<void> {
    clearInterval(this.timer)
    if (this.lane < 0) return
    await this.commits
      .updateOne({ _id: keyOf(this.lane), holder: this.holder }, { $set: { until: new Date(0) } })
      .catch(() => undefined)
  }
}
