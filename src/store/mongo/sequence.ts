/**
 * The one order in which a tenant's versions became visible.
 *
 * Each commit leaves a mark, which is numbered after it is visible (`Stamping`); a version is numbered after the one it
 * replaces because its mark's place is larger.
 */
import type { Db, MongoClient } from 'mongodb'
import type { Visible } from '../store.js'
import type { Lanes } from './lanes.js'
import { type CommitDocument, commitsCollection } from './marks.js'
import type { Reader } from './reader.js'
import { Stamping } from './stamping.js'
import { type Row, storedOf, versionFields } from './stored.js'

type Parts = { client: MongoClient; db: Db; reader: Reader; lanes: Lanes; timeLimitMs: number; done: () => void }

export class Sequence {
  private readonly stamping: Stamping<CommitDocument>

  constructor(private readonly parts: Parts) {
    const { client, db, lanes, timeLimitMs, done } = parts
    const stamped = {
      what: 'sequence' as const,
      member: 'seq' as const,
      order: { w: 1 } as const,
      projection: { n: 1 },
      session: lanes.counting,
      stamp: (batch: readonly CommitDocument[], { next: first }: { next: number }) => {
        let next = first
        const set = batch.map(({ n }) => {
          next += n
          return { seq: next - 1 }
        })
        return { set, lease: { next } }
      },
    }
    this.stamping = new Stamping(client, db, lanes, timeLimitMs, stamped, done)
  }

  soon(): void {
    this.stamping.soon()
  }

  /** Counts what was stored and not counted. */
  count(): Promise<number> {
    return this.stamping.all()
  }

  /** What became visible after a number, oldest first. */
  async changes(after: number, limit: number): Promise<Visible[]> {
    const { db, reader, timeLimitMs } = this.parts
    await this.count()
    const marks = await db
      .collection<CommitDocument>(commitsCollection)
      .find({ t: reader.tenant, seq: { $gt: Math.max(after, 0) } }, { maxTimeMS: timeLimitMs })
      .sort({ seq: 1 })
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

  close(): Promise<void> {
    return this.stamping.close()
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
  await reader.whole(rows)
  return new Map(rows.map((row) => [`${row.type}/${row.id}/${row.v}`, row]))
}
