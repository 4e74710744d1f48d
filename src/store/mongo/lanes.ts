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
import type { AnyBulkWriteOperation, Binary, ClientSession, Db, Document, MongoClient } from 'mongodb'
import { StoreUnusable } from '../store.js'
import { isDuplicate } from './failures.js'
import { commitsCollection } from './marks.js'
import { lanesMax } from './places.js'
import { newSession, transaction } from './transaction.js'

/** What a new lane and a new type write, so that who touches all lanes meets them too. */
export const root = 'lanes'
const keyOf = (lane: number | ''): string => `lane/${lane}`

const leaseMs = 15_000
const renewMs = 5_000

type LaneDocument = { _id: string; lane: number; holder: string; until: Date; sessions: Binary[]; n: number }

/** A lane that nobody holds. */
const free = new Date(0)

export class Lanes {
  readonly holder = randomUUID()
  private lane = -1
  private readonly timer: NodeJS.Timeout
  private taking: Promise<void> | undefined

  /** What this process commits in, and what it counts in. */
  readonly committing: ClientSession
  readonly counting: ClientSession

  constructor(
    private readonly client: MongoClient,
    private readonly db: Db,
    private readonly timeLimitMs: number,
  ) {
    this.committing = newSession(client)
    this.counting = newSession(client)
    this.timer = setInterval(() => void this.keep(), renewMs)
    this.timer.unref()
  }

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
        const sessions = [this.committing, this.counting].flatMap(({ id }) => id?.id ?? [])
        await this.commits.bulkWrite(
          [
            { updateOne: { filter: { _id: root }, update: { $inc: { n: 1 } }, upsert: true } },
            {
              updateOne: {
                filter: { _id: keyOf(lane) },
                update: { $set: { lane, holder: this.holder, until, sessions }, $inc: { n: 1 } },
                upsert: true,
              },
            },
          ],
          { session },
        )
        return lane
      },
    })
  }

  private async keep(): Promise<void> {
    try {
      if (this.lane >= 0)
        await this.commits.updateOne(
          { _id: keyOf(this.lane), holder: this.holder },
          { $set: { until: new Date(Date.now() + leaseMs) } },
          { maxTimeMS: renewMs },
        )
      await this.sweep()
    } catch {
      // The next commit finds out, and takes another lane if it must.
    }
  }

  /**
   * What a process that died left open would stay locked until the server ends it after a minute. Its sessions are
   * ours to end: they are of the same user.
   */
  private async sweep(): Promise<void> {
    const over = await this.commits
      .find({
        _id: { $gte: keyOf(''), $lt: root, $ne: keyOf(this.lane) },
        until: { $gt: free, $lt: new Date() },
      })
      .toArray()
    for (const { _id, holder, sessions } of over) {
      await this.client.db('admin').command({ killSessions: sessions.map((id) => ({ id })) })
      await this.commits.updateOne({ _id, holder }, { $set: { until: free } }, { maxTimeMS: renewMs })
    }
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
    if (this.lane >= 0) await this.release()
    for (const session of [this.committing, this.counting]) await session.endSession().catch(() => undefined)
  }

  private async release(): Promise<void> {
    await this.commits
      .updateOne({ _id: keyOf(this.lane), holder: this.holder }, { $set: { until: free } }, { maxTimeMS: 1_000 })
      .catch(() => undefined)
  }
}
