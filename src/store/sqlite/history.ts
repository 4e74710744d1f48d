/**
 * Versions: of one resource, of a type, of all; and what became visible after a place in the one order of commits.
 *
 * https://hl7.org/fhir/R4/http.html#history
 *
 * A caller who does not see everything of a type sees the versions of those resources whose current version is within
 * reach (docs/decisions/0012-sqlite-history-and-reach.md).
 */

import type { Ref } from '../../fhir/index.js'
import { everything, type Reach } from '../../search/index.js'
import type { Found, HistoryQuery, Stored, Visible } from '../store.js'
import type { Questions } from './functions.js'
import type { Lookup } from './lookup.js'
import { Plan } from './plan.js'
import type { Sight } from './sight.js'
import type { Scope } from './source.js'
import { all, raw, type Sql, sql } from './sql.js'
import { bySeq, storedOf, type VersionRow } from './stored.js'
import type { Tuning } from './tuning.js'

export class History {
  constructor(
    private readonly lookup: Lookup,
    private readonly questions: Questions,
    private readonly tuning: Tuning,
    private readonly sight: Sight,
  ) {}

  read({ type, id }: Ref, reach: Reach, version: number | undefined): Stored | undefined {
    const tid = this.lookup.names.tidOf(type)
    if (tid === undefined) return undefined
    const at =
      version === undefined
        ? raw('v.seq = r.seq')
        : version === 1
          ? raw('v.seq = r.first')
          : sql`v.seq = (SELECT seq FROM version WHERE rid = r.rid AND version > 1 AND version = ${version})`
    const row = this.lookup.db.row<[...VersionRow, rid: number, seq: number, live: number]>(
      sql`SELECT ${bySeq}, r.rid, r.seq, r.live FROM resource r CROSS JOIN version v ON ${at}
          WHERE r.tid = ${tid} AND r.id = ${id}`,
    )
    if (!row) return undefined
    const [place, , , made, updated, method, body, rid, seq, live] = row
    if (reach.of(type).op !== 'everything' && !(live === 1 && this.sight.sees(reach, type, { rid, seq })))
      return undefined
    return this.stored([place, tid, id, made, updated, method, body])
  }

  find(query: HistoryQuery, reach: Reach): Found {
    if (query.id !== undefined && !this.seesAny(query.type, query.id, reach))
      return { matches: [], ...(query.total && { total: 0 }) }
    return this.planned(reach, (plan) => {
      const scopes = query.type === undefined ? this.lookup.names.allTypes() : [query.type]
      const parts = scopes.flatMap((type) => {
        const scope = plan.scope(type)
        return scope ? [this.part(plan, scope, query)] : []
      })
      const rows = parts
        .flatMap((part) =>
          this.lookup.db.rows<VersionRow>(
            sql`SELECT ${bySeq} ${part.from} AND ${this.before(query)} ORDER BY ${part.order} LIMIT ${query.count + 1} + 0`,
          ),
        )
        .sort((a, b) => b[0] - a[0])
      const page = rows.slice(0, query.count)
      const last = rows.length > page.length ? page.at(-1) : undefined
      return {
        matches: page.map((row) => ({ stored: this.stored(row), mode: 'match' })),
        ...(last && { next: [last[4], last[0]] }),
        ...(query.total && { total: parts.reduce((sum, { from }) => sum + this.count(from), 0) }),
      }
    })
  }

  changes(after: number, limit: number): Visible[] {
    const { db, names } = this.lookup
    // Time never runs backwards, so the versions of each type are in order by it too; others' versions are passed over.
    const since =
      db.value<number>(sql`SELECT updated FROM version WHERE seq <= ${after} ORDER BY seq DESC LIMIT 1`) ?? 0
    const of = (tid: number, later: Sql) =>
      sql`SELECT seq FROM (SELECT seq FROM version INDEXED BY version_type WHERE tid = ${tid} AND ${later} ORDER BY updated, seq LIMIT ${limit} + 0)`
    const found = names.allTypes().flatMap((type) => {
      const tid = names.tidOf(type)!
      return db.column<number>(
        sql`${of(tid, sql`updated = ${since} AND seq > ${after}`)} UNION ALL ${of(tid, sql`updated > ${since}`)}`,
      )
    })
    const first = found.sort((a, b) => a - b).slice(0, limit)
    return db
      .rows<VersionRow>(
        sql`SELECT ${bySeq} FROM json_each(${JSON.stringify(first)}) j CROSS JOIN version v ON v.seq = j.value
            CROSS JOIN resource r ON r.rid = v.rid`,
      )
      .map((row) => ({ sequence: row[0], stored: this.stored(row) }))
  }

  /** The versions of a type, or of one resource of it. */
  private part(plan: Plan, scope: Scope, query: HistoryQuery): { from: Sql; order: Sql } {
    if (query.id === undefined) {
      const conditions = [...this.within(query), this.visible(plan, scope)]
      return {
        from: sql`FROM version v INDEXED BY version_type CROSS JOIN resource r ON r.rid = v.rid
          WHERE v.tid = ${scope.tid} AND ${all(conditions)}`,
        order: raw('v.updated DESC, v.seq DESC'),
      }
    }
    return {
      from: sql`FROM resource r CROSS JOIN version v ON v.seq IN (
            SELECT first FROM resource f WHERE f.rid = r.rid UNION ALL SELECT seq FROM version o WHERE o.rid = r.rid AND o.version > 1)
          WHERE r.tid = ${scope.tid} AND r.id = ${query.id} AND ${all(this.within(query))}`,
      order: raw('v.seq DESC'),
    }
  }

  private seesAny(type: string | undefined, id: string, reach: Reach): boolean {
    if (type === undefined || reach.of(type).op === 'everything') return true
    const row = this.lookup.row(type, id)
    return row?.live === 1 && this.sight.sees(reach, type, { rid: row.rid, seq: row.seq! })
  }

  private within({ since, at }: HistoryQuery): Sql[] {
    const conditions: Sql[] = []
    if (since !== undefined) conditions.push(sql`v.updated >= ${since}`)
    // Current at some moment of the period: made before its end, and not replaced before its beginning.
    if (at)
      conditions.push(
        sql`v.updated <= ${at.hi} AND NOT EXISTS (SELECT 1 FROM version n
          WHERE n.rid = v.rid AND n.version > 1 AND n.version = v.version + 1 AND n.updated <= ${at.lo})`,
      )
    return conditions
  }

  private before({ after }: HistoryQuery): Sql {
    return after ? sql`v.updated <= ${after[0]!} AND v.seq < ${after[1]!}` : raw('1')
  }

  private visible(plan: Plan, scope: Scope): Sql {
    const terms = plan.visible(scope, everything)
    if (!terms.length) return raw('1')
    return sql`r.live = 1 AND ${plan.holds(scope, everything, raw('r.rid'))}`
  }

  private count(from: Sql): number {
    return this.lookup.db.value<number>(sql`SELECT count(*) ${from}`)!
  }

  private stored(row: VersionRow): Stored {
    return storedOf(row, (tid) => this.lookup.names.typeOf(tid))
  }

  private planned<T>(reach: Reach, work: (plan: Plan) => T): T {
    const { mark } = this.questions
    try {
      return work(new Plan(this.lookup, reach, this.questions, this.tuning))
    } finally {
      this.questions.release(mark)
    }
  }
}
