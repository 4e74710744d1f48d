/**
 * What a process does once a second or so for all its tenants: leases go on, what died is cleaned up, what was left
 * unnumbered is numbered.
 *
 * https://www.mongodb.com/docs/manual/reference/command/killSessions/
 */
import { randomUUID } from 'node:crypto'
import type { Db, MongoClient } from 'mongodb'
import { free, type HeldDocument, type Lanes, leaseMs } from './lanes.js'
import { commitsCollection } from './marks.js'

const renewMs = 5_000
/** How often a process looks for what others stored and nobody numbered. */
const patrolMs = 1_000

/** What a tenant is told by the patrol. */
export type Kept = { lanes: Lanes; counting(): void; chaining(): void }

export class Keeper {
  readonly holder = randomUUID()
  private readonly timers: NodeJS.Timeout[]

  constructor(
    private readonly client: MongoClient,
    private readonly db: Db,
    /** The tenants that this process has opened. */
    private readonly opened: () => Iterable<Kept>,
    private readonly open: (tenant: string) => Kept,
  ) {
    // What fails is done the next time, or found out by the next commit.
    this.timers = [
      setInterval(() => void this.renew().catch(() => undefined), renewMs),
      setInterval(() => void this.patrol().catch(() => undefined), patrolMs),
    ]
    for (const timer of this.timers) timer.unref()
  }

  private get held() {
    return this.db.collection<HeldDocument>(commitsCollection)
  }

  private async renew(): Promise<void> {
    const leases: { key: string; lanes: Lanes }[] = []
    for (const { lanes } of this.opened()) {
      const { key, idle } = lanes
      if (key === undefined) continue
      if (idle) await lanes.release()
      else leases.push({ key, lanes })
    }
    if (leases.length) {
      const until = new Date(Date.now() + leaseMs)
      const { matchedCount } = await this.held.updateMany(
        { _id: { $in: leases.map(({ key }) => key) }, holder: this.holder },
        { $set: { until } },
        { maxTimeMS: renewMs },
      )
      // Where one of them went to another, its next commit finds out.
      if (matchedCount === leases.length) for (const { lanes } of leases) lanes.renewed(until)
    }
    await this.sweep()
  }

  /**
   * What a process that died left open would stay locked until the server ends it after a minute. Its sessions are
   * ours to end: they are of the same user.
   */
  private async sweep(): Promise<void> {
    const over = await this.held.find({ lane: { $gte: 0 }, until: { $gt: free, $lt: new Date() } }).toArray()
    for (const { _id, holder, sessions } of over) {
      if (holder === this.holder) continue
      await this.client.db('admin').command({ killSessions: sessions.map((id) => ({ id })) })
      await this.held.updateOne({ _id, holder }, { $set: { until: free } }, { maxTimeMS: renewMs })
    }
  }

  private async patrol(): Promise<void> {
    const commits = this.db.collection<{ t: string }>(commitsCollection)
    for (const tenant of await commits.distinct('t', { seq: 0 })) this.open(tenant).counting()
    for (const tenant of await commits.distinct('t', { sq: 0 })) this.open(tenant).chaining()
  }

  close(): void {
    for (const timer of this.timers) clearInterval(timer)
  }
}
