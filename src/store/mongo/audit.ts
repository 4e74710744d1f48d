/**
 * The audit log of a tenant: entries are durable first, and chained afterwards by the process that holds the lease.
 *
 * https://www.rfc-editor.org/rfc/rfc9162#section-2.1
 *
 * What is appended while another write is on its way goes with the next, so that many readers at once wait for one
 * write. Nothing here removes an entry or changes what it says: chaining adds its place and its hash.
 */
import { Binary, type Db, MongoBulkWriteError, type MongoClient } from 'mongodb'
import { genesis, linkOf } from '../audit-chain.js'
import type { AuditEntry, AuditLog, AuditQuery, AuditRecord } from '../store.js'
import { isDuplicate, translating } from './failures.js'
import type { Filter } from './filter.js'
import type { Lanes } from './lanes.js'
import { commitsCollection, keyOf } from './marks.js'
import type { Places } from './places.js'
import { type LeaseDocument, Stamping } from './stamping.js'

/** `sq` is the place in the chain, 0 until it is chained; `w` the order in which this process appended. */
export type AuditDocument = {
  _id: string
  t: string
  id: string
  at: number
  keys: string[]
  text: string
  w: number
  sq: number
  hash?: Binary
}

export const auditDocument = (tenant: string, { id, at, keys, text }: AuditEntry, w: number): AuditDocument => ({
  _id: keyOf.audit(tenant, id),
  t: tenant,
  id,
  at,
  keys,
  text,
  w,
  sq: 0,
})

type Parts = { client: MongoClient; db: Db; lanes: Lanes; places: Places; timeLimitMs: number }
/** The lease has the end of the chain. */
type AuditLease = LeaseDocument & { hash?: Binary; at?: number }

type Waiting = { entries: readonly AuditEntry[]; done: () => void; failed: (error: unknown) => void }

/** Entries that are written by one command. */
const togetherMax = 1000

/** What says that a document is of the log, so that the log's indexes are used. */
const ofLog: Filter = { sq: { $gte: 0 } }

export class Audit implements AuditLog {
  private waiting: Waiting[] = []
  private running: Promise<void> | undefined
  private readonly stamping: Stamping<AuditDocument, AuditLease>

  constructor(private readonly parts: Parts) {
    const { client, db, lanes, timeLimitMs } = parts
    const stamped = {
      what: 'chain' as const,
      member: 'sq' as const,
      order: { w: 1 } as const,
      projection: { id: 1, at: 1, keys: 1, text: 1 },
      session: lanes.chaining,
      stamp: (batch: readonly AuditDocument[], { next: first, ...last }: AuditLease) => {
        let hash = last.hash ? bytesOf(last.hash) : genesis
        let latest = last.at ?? Number.NEGATIVE_INFINITY
        const set = batch.map((entry, i) => {
          // Several processes append, and clocks differ: along the chain time never runs backwards.
          latest = Math.max(latest, entry.at)
          hash = linkOf(hash, { ...entry, at: latest })
          return { sq: first + i, hash: new Binary(hash), at: latest }
        })
        return { set, lease: { next: first + batch.length, hash: new Binary(hash), at: latest } }
      },
    }
    this.stamping = new Stamping(client, db, lanes, timeLimitMs, stamped, () => undefined)
  }

  private get records() {
    return this.parts.db.collection<AuditDocument>(commitsCollection)
  }

  private get tenant(): string {
    return this.parts.lanes.tenant
  }

  /** Something was appended, perhaps by another process. */
  soon(): void {
    this.stamping.soon()
  }

  async append(entries: readonly AuditEntry[]): Promise<void> {
    if (!entries.length) return
    await new Promise<void>((done, failed) => {
      this.waiting.push({ entries, done, failed })
      this.running ??= this.run()
    })
  }

  private async run(): Promise<void> {
    // What is appended in the same turn of the event loop goes together.
    await undefined
    while (this.waiting.length) {
      const group = this.next()
      await this.together(group)
    }
    this.running = undefined
  }

