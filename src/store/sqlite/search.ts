/**
 * Answers a Query: a page of matches with what it includes, the place of the next page, the total.
 *
 * https://hl7.org/fhir/R4/search.html
 *
 * All of it is read in one turn of the event loop, between two commits, and so from one state of the file.
 */
import type { Query, Reach } from '../../search/index.js'
import type { Condition, Found } from '../store.js'
import type { Questions } from './functions.js'
import { Includes } from './include.js'
import type { Lookup } from './lookup.js'
import { merge, Order, type Place } from './order.js'
import { Plan } from './plan.js'
import type { Sight } from './sight.js'
import type { Scope } from './source.js'
import { type Sql, sql } from './sql.js'
import { byRid, storedOf, type VersionRow } from './stored.js'
import type { Tuning } from './tuning.js'

export class Search {
  constructor(
    private readonly lookup: Lookup,
    private readonly questions: Questions,
    private readonly includesMax: number,
    private readonly tuning: Tuning,
    private readonly sight?: Sight,
  ) {}

  find(query: Query, reach: Reach): Found {
    return this.planned(reach, (plan, order) => {
      const scopes = this.scopes(plan, query.types)
      const places = query.count > 0 ? this.page(order, scopes, query, query.count + 1, scopes.length === 1) : []
      const page = places.slice(0, query.count)
      const last = places.length > page.length ? page.at(-1) : undefined
      const rows = this.read(page)
      const included = query.include.length
        ? this.rows(
            new Includes(this.lookup, plan, this.includesMax).of(
              rows.map(([rid, tid]) => ({ rid, tid })),
              query.include,
            ),
          )
        : []
      const stored = (row: VersionRow) => storedOf(row, (tid) => this.lookup.names.typeOf(tid))
      return {
        matches: [
          ...rows.map((row) => ({ stored: stored(row), mode: 'match' as const })),
          ...included.map((row) => ({ stored: stored(row), mode: 'include' as const })),
        ],
        ...(last && { next: [...last.keys, last.rid] }),
        ...(query.total && { total: this.total(order, scopes, query) }),
      }
    })
  }

  /** The ids of the first that are found. */
  ids({ query, reach }: Condition, limit: number): string[] {
    return this.planned(reach, (plan, order) => {
      const places = this.page(order, this.scopes(plan, query.types), query, limit, false)
      return this.lookup.db.column<string>(
        sql`SELECT r.id FROM json_each(${JSON.stringify(places.map(({ rid }) => rid))}) j CROSS JOIN resource r ON r.rid = j.value`,
      )
    })
  }

  /** The statements that answer a query, each with how SQLite goes about it. */
  explain(query: Query, reach: Reach): string[] {
    const statements = new Map<string, Sql>()
    const { db } = this.lookup
    db.trace = (query) => statements.set(query.text, query)
    try {
      this.find(query, reach)
    } finally {
      db.trace = undefined
    }
    return [...statements.values()].flatMap((query) => [
      query.text.replace(/\s+/g, ' ').trim(),
      ...db.all<{ detail: string }>(sql`EXPLAIN QUERY PLAN ${query}`).map(({ detail }) => `  ${detail}`),
    ])
  }

  private planned<T>(reach: Reach, work: (plan: Plan, order: Order) => T): T {
    const { mark } = this.questions
    try {
      const plan = new Plan(this.lookup, reach, this.questions, this.tuning, this.sight)
      return work(plan, new Order(this.lookup, this.questions, plan, this.tuning))
    } finally {
      this.questions.release(mark)
    }
  }

  private scopes(plan: Plan, types: readonly string[] | undefined): Scope[] {
    const all = types ? [...new Set(types)] : this.lookup.names.allTypes()
    return all.flatMap((type) => plan.scope(type) ?? [])
  }

  private page(order: Order, scopes: Scope[], { where, sort, after }: Query, count: number, bodies: boolean): Place[] {
    const pages = scopes.map((scope) => order.page({ scope, where, sort, after, count, bodies }))
    return pages.length === 1 ? pages[0]! : merge(pages, sort, count)
  }

  private total(order: Order, scopes: Scope[], { where }: Query): number {
    return scopes.reduce((sum, scope) => sum + order.count(scope, where), 0)
  }

  private read(page: readonly Place[]): VersionRow[] {
    const missing = page.filter(({ row }) => !row).map(({ rid }) => rid)
    if (missing.length === page.length) return this.rows(missing)
    const found = new Map(this.rows(missing).map((row) => [row[0], row]))
    return page.map(({ rid, row }) => row ?? found.get(rid)!)
  }

  private rows(rids: number[]): VersionRow[] {
    if (!rids.length) return []
    return this.lookup.db.rows<VersionRow>(
      sql`SELECT ${byRid} FROM json_each(${JSON.stringify(rids)}) j
          CROSS JOIN resource r ON r.rid = j.value CROSS JOIN version v ON v.seq = r.seq`,
    )
  }
}
