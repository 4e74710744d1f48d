/**
 * Reads of several collections by one command each, inside a transaction or outside.
 *
 * https://www.mongodb.com/docs/manual/reference/operator/aggregation/unionWith/
 */
import type { ClientSession, Db, Document } from 'mongodb'
import type { Ref } from '../../fhir/index.js'
import { whole } from './content.js'
import { codeOf, isWorthAnotherTry } from './failures.js'
import type { Filter } from './filter.js'
import { after } from './filter.js'
import type { Root } from './root.js'
import { type Row, withBytes } from './stored.js'

export type Part = { type: string; stages: Document[]; history?: boolean }

export const historyOf = (type: string): string => `${type}.history`

const batchSize = 20_000
/** The server has seen to it that texts are UTF-8. */
const reading = { ...withBytes, enableUtf8Validation: false } as const

const snapshotUnavailable = 246
const snapshotTooOld = 239

export class Reader {
  constructor(
    readonly db: Db,
    readonly tenant: string,
    readonly root: Root,
    private readonly timeLimitMs: number,
    private readonly session?: ClientSession,
  ) {}

  within(session: ClientSession): Reader {
    return new Reader(this.db, this.tenant, this.root, this.timeLimitMs, session)
  }

  /** Everything that is read so is as it was at one time, however many commands it takes. */
  async atOneTime<T>(work: (reader: Reader) => Promise<T>): Promise<T> {
    if (this.session) return work(this)
    const session = this.db.client.startSession({ snapshot: true })
    try {
      return await work(this.within(session))
    } catch (error) {
      // Collections or indexes were made a moment ago: an answer of several times is better than none.
      if (codeOf(error) !== snapshotUnavailable && codeOf(error) !== snapshotTooOld) throw error
      return await work(this)
    } finally {
      await session.endSession()
    }
  }

  /** The `_id` of a resource, or of one of its versions. */
  key(id: string, version?: number): string {
    return version === undefined ? `${this.tenant}/${id}` : `${this.tenant}/${id}/${version}`
  }

  /** The key of a version among all types. */
  version(type: string, id: string, version: number): string {
    return `${this.tenant}/${type}/${id}/${version}`
  }

  /** Rows with their bytes, wherever those are kept. */
  async whole<R extends Row & { type: string }>(rows: readonly R[]): Promise<readonly R[]> {
    const parted = rows.map((row) => ({ row, version: this.version(row.type, row.id, row.v) }))
    await whole(this.db, parted, this.session ? { session: this.session } : { maxTimeMS: this.timeLimitMs })
    return rows
  }

  /** What several collections give, one after the other, and then all of it through the last stages. */
  async union<T extends Document>(parts: readonly Part[], last: Document[] = []): Promise<T[]> {
    const [first, ...more] = parts
    if (!first) return []
    const pipeline = [
      ...first.stages,
      ...more.map((part) => ({ $unionWith: { coll: collectionOf(part), pipeline: part.stages } })),
      ...last,
    ]
    return this.aggregate<T>(collectionOf(first), pipeline)
  }

  /** The same of filters that name the classes there are. */
  async found<T extends Document>(parts: readonly Part[], last: Document[] = []): Promise<T[]> {
    return parts.length ? this.root.without<T>(await this.union(parts, [...last, this.root.stage()])) : []
  }

  /**
   * Nearly every answer comes in one reply, which is taken whole: a cursor of the driver costs as much again for handing
   * out its rows. A reply that holds only the first of them, or that is worth another try, is left to such a cursor.
   */
  async aggregate<T extends Document>(collection: string, pipeline: Document[]): Promise<T[]> {
    // A transaction has its own limit, and inside it the server takes none but that of the first command.
    const maxTimeMS = this.timeLimitMs
    const readConcern = this.session ? this.session.snapshotEnabled && { level: 'snapshot' } : { level: 'majority' }
    const command = { aggregate: collection, pipeline, cursor: { batchSize }, maxTimeMS }
    try {
      const { cursor } = await this.db.command(
        { ...command, ...(readConcern && { readConcern }) },
        { ...reading, ...(this.session && { session: this.session }) },
      )
      if (Number(cursor.id) === 0) return cursor.firstBatch
      await this.db
        .command({ killCursors: collection, cursors: [cursor.id] }, this.session ? { session: this.session } : {})
        .catch(() => undefined)
    } catch (error) {
      if (this.session?.inTransaction() || !isWorthAnotherTry(error)) throw error
    }
    return this.db
      .collection(collection)
      .aggregate<T>(pipeline, {
        ...reading,
        batchSize,
        maxTimeMS,
        ...(this.session && { session: this.session }),
        ...(this.session?.snapshotEnabled && { readConcern: { level: 'snapshot' } }),
      })
      .toArray()
  }

  /** The resources that the filters find, as many as asked for at most. */
  async ids(parts: readonly { type: string; filter: Filter }[], limit: number): Promise<Ref[]> {
    const stages = ({ type, filter }: { type: string; filter: Filter }): Document[] => [
      { $match: filter },
      { $limit: limit },
      { $project: { _id: 0, type: { $literal: type }, id: 1 } },
    ]
    return this.found<Ref>(
      parts.map((part) => ({ type: part.type, stages: stages(part) })),
      parts.length > 1 ? [{ $limit: limit }] : [],
    )
  }

  /** The distinct tokens that begin so, of the resources that the filter finds. */
  async values(type: string, filter: Filter, prefix: string, limit: number): Promise<string[]> {
    const cond = {
      $and: [{ $gte: ['$$each', { $literal: prefix }] }, { $lt: ['$$each', { $literal: after(prefix) }] }],
    }
    const stages = [
      { $match: filter },
      { $project: { q: { $filter: { input: '$q', as: 'each', cond } } } },
      { $unwind: '$q' },
      { $group: { _id: '$q' } },
      { $limit: limit },
    ]
    return (await this.found<{ _id: string }>([{ type, stages }])).map(({ _id }) => _id)
  }
}

const collectionOf = ({ type, history }: Part): string => (history ? historyOf(type) : type)
