/**
 * The rows of the indexes for one resource: put in, taken back, or changed from one set to another.
 *
 * https://www.sqlite.org/withoutrowid.html
 */
import type { Connection } from './connection.js'
import type { Posted } from './posted.js'
import { raw, type Sql, sql } from './sql.js'
import { searchableWords } from './words.js'

type Word = { param: '_text' | '_content'; text: string }

/** One row: the columns that follow rid in the order of the table. */
type Rows = {
  posting: number[]
  reference: [target: number, pid: number][]
  interval: [series: number, lo: number, hi: number][]
  timeline: [target: number, pid: number, at: number][]
  position: [pid: number, latitude: number, longitude: number][]
}

export function rowsOf({ terms, targets, intervals, timeline, places }: Posted): Rows {
  const rows: Rows = { posting: [], reference: [], interval: [], timeline: [], position: [] }
  for (const { terms: each } of terms) for (const term of each) rows.posting.push(term)
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

const put = {
  posting: (rid: number, term: number) => sql`INSERT OR IGNORE INTO posting (term, rid) VALUES (${term}, ${rid})`,
  reference: (rid: number, [target, pid]: Rows['reference'][number]) =>
    sql`INSERT OR IGNORE INTO reference (target, pid, rid) VALUES (${target}, ${pid}, ${rid})`,
  interval: (rid: number, [series, lo, hi]: Rows['interval'][number]) =>
    sql`INSERT OR IGNORE INTO interval (series, lo, hi, rid) VALUES (${series}, ${lo}, ${hi}, ${rid})`,
  timeline: (rid: number, [target, pid, at]: Rows['timeline'][number]) =>
    sql`INSERT OR IGNORE INTO timeline (target, pid, at, rid) VALUES (${target}, ${pid}, ${at}, ${rid})`,
  position: (rid: number, [pid, latitude, longitude]: Rows['position'][number]) =>
    sql`INSERT OR IGNORE INTO position (pid, latitude, longitude, rid) VALUES (${pid}, ${latitude}, ${longitude}, ${rid})`,
}

const drop = {
  posting: (rid: number, term: number) => sql`DELETE FROM posting WHERE term = ${term} AND rid = ${rid}`,
  reference: (rid: number, [target, pid]: Rows['reference'][number]) =>
    sql`DELETE FROM reference WHERE target = ${target} AND pid = ${pid} AND rid = ${rid}`,
  interval: (rid: number, [series, lo, hi]: Rows['interval'][number]) =>
    sql`DELETE FROM interval WHERE series = ${series} AND lo = ${lo} AND hi = ${hi} AND rid = ${rid}`,
  timeline: (rid: number, [target, pid, at]: Rows['timeline'][number]) =>
    sql`DELETE FROM timeline WHERE target = ${target} AND pid = ${pid} AND at = ${at} AND rid = ${rid}`,
  position: (rid: number, [pid, latitude, longitude]: Rows['position'][number]) =>
    sql`DELETE FROM position WHERE pid = ${pid} AND latitude = ${latitude} AND longitude = ${longitude} AND rid = ${rid}`,
}

/** Only what differs is written: an update of one element touches its own rows. */
export function replaceRows(db: Connection, rid: number, before: Posted | undefined, after: Posted): void {
  const next = rowsOf(after)
  if (!before) {
    for (const row of next.posting) db.run(put.posting(rid, row))
    for (const row of next.reference) db.run(put.reference(rid, row))
    for (const row of next.interval) db.run(put.interval(rid, row))
    for (const row of next.timeline) db.run(put.timeline(rid, row))
    for (const row of next.position) db.run(put.position(rid, row))
    return
  }
  const last = rowsOf(before)
  change(db, last.posting, next.posting, rid, drop.posting, put.posting)
  change(db, last.reference, next.reference, rid, drop.reference, put.reference)
  change(db, last.interval, next.interval, rid, drop.interval, put.interval)
  change(db, last.timeline, next.timeline, rid, drop.timeline, put.timeline)
  change(db, last.position, next.position, rid, drop.position, put.position)
}

function change<R extends number | number[]>(
  db: Connection,
  before: R[],
  after: R[],
  rid: number,
  drop: (rid: number, row: R) => Sql,
  put: (rid: number, row: R) => Sql,
): void {
  const last = new Map(before.map((row) => [String(row), row]))
  for (const row of after) if (!last.delete(String(row))) db.run(put(rid, row))
  for (const row of last.values()) db.run(drop(rid, row))
}

const tableOf = (param: '_text' | '_content'): Sql => raw(param === '_text' ? 'narrative' : 'content')

/** The full texts whose words changed; `words` are those of the new version, by parameter. */
export function replaceWords(
  db: Connection,
  rid: number,
  paramOf: (pid: number) => '_text' | '_content',
  before: Posted | undefined,
  after: Posted,
  words: Map<number, Word>,
): void {
  if (!before?.words.length && !after.words.length) return
  const last = new Map(before?.words.map(({ pid, digest }) => [pid, digest]))
  for (const { pid, digest } of after.words) {
    const changed = last.get(pid) !== digest
    const there = last.delete(pid)
    if (!changed) continue
    const { param, text } = words.get(pid)!
    if (there) db.run(sql`DELETE FROM ${tableOf(param)} WHERE rowid = ${rid}`)
    db.run(sql`INSERT INTO ${tableOf(param)} (rowid, words) VALUES (${rid}, ${searchableWords(text)})`)
  }
  for (const pid of last.keys()) db.run(sql`DELETE FROM ${tableOf(paramOf(pid))} WHERE rowid = ${rid}`)
}
