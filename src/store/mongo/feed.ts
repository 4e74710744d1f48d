/**
 * Tells who follows a tenant's changes that there may be more, also those of other processes.
 *
 * https://www.mongodb.com/docs/manual/changeStreams/
 *
 * A change stream only wakes; what became visible is asked by sequence. Where there is no stream for the moment the
 * patrol looks for itself.
 */
import type { ChangeStream, Db } from 'mongodb'
import { Watchers } from '../watchers.js'
import { commitsCollection, keyOf } from './marks.js'
import type { LeaseDocument } from './stamping.js'

const patrolMs = 1_000

export class Feed {
  private readonly watchers = new Map<string, { of: Watchers; count: number }>()
  /** The number that comes next, by tenant, as it was seen last. */
  private readonly seen = new Map<string, number>()
  private stream: ChangeStream | undefined
  private patrolling: NodeJS.Timeout | undefined

  constructor(private readonly db: Db) {}

  watch(tenant: string, listener: () => void): () => void {
    const known = this.watchers.get(tenant) ?? { of: new Watchers(), count: 0 }
    this.watchers.set(tenant, known)
    known.count++
    const end = known.of.watch(listener)
    this.open()
    let ended = false
    return () => {
      if (ended) return
      ended = true
      end()
      known.count--
      if (!known.count) this.watchers.delete(tenant)
      if (!this.watchers.size) void this.close()
    }
  }

  /** Something of the tenant became visible. */
  readonly tell = (tenant: string): void => this.watchers.get(tenant)?.of.tell()

  private open(): void {
    if (!this.patrolling) {
      this.patrolling = setInterval(() => void this.patrol().catch(() => undefined), patrolMs)
      this.patrolling.unref()
    }
    if (this.stream) return
    // Who numbers writes the lease, with the number that comes next, in the transaction that makes them visible.
    const stream = this.db
      .collection(commitsCollection)
      .watch(
        [
          { $match: { operationType: 'update', 'updateDescription.updatedFields.next': { $exists: true } } },
          { $project: { documentKey: 1, operationType: 1 } },
        ],
        { maxAwaitTimeMS: patrolMs },
      )
    this.stream = stream
    const over = () => {
      if (this.stream === stream) this.stream = undefined
      stream.close().catch(() => undefined)
    }
    stream.on('change', (change) => {
      const [tenant, what] = 'documentKey' in change ? String(change.documentKey._id).split('/') : []
      if (tenant !== undefined && what === 'sequence') this.tell(tenant)
    })
    stream.on('error', over)
    stream.on('close', over)
  }

  private async patrol(): Promise<void> {
    if (!this.watchers.size) return
    this.open()
    const leases = await this.db
      .collection<LeaseDocument>(commitsCollection)
      .find({ _id: { $in: [...this.watchers.keys()].map((tenant) => keyOf.lease(tenant, 'sequence')) } })
      .project<{ t: string; next: number }>({ t: 1, next: 1 })
      .toArray()
    for (const { t, next } of leases) {
      if (this.seen.get(t) === next) continue
      this.seen.set(t, next)
      this.tell(t)
    }
  }

  async close(): Promise<void> {
    clearInterval(this.patrolling)
    this.patrolling = undefined
    const { stream } = this
    this.stream = undefined
    await stream?.close().catch(() => undefined)
  }
}
