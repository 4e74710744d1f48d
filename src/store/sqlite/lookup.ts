/**
 * The numbers of what a search names, as far as they are in the file: what is not there finds nothing.
 *
 * https://hl7.org/fhir/R4/search.html
 */
import type { Connection } from './connection.js'
import type { Kind } from './dictionary.js'
import type { Names } from './names.js'
import { type Sql, sql } from './sql.js'

/** `seq` is null for what was only referred to. */
export type Row = { rid: number; live: number; seq: number | null }

export class Lookup {
  constructor(
    readonly db: Connection,
    readonly names: Names,
  ) {}

  pid(tid: number, code: string, kind: Kind): number | undefined {
    return this.names.paramsOf(tid, code).find((param) => param.kind === kind)?.pid
  }

  system(url: string): number | undefined {
    return this.db.value<number>(sql`SELECT sys FROM system WHERE tenant = ${this.names.known ?? -1} AND url = ${url}`)
  }

  terms(where: Sql): number[] {
    return this.db.column<number>(sql`SELECT term FROM term WHERE ${where}`)
  }

  row(type: string, id: string): Row | undefined {
    const tid = this.names.tidOf(type)
    if (tid === undefined) return undefined
    return this.db.get(sql`SELECT rid, live, seq FROM resource WHERE tid = ${tid} AND id = ${id}`)
  }

  /** At most `cap` rows of a statement are counted. */
  count(from: Sql, cap: number): number {
    return this.db.value<number>(sql`SELECT count(*) FROM (SELECT 1 ${from} LIMIT ${cap} + 0)`)!
  }
}
