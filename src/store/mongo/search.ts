/**
 * Answers a Query: a page of matches with what it includes, the place of the next page, the total.
 *
 * https://hl7.org/fhir/R4/search.html
 *
 * A page and its total are one command, whatever the number of types; each level of a chain and of includes is one more.
 */
import type { Document } from 'mongodb'
import type { Expression, Query, Reach } from '../../search/index.js'
import type { Condition, Found, Match } from '../store.js'
import type { Filter } from './filter.js'
import { included } from './include.js'
import { Order } from './order.js'
import { Plan } from './plan.js'
import type { Part, Reader } from './reader.js'
import { type Row, storedOf, versionFields } from './stored.js'

export type SearchLimits = { includesMax: number; targetsMax: number }

/** The types there are, for searches that name none. */
export type Types = () => Promise<readonly string[]>

export type PageRow = Row & { type: string; o: number; q?: string[] }

export class Search {
  constructor(
    private readonly types: Types,
    private readonly limits: SearchLimits,
  ) {}

  find(reader: Reader, query: Query, reach: Reach): Promise<Found> {
    // One command without a total reads each resource once; what several must agree on is read as of one time.
    const several = query.total || query.include.length > 0 || leads(query.where)
    return reader.root.byClasses(() =>
      several ? reader.atOneTime((within) => this.found(within, query, reach)) : this.found(reader, query, reach),
    )
  }

  private async found(reader: Reader, query: Query, reach: Reach): Promise<Found> {
    const plan = new Plan(reader, reach, this.limits.targetsMax)
    const planned = await this.planned(plan, query)
    if (!planned.length) return { matches: [], ...(query.total && { total: 0 }) }
    const { rows, total } = await this.page(reader, planned, query)
    const page = await reader.whole(rows.slice(0, query.count))
    const last = rows.length > page.length ? page.at(-1) : undefined
    const matches = page.map((row): Match => ({ stored: storedOf(row.type, row), mode: 'match' }))
    const brought = query.include.length
      ? await included(reader, plan, this.types, page, query.include, this.limits.includesMax)
      : []
    return {
      matches: [...matches, ...brought.map((row): Match => ({ stored: storedOf(row.type, row), mode: 'include' }))],
      ...(last && { next: [...planned[0]!.order.keysOf(last), last.o] }),
      ...(query.total && { total }),
    }
  }

  /** The ids of the first that are found. */
  async ids(reader: Reader, { query, reach }: Condition, limit: number): Promise<string[]> {
    return reader.root.byClasses(async () => {
      const planned = await this.planned(new Plan(reader, reach, this.limits.targetsMax), query)
      return (await reader.ids(planned, limit)).map(({ id }) => id)
    })
  }

  /** What would be asked of each type. */
  async pipelines(reader: Reader, query: Query, reach: Reach): Promise<{ type: string; pipeline: Document[] }[]> {
    const planned = await reader.root.byClasses(() =>
      this.planned(new Plan(reader, reach, this.limits.targetsMax), query),
    )
    const { after, include } = query
    return planned.map((each) => ({
      type: each.type,
      pipeline: pageStages(each, { after, limit: query.count + 1, include }),
    }))
  }

  private async planned(plan: Plan, { types, where, sort }: Query): Promise<Planned[]> {
    const planned: Planned[] = []
    for (const type of types ? new Set(types) : await this.types()) {
      const order = new Order(type, sort, plan.reader.tenant)
      const filter = await plan.find(type, where, order.only)
      if (filter) planned.push({ type, filter, order })
    }
    return planned
  }

  private async page(
    reader: Reader,
    planned: readonly Planned[],
    { count, after, include, total }: Query,
  ): Promise<{ rows: PageRow[]; total: number }> {
    const limit = count + 1
    const [{ order }] = planned as [Planned]
    const pages = planned.map(
      (each): Part => ({ type: each.type, stages: pageStages(each, { after, limit, include }) }),
    )
    const last = planned.length > 1 ? [...order.merged(), { $limit: limit }] : []
    const counts = planned.map(
      ({ type, filter }): Part => ({ type, stages: [{ $match: filter }, { $count: 'total' }] }),
    )
    const found = await reader.found<PageRow | { total: number }>(count > 0 ? pages : total ? counts : [], [
      ...(count > 0 ? last : []),
      ...(count > 0 && total
        ? counts.map(({ type, stages }) => ({ $unionWith: { coll: type, pipeline: stages } }))
        : []),
    ])
    const rows: PageRow[] = []
    let sum = 0
    for (const each of found)
      if ('total' in each) sum += each.total
      else rows.push(each)
    return { rows, total: sum }
  }
}

export type Planned = { type: string; filter: Filter; order: Order }

export function pageStages(
  { type, filter, order }: Planned,
  { after, limit, include }: { after?: Query['after']; limit: number; include: Query['include'] },
): Document[] {
  return [
    ...order.stages(filter, after),
    { $limit: limit },
    {
      $project: {
        ...versionFields,
        o: 1,
        _id: 0,
        type: { $literal: type },
        ...order.projection(),
        ...(include.length && { q: 1 }),
      },
    },
  ]
}

/** Whether other resources decide. */
function leads(where: Expression): boolean {
  switch (where.op) {
    case 'chain':
    case 'has':
      return true
    case 'and':
    case 'or':
      return where.of.some(leads)
    case 'not':
      return leads(where.of)
    case 'typed':
      return Object.values(where.of).some(leads)
    default:
      return false
  }
}
