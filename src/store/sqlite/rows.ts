/**
 * The rows of the indexes for one resource: put in, taken back, or changed from one set to another.
 *
 * https://www.sqlite.org/withoutrowid.html
 */
import type Database from 'better-sqlite3'
import type { Connection } from './connection.js'
import type { Posted } from './posted.js'

/** One row: the columns that follow rid in the order of the table. */
type Rows = {
  posting: [term: number][]
  reference: [target: number, pid: number][]
  interval: [series: number, lo: number, hi: number][]
  timeline: [target: number, pid: number, at: number][]
  position: [pid: number, latitude: number, longitude: number][]
}

export function rowsOf({ terms, targets, intervals, timeline, places }: Posted): Rows {
  const rows: Rows = { posting: [], reference: [], interval: [], timeline: [], position: [] }
  for (const { terms: each } of terms) for (const term of each) rows.posting.push([term])
  for (const { pid, target } of targets) rows.reference.push([target, pid])
  for (const { series, lo, hi } of intervals) rows.interval.push([series, lo, hi])
  for (const { pid, latitude, longitude } of places) rows.position.push([pid, latitude, longitude])
  if (timeline) {
    let latest = Number.NEGATIVE_INFINITY
    for (const { pid, hi } of intervals) if (pid === timeline.pid && hi > latest) latest = hi
    for (const target of timeline.targets) rows.timeline.push([target, timeline.pid, latest])
  }
  return rows
}

const columns: Record<keyof Rows, string[]> = {
  posting: ['term'],
  reference: ['target', 'pid'],
  interval: ['series', 'lo', 'hi'],
  timeline: ['target', 'pid', 'at'],
  position: ['pid', 'latitude', 'longitude'],
}
const names = Object.keys(columns) as (keyof Rows)[]

/** Writes rows: prepared once, since nothing else runs so often. */
export class RowWriter {
  private readonly tables: { name: keyof Rows; put: Database.Statement; drop: Database.Statement }[]

  constructor({ db }: Connection) {
    this.tables = names.map((name) => ({
      name,
      put: db.prepare(
        `INSERT OR IGNORE INTO ${name} (${columns[name].join(', ')}, rid) VALUES (${columns[name].map(() => '?, ').join('')}?)`,
      ),
      drop: db.prepare(
        `DELETE FROM ${name} WHERE ${columns[name].map((column) => `${column} = ? AND `).join('')}rid = ?`,
      ),
    }))
  }

  /** Only what differs is written: an update of one element touches its own rows. */
  replace(rid: number, before: Posted | undefined, after: Posted): void {
    const next = rowsOf(after)
    const last = before && rowsOf(before)
    for (const { name, put, drop } of this.tables) {
      if (!last) {
        for (const row of next[name]) put.run(row, rid)
        continue
      }
      const gone = new Map(last[name].map((row) => [String(row), row]))
      for (const row of next[name]) if (!gone.delete(String(row))) put.run(row, rid)
      for (const row of gone.values()) drop.run(row, rid)
    }
  }
}