  /** As many as one command takes, and one at least. */
  private next(): Waiting[] {
    let count = 0
    let taken = 0
    for (const { entries } of this.waiting) {
      count += entries.length
      if (taken && count > togetherMax) break
      taken++
    }
    return this.waiting.splice(0, taken)
  }

  private async together(group: readonly Waiting[]): Promise<void> {
    try {
      const { places } = this.parts
      const documents = group.flatMap(({ entries }) =>
        entries.map((entry) => auditDocument(this.tenant, entry, places.next(0))),
      )
      const refused = await translating(() => this.insert(documents))
      for (const { entries, done, failed } of group) {
        const own = entries.find(({ id }) => refused.has(id))
        if (own) failed(new Error(`The audit log has another entry ${own.id}`))
        else done()
      }
      this.stamping.soon()
    } catch (error) {
      for (const { failed } of group) failed(error)
    }
  }

  /** @returns the ids under which there is something else already */
  private async insert(documents: AuditDocument[]): Promise<Set<string>> {
    try {
      await this.records.insertMany(documents, { ordered: false })
      return new Set()
    } catch (error) {
      if (!isDuplicate(error)) throw error
      const failed = error instanceof MongoBulkWriteError ? [error.writeErrors].flat() : []
      const ids = new Set(failed.flatMap(({ index }) => documents[index]?._id ?? []))
      // The reply to the first try may have been lost: what is there is what we wrote, unless it says something else.
      const there = await this.records.find({ _id: { $in: [...ids] } }).toArray()
      const same = new Set(there.flatMap(({ id, text, at }) => [`${id} ${at} ${text}`]))
      return new Set(
        documents.flatMap(({ _id, id, at, text }) => (ids.has(_id) && !same.has(`${id} ${at} ${text}`) ? [id] : [])),
      )
    }
  }

  read(id: string): Promise<AuditRecord | undefined> {
    return translating(async () => {
      const found = await this.records.findOne({ _id: keyOf.audit(this.tenant, id) })
      return found ? recordOf(found) : undefined
    })
  }

  find({ key, lo, hi, ascending = false, after, count }: AuditQuery): Promise<AuditRecord[]> {
    return translating(async () => {
      const from = Math.max(lo ?? -Infinity, ascending && after ? after.at : -Infinity)
      const to = Math.min(hi ?? Infinity, !ascending && after ? after.at : Infinity)
      const beyond = ascending ? '$gt' : '$lt'
      const found = await this.records
        .find({
          t: this.tenant,
          ...ofLog,
          ...(key !== undefined && { keys: key }),
          at: { $gte: from, $lte: to },
          ...(after && { $or: [{ at: { [beyond]: after.at } }, { at: after.at, id: { [beyond]: after.id } }] }),
        })
        .sort(ascending ? { at: 1, id: 1 } : { at: -1, id: -1 })
        .limit(count)
        .toArray()
      return found.map(recordOf)
    })
  }

  chain(after: number, limit: number): Promise<AuditRecord[]> {
    return translating(async () => {
      await this.stamping.all()
      const found = await this.records
        .find({ t: this.tenant, sq: { $gt: Math.max(after, 0) } })
        .sort({ sq: 1 })
        .limit(limit)
        .toArray()
      return found.map(recordOf)
    })
  }

  head(): Promise<{ sequence: number; hash: Buffer } | undefined> {
    return translating(async () => {
      await this.stamping.all()
      const lease = await this.stamping.lease()
      return lease?.hash ? { sequence: lease.next - 1, hash: bytesOf(lease.hash) } : undefined
    })
  }

  async close(): Promise<void> {
    await this.running
    await this.stamping.close()
  }
}

const bytesOf = ({ buffer, position }: Binary): Buffer => Buffer.from(buffer.subarray(0, position))

const recordOf = ({ id, at, keys, text, sq, hash }: AuditDocument): AuditRecord => ({
  id,
  at,
  keys,
  text,
  sequence: sq || undefined,
  hash: hash && bytesOf(hash),
})
