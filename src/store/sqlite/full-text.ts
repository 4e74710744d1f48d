/**
 * Full text that waits to be indexed.
 *
 * https://www.sqlite.org/fts5.html#contentless_delete_tables
 *
 * A full-text index is made for large batches: one small transaction costs it as much as a create costs altogether
 * (0.6 ms of 1.5). So a commit only writes the words down; they are indexed by the hundred when nobody writes, or when
 * many wait. Searches read what waits too, and it stands above what is indexed.
 */
import type { TextTest } from '../../search/index.js'
import type { Connection } from './connection.js'
import { raw, type Sql, sql } from './sql.js'
import { searchableWords } from './words.js'

export type TextParam = TextTest['param']

const tables: Record<TextParam, Sql> = { _text: raw('narrative'), _content: raw('content') }
export const tableOf = (param: TextParam): Sql => tables[param]
export const docsizeOf = (param: TextParam): Sql => raw(`${tables[param].text}_docsize`)

/** Where the words of a resource of a type wait: an even place for its narrative, an odd one for its content. */
export const placeOf = (rid: number | Sql, param: TextParam): Sql =>
  sql`(${rid} * 2 + ${raw(param === '_text' ? '0' : '1')})`

/** So many are indexed before others have their turn. */
const batch = 256

export class FullText {
  /** How many wait, or a few more. */
  waiting = 0

  constructor(private readonly db: Connection) {
    this.recount()
  }

  recount(): void {
    this.waiting = this.db.value<number>(sql`SELECT count(*) FROM wording`)!
  }

  /** Inside a commit: the words a resource has from now on, null if none. */
  keep({ tid, rid, param }: { tid: number; rid: number; param: TextParam }, words: string | null): void {
    this.db.run(
      sql`INSERT OR REPLACE INTO wording (tid, place, words) VALUES (${tid}, ${placeOf(rid, param)}, ${words})`,
    )
    this.waiting++
  }

  /** Indexes a batch of what waits. */
  *index(): Generator<void, void> {
    const rows = this.db.rows<[tid: number, place: number, words: string | null]>(
      sql`SELECT tid, place, words FROM wording ORDER BY tid, place LIMIT ${batch} + 0`,
    )
    for (const [tid, place, words] of rows) {
      const rid = Math.floor(place / 2)
      const param = place % 2 ? '_content' : '_text'
      if (this.db.value(sql`SELECT 1 FROM ${docsizeOf(param)} WHERE id = ${rid}`) !== undefined)
        this.db.run(sql`DELETE FROM ${tableOf(param)} WHERE rowid = ${rid}`)
      if (words !== null)
        this.db.run(sql`INSERT INTO ${tableOf(param)} (rowid, words) VALUES (${rid}, ${searchableWords(tid, words)})`)
      this.db.run(sql`DELETE FROM wording WHERE tid = ${tid} AND place = ${place}`)
      yield
    }
    this.recount()
  }
}
