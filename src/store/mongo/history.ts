/**
 * Versions: of one resource, of a type, of all.
 *
 * https://hl7.org/fhir/R4/http.html#history
 *
 * A caller who does not see everything of a type sees the versions of those resources whose current version is within
 * reach (docs/decisions/0012-sqlite-history-and-reach.md).
 */
import type { Document } from 'mongodb'
import type { Ref } from '../../fhir/index.js'
import { everything, type Reach } from '../../search/index.js'
import type { Found, HistoryQuery, Stored } from '../store.js'
import type { Filter } from './filter.js'
import { joined, Plan } from './plan.js'
import { historyOf, type Part, type Reader } from './reader.js'
import type { Types } from './search.js'
import { type Row, storedOf, versionFields } from './stored.js'

type Listed = Row & { type: string }

export class History {
  constructor(
    private readonly types: Types,
    private readonly targetsMax: number,
  ) {}

  /** One command: where the version is not the current one, what the history has of it comes with the answer. */
  async read(reader: Reader, { type, id }: Ref, reach: Reach, version?: number): Promise<Stored | undefined> {
    const seen = await this.seen(reader, type, reach)
    if (!seen) return undefined
    const filter = joined([{ t: reader.tenant, _id: reader.key(id) }, seen])
    const versions = { from: historyOf(type), as: 'old', pipeline: [{ $match: { _id: reader.key(id, version) } }] }
    const [row] = await reader.aggregate<Row & { old?: Row[] }>(type, [
      { $match: filter },
      { $project: { ...versionFields, _id: 0 } },
      ...(version === undefined ? [] : [{ $lookup: versions }]),
    ])
    if (!row) return undefined
    const found = version === undefined || row.v === version ? row : row.old?.[0]
    if (!found) return undefined
    const [whole] = await reader.whole([{ ...found, type }])
    return storedOf(type, whole!)
  }

  /** As of one time, because a version that is replaced moves from one collection to another. */
  find(reader: Reader, query: HistoryQuery, reach: Reach): Promise<Found> {
    return reader.atOneTime((within) => this.found(within, query, reach))
  }

  private async found(reader: Reader, query: HistoryQuery, reach: Reach): Promise<Found> {
    const types = query.type === undefined ? await this.types() : [query.type]
    const parts: { type: string; history: boolean; match: Document[] }[] = []
    for (const type of types) {
      const seen = await this.seen(reader, type, reach)
      if (!seen) continue
      const which = joined([
        { t: reader.tenant },
        ...(query.id === undefined ? [] : [{ id: query.id }]),
        ...within(query),
      ])
      parts.push({
        type,
        history: false,
        match: [
          {
            $match: joined([query.id === undefined ? which : { ...which, _id: reader.key(query.id) }, seen]),
          },
        ],
      })
      parts.push({ type, history: true, match: [{ $match: which }, ...replaced(query), ...stillSeen(type, seen)] })
    }
    if (!parts.length) return { matches: [], ...(query.total && { total: 0 }) }
    const limit = query.count + 1
    const newest = [{ $sort: { lu: -1, w: -1 } }, { $limit: limit }]
    const before = query.after ? [{ $match: beyond(query.after) }] : []
    const pages = parts.map(({ type, history, match }): Part => {
      const [first, ...rest] = match
      return {
        type,
        history,
        stages: [
          first!,
          ...before,
          ...rest,
          ...newest,
          { $project: { ...versionFields, _id: 0, type: { $literal: type } } },
        ],
      }
    })
    const counts = parts.map(
      ({ type, history, match }): Part => ({ type, history, stages: [...match, { $count: 'total' }] }),
    )
    const found = await reader.union<Listed | { total: number }>(pages, [
      ...newest,
      ...(query.total
        ? counts.map(({ type, history, stages }) => ({
            $unionWith: { coll: history ? historyOf(type) : type, pipeline: stages },
          }))
        : []),
    ])
    const rows: Listed[] = []
    let total = 0
    for (const each of found)
      if ('total' in each) total += each.total
      else rows.push(each)
    const page = await reader.whole(rows.slice(0, query.count))
    const last = rows.length > page.length ? page.at(-1) : undefined
    return {
      matches: page.map((row) => ({ stored: storedOf(row.type, row), mode: 'match' })),
      ...(last && { next: [last.lu, last.w] }),
      ...(query.total && { total }),
    }
  }

  /** What the current version must be, `{}` when all is seen (also what was deleted); undefined when nothing is. */
  private async seen(reader: Reader, type: string, reach: Reach): Promise<Filter | undefined> {
    if (reach.of(type).op === 'everything') return {}
    const test = await new Plan(reader, reach, this.targetsMax).visible({ type, trusted: false }, everything)
    if (test.kind === 'never') return undefined
    return test.kind === 'all' ? {} : { $and: [{ del: false }, test.filter] }
  }
}

/** Made in the period: what is still current was not replaced before it began. */
function within({ since, at }: HistoryQuery): Filter[] {
  return [...(since === undefined ? [] : [{ lu: { $gte: since } }]), ...(at ? [{ lu: { $lte: at.hi } }] : [])]
}

const replaced = ({ at }: HistoryQuery): Document[] => (at ? [{ $match: { until: { $gt: at.lo } } }] : [])

const beyond = ([lu, w]: readonly unknown[]): Filter => ({
  $or: [{ lu: { $lt: lu } }, { $and: [{ lu }, { w: { $lt: w } }] }],
})

/** Versions of those whose current version is within reach. */
function stillSeen(type: string, seen: Filter): Document[] {
  if (!Object.keys(seen).length) return []
  const lookup = {
    from: type,
    as: 'now',
    let: { id: '$id', t: '$t' },
    pipeline: [
      { $match: { $and: [{ $expr: { $eq: ['$_id', { $concat: ['$$t', '/', '$$id'] }] } }, seen] } },
      { $limit: 1 },
      { $project: { _id: 1 } },
    ],
  }
  return [{ $lookup: lookup }, { $match: { 'now.0': { $exists: true } } }, { $unset: 'now' }]
}
