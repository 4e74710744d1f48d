/**
 * The numbers that are given next: of resources in the order of creation, of versions in the order of commits, and the
 * time, which never runs backwards.
 *
 * https://www.sqlite.org/lang_createtable.html#rowid
 *
 * All tenants share them, as they share the file: no number says anything outside the store.
 */
import type { Connection } from './connection.js'
import { sql } from './sql.js'

export class Numbers {
  rid = 1
  seq = 1
  updated = 0
  private saved: [number, number, number] = [1, 1, 0]

  constructor(private readonly db: Connection) {
    this.reload()
  }

  /** From the file: after a group of commits was lost. */
  reload(): void {
    const { rid, seq } = this.db.get<{ rid: number; seq: number }>(
      sql`SELECT (SELECT coalesce(max(rid), 0) + 1 FROM resource) AS rid, (SELECT coalesce(max(seq), 0) + 1 FROM version) AS seq`,
    )!
    this.rid = rid
    this.seq = seq
    this.updated = this.db.value<number>(sql`SELECT updated FROM version ORDER BY seq DESC LIMIT 1`) ?? 0
    this.mark()
  }

  /** What was given since the last mark stays. */
  mark(): void {
    this.saved = [this.rid, this.seq, this.updated]
  }

  /** What was given since the last mark was rolled back. */
  rollback(): void {
    ;[this.rid, this.seq, this.updated] = this.saved
  }
}
