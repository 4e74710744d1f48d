/**
 * The one order in which versions became visible: numbers given in batches, by the process that holds the lease.
 *
 * https://www.mongodb.com/docs/manual/core/transactions-production-consideration/
 *
 * A counter that every commit increments would let commits run one at a time. Each commit leaves a mark instead, which
 * is counted after it is visible; a version is counted after the one it replaces because its mark's place is larger.
 * The transaction that counts writes the lease: a holder that was stopped and awakes when another holds it finds the
 * other's name and counts nothing.
 */
import type { ClientSession, Db, Document, MongoClient } from 'mongodb'
import type { Visible } from '../store.js'
import { codeOf, isDuplicate } from './failures.js'
import type { Lanes } from './lanes.js'
import { type CommitDocument, commitsCollection } from './marks.js'
import type { Reader } from './reader.js'
import { type Row, storedOf, versionFields } from './stored.js'
import { transaction } from './transaction.js'

const leaseId = 'sequence'
const leaseMs = 5_000
/** A plain write waits for a transaction that holds its document, but not for long. */
const patienceMs = 1_000
const batchMax = 1000
/** Commits under load are counted together. */
const delayMs = 50
/** How often a holder looks for what other processes stored. */
const patrolMs = 1_000

type LeaseDocument = { _id: string; holder: string; until: Date; next: number }

export class Sequence {
  private timer: NodeJS.Timeout | undefined
  private running: Promise<number> | undefined
  private closed = false
  private readonly patrol: NodeJS.Timeout

  constructor(
    private readonly client: MongoClient,
    private readonly db: Db,
    private readonly lanes: Lanes,
    private readonly timeLimitMs: number,
  ) {
    this.patrol = setInterval(() => this.soon(), patrolMs)
    this.patrol.unref()
  }

  private get leases() {
    return this.db.collection<LeaseDocument>(commitsCollection)
  }

  private get marks() {
    return this.db.collection<CommitDocument>(commitsCollection)
  }

  /** Something was stored. */
  soon(): void {
    if (this.closed) return
    this.timer ??= setTimeout(() => {
      this.timer = undefined
      // What fails now is tried again by the patrol, or by who asks for changes.
      this.count().catch(() => undefined)
    }, delayMs)
    this.timer.unref()
  }

  /** What became visible after a number, oldest first. */
  async changes(reader: Reader, after: number, limit: number): Promise<Visible[]> {
    await this.count()
    const marks = await this.marks
      .find({ seq: { $gt: after } }, { maxTimeMS: this.timeLimitMs })
      .sort({ seq: 1, w: 1 })
      .limit(limit)
      .toArray()
    const named = marks
      .flatMap(({ seq, n, v }) => v.map(([type, id, version], i) => ({ sequence: seq - n + 1 + i, type, id, version })))
      .filter(({ sequence }) => sequence > after)
      .slice(0, limit)
    const rows = await versionsOf(reader, named)
    return named.flatMap(({ sequence, type, id, version }) => {
      const row = rows.get(`${type}/${id}/${version}`)
      return row ? [{ sequence, stored: storedOf(type, row) }] : []
    })
  }

  /** Counts what was stored and not counted; only one process does. How many versions it counted. */
  async count(): Promise<number> {
    while (this.running) await this.running.catch(() => 0)
    this.running = this.counted()
    try {
      return await this.running
    } finally {
      this.running = undefined
    }
  }

  private async counted(): Promise<number> {
    let sum = 0
    for (;;) {
      const some = await this.marks.findOne({ seq: 0 }, { projection: { _id: 1 } })
      if (!some || !(await this.hold())) return sum
      const counted = await transaction(this.client, {
        timeLimitMs: this.timeLimitMs,
        session: this.lanes.counting,
        // The lease went to another: what is left is its work.
        work: (session) => this.batch(session),
      }).catch((error: unknown) => {
        if (isDuplicate(error instanceof Error ? error.cause : error)) return 0
        throw error
      })
      if (!counted) return sum
      sum += counted
    }
  }

  /** Whether we hold the lease, taking it when nobody does. */
  private async hold(): Promise<boolean> {
    const now = Date.now()
    try {
      const lease = await this.leases.findOneAndUpdate(
        { _id: leaseId, $or: [{ holder: this.lanes.holder }, { until: { $lt: new Date(now) } }] },
        { $set: { holder: this.lanes.holder, until: new Date(now + leaseMs) }, $setOnInsert: { next: 1 } },
        { upsert: true, returnDocument: 'after', maxTimeMS: patienceMs },
      )
      return lease?.holder === this.lanes.holder
    } catch (error) {
      // A transaction of a process that died may hold the lease until the server ends it.
      if (isDuplicate(error) || codeOf(error) === 50) return false
      throw error
    }
  }

  private async batch(session: ClientSession): Promise<number> {
    const lease = await this.leases.findOne({ _id: leaseId }, { session })
    if (lease?.holder !== this.lanes.holder) return 0
    const marks = await this.marks
      .find({ seq: 0 }, { session, projection: { n: 1, w: 1 } })
      .sort({ seq: 1, w: 1 })
      .limit(batchMax)
      .toArray()
    if (!marks.length) return 0
    let next = lease.next
    const numbered = marks.map(({ _id, n }) => {
      next += n
      return { updateOne: { filter: { _id }, update: { $set: { seq: next - 1 } } } }
    })
    await this.db.collection<Document & { _id: string }>(commitsCollection).bulkWrite(
      [
        {
          updateOne: {
            filter: { _id: leaseId, holder: this.lanes.holder },
            update: { $set: { next } },
            upsert: true,
          },
        },
        ...numbered,
      ],
      { session, ordered: true },
    )
    return next - lease.next
  }

  /** Counts what is left, and lets the lease go. */
  async close(): Promise<void> {
    this.closed = true
    clearInterval(this.patrol)
    clearTimeout(this.timer)
    await this.running?.catch(() => 0)
    await this.leases
      .updateOne(
        { _id: leaseId, holder: this.lanes.holder },
        { $set: { until: new Date(0) } },
        { maxTimeMS: patienceMs },
      )
      .catch(() => undefined)
  }
}

type Named = { type: string; id: string; version: number }

/** Versions wherever they are by now: current, or in the history. */
async function versionsOf(reader: Reader, named: readonly Named[]): Promise<Map<string, Row>> {
  const byType = new Map<string, Named[]>()
  for (const each of named) {
    const of = byType.get(each.type)
    if (of) of.push(each)
    else byType.set(each.type, [each])
  }
  const fields = (type: string) => ({ $project: { ...versionFields, _id: 0, type: { $literal: type } } })
  const rows = await reader.union<Row & { type: string }>(
    [...byType].flatMap(([type, of]) => [
      { type, stages: [{ $match: { _id: { $in: [...new Set(of.map(({ id }) => reader.key(id)))] } } }, fields(type)] },
      {
        type,
        history: true,
        stages: [{ $match: { _id: { $in: of.map(({ id, version }) => reader.key(id, version)) } } }, fields(type)],
      },
    ]),
  )
  return new Map(rows.map((row) => [`${row.type}/${row.id}/${row.v}`, row]))
}
