/**
 * Compares what lies in the file with what it must be: the indexes with a rebuild, the versions with each other.
 *
 * https://www.sqlite.org/pragma.html#pragma_quick_check
 */
import type { IndexEntry } from '../../search/index.js'
import { Verifier } from '../audit-chain.js'
import type { Stored } from '../store.js'
import { dateParam } from '../timeline.js'
import { auditSpan, keySize, keysOf, portionOf, unpackRecords } from './audit-rows.js'
import type { Connection } from './connection.js'
import { Dictionary } from './dictionary.js'
import { digest } from './digest.js'
import { docsizeOf, placeOf } from './full-text.js'
import { Names } from './names.js'
import { post } from './post.js'
import { type Posted, unpack } from './posted.js'
import { rowsOf } from './rows.js'
import { raw, type Sql, sql } from './sql.js'
import { byRid, isDelete, storedOf, type VersionRow } from './stored.js'

const chunk = 100
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** The rows of one table by the columns that identify them. */
const rowOf: Record<keyof ReturnType<typeof rowsOf>, (rid: number, row: number[]) => Sql> = {
  posting: (rid, row) => sql`SELECT 1 FROM posting WHERE term = ${at(row, 0)} AND rid = ${rid}`,
  reference: (rid, row) =>
    sql`SELECT 1 FROM reference WHERE target = ${at(row, 0)} AND pid = ${at(row, 1)} AND rid = ${rid}`,
  interval: (rid, row) =>
    sql`SELECT 1 FROM interval WHERE series = ${at(row, 0)} AND hi = ${at(row, 2)} AND lo = ${at(row, 1)} AND rid = ${rid}`,
  timeline: (rid, row) =>
    sql`SELECT 1 FROM timeline WHERE target = ${at(row, 0)} AND pid = ${at(row, 1)} AND at = ${at(row, 2)} AND rid = ${rid}`,
  position: (rid, row) =>
    sql`SELECT 1 FROM position WHERE pid = ${at(row, 0)} AND latitude = ${at(row, 1)} AND longitude = ${at(row, 2)} AND rid = ${rid}`,
}

const at = (row: number[], i: number): number => row[i]!

type Table = keyof typeof rowOf

/** All rows of a table that belong to the types of a tenant, and those that belong to nothing. */
const rowsOfTypes: Record<Table, (types: Sql) => Sql> = {
  posting: (types) => ofTerms('posting', 'term', types),
  interval: (types) => ofTerms('interval', 'series', types),
  reference: (types) => ofTargets('reference', types),
  timeline: (types) => ofTargets('timeline', types),
  position: (types) =>
    sql`(SELECT count(*) FROM param p CROSS JOIN position o ON o.pid = p.pid WHERE p.tid IN (${types}))
        + (SELECT count(*) FROM position WHERE pid NOT IN (SELECT pid FROM param))`,
}

const ofTerms = (table: Table, column: string, types: Sql): Sql =>
  sql`(SELECT count(*) FROM param p CROSS JOIN term t INDEXED BY term_value ON t.pid = p.pid
        CROSS JOIN ${raw(table)} o ON o.${raw(column)} = t.term WHERE p.tid IN (${types}))
      + (SELECT count(*) FROM ${raw(table)} WHERE ${raw(column)} NOT IN (SELECT term FROM term))`

const ofTargets = (table: Table, types: Sql): Sql =>
  sql`(SELECT count(*) FROM resource r CROSS JOIN ${raw(table)} o ON o.target = r.rid WHERE r.tid IN (${types}))
      + (SELECT count(*) FROM ${raw(table)} WHERE target NOT IN (SELECT rid FROM resource))`

class Findings {
  private readonly counts = new Map<string, number>()
  add(sentence: string): void {
    this.counts.set(sentence, (this.counts.get(sentence) ?? 0) + 1)
  }
  list(): string[] {
    return [...this.counts].map(([sentence, times]) => (times === 1 ? sentence : `${sentence} (${times} times)`))
  }
}

/** @param db sees one state of the file until the check is done */
export async function check(
  db: Connection,
  tenant: string,
  entries: (stored: Stored) => IndexEntry[],
): Promise<string[]> {
  const findings = new Findings()
  const names = new Names(new Dictionary(db, true), tenant)
  const types = sql`SELECT value FROM json_each(${JSON.stringify(names.allTypes().map((type) => names.tidOf(type)!))})`
  for (const { quick_check: line } of db.all<{ quick_check: string }>(raw('PRAGMA quick_check')))
    if (line !== 'ok') findings.add(`the file is damaged: ${line}`)
  await checkIndexes({ db, names, types, entries, findings })
  await checkVersions(db, types, findings)
  await checkAudit(db, names, findings)
  return findings.list()
}

type Check = {
  db: Connection
  names: Names
  /** The numbers of the types of the tenant. */
  types: Sql
  entries: (stored: Stored) => IndexEntry[]
  findings: Findings
}

async function checkIndexes({ db, names, types, entries, findings }: Check): Promise<void> {
  const expected: Record<Table, number> = { posting: 0, reference: 0, interval: 0, timeline: 0, position: 0 }
  const texts = { _text: 0, _content: 0 }
  for (let after = 0; ; ) {
    const rows = db.rows<[...VersionRow, sid: number, data: Buffer | null]>(
      sql`SELECT ${byRid}, r.sid, e.data
          FROM resource r CROSS JOIN version v ON v.seq = r.seq LEFT JOIN entry e ON e.rid = r.rid
          WHERE r.rid > ${after} AND r.live = 1 AND r.tid IN (${types}) ORDER BY r.rid LIMIT ${chunk} + 0`,
    )
    for (const [rid, tid, id, version, updated, method, body, sid, data] of rows) {
      const type = names.typeOf(tid)
      if (!data) {
        findings.add(`${type}: a resource without index entries`)
        continue
      }
      const stored = unpack(data)
      for (const table of Object.keys(rowOf) as Table[]) {
        const wanted = new Map(rowsOf(stored)[table].map((each) => [String(each), each]))
        expected[table] += wanted.size
        for (const each of wanted.values())
          if (!db.get(rowOf[table](rid, each))) findings.add(`${type}: a row is missing in ${table}`)
      }
      for (const { pid, digest: wanted } of stored.words) {
        const param = names.codeOf(pid) === '_text' ? '_text' : '_content'
        texts[param]++
        const waiting = db.value<string | null>(
          sql`SELECT words FROM wording WHERE tid = ${tid} AND place = ${placeOf(rid, param)}`,
        )
        const there =
          waiting === undefined
            ? db.value(sql`SELECT 1 FROM ${docsizeOf(param)} WHERE id = ${rid}`) !== undefined
            : waiting !== null && digest(waiting) === wanted
        if (!there) findings.add(`${type}: a full text is missing`)
      }
      const rebuilt = post(
        {
          tid,
          entries: entries(storedOf([rid, tid, id, version, updated, method, body], (each) => names.typeOf(each))),
          referred: stored.targets.map(({ target }) => target),
          ridOf: ({ type, id }) =>
            db.value<number>(sql`SELECT rid FROM resource WHERE tid = ${names.tidOf(type) ?? -1} AND id = ${id}`) ?? -1,
          dateParam: dateParam(type),
        },
        names,
      )
      if (canonical(rebuilt.posted) !== canonical(stored)) findings.add(`${type}: entries differ from a rebuild`)
      if (rebuilt.shape !== sid) findings.add(`${type}: the set of parameters differs from a rebuild`)
    }
    if (rows.length < chunk) break
    after = rows.at(-1)![0]
    await turn()
  }
  for (const table of Object.keys(rowOf) as Table[]) {
    const n = db.value<number>(sql`SELECT ${rowsOfTypes[table](types)}`)
    if (n !== expected[table]) findings.add(`${table} has ${n} rows, a rebuild ${expected[table]}`)
    await turn()
  }
  for (const param of ['_text', '_content'] as const) {
    const n = db.value<number>(
      sql`SELECT (SELECT count(*) FROM ${docsizeOf(param)} d LEFT JOIN resource r ON r.rid = d.id
            WHERE (r.rid IS NULL OR r.tid IN (${types}))
              AND NOT EXISTS (SELECT 1 FROM wording WHERE tid = r.tid AND place = ${placeOf(raw('d.id'), param)}))
        + (SELECT count(*) FROM wording WHERE words IS NOT NULL AND tid IN (${types})
            AND place % 2 = ${raw(param === '_text' ? '0' : '1')})`,
    )
    if (n !== texts[param]) findings.add(`${param} has ${n} texts, a rebuild ${texts[param]}`)
  }
  const n = db.value<number>(
    sql`SELECT count(*) FROM entry e LEFT JOIN resource r ON r.rid = e.rid WHERE r.rid IS NULL OR (r.live <> 1 AND r.tid IN (${types}))`,
  )
  if (n) findings.add(`${n} entries belong to no current resource`)
}

/** The same for two that say the same: the order of what was found plays no part. */
function canonical({ intervals, targets, terms, composites, places, words, timeline }: Posted): string {
  const sorted = (rows: unknown[]) => [...new Set(rows.map((row) => JSON.stringify(row)))].sort()
  return JSON.stringify([
    sorted(intervals),
    sorted(targets),
    sorted(terms),
    sorted(composites),
    sorted(places),
    sorted(words),
    timeline && { pid: timeline.pid, targets: [...timeline.targets].sort() },
  ])
}

/** The sequence, which all tenants share, has no gap; a tenant's time never runs backwards, and each resource stands at its last version. */
async function checkVersions(db: Connection, types: Sql, findings: Findings): Promise<void> {
  if (db.value(sql`SELECT coalesce(max(seq), 0) - count(*) FROM version`)) findings.add('the sequence has a gap')
  let last = 0
  let updated = 0
  type Row = { seq: number; rid: number; version: number; updated: number; method: number; size: number; now: number }
  for (;;) {
    const rows = db.all<Row & { first: number; live: number; before: number | null }>(
      sql`SELECT v.seq, v.rid, v.version, v.updated, v.method, length(v.body) AS size, r.seq AS now, r.first, r.live,
            CASE v.version WHEN 1 THEN NULL WHEN 2 THEN r.first ELSE
              (SELECT b.seq FROM version b WHERE b.rid = v.rid AND b.version > 1 AND b.version = v.version - 1) END AS before
          FROM version v LEFT JOIN resource r ON r.rid = v.rid WHERE v.seq > ${last} AND v.tid IN (${types}) ORDER BY v.seq LIMIT 1000`,
    )
    for (const row of rows) {
      const deleted = isDelete(row.method)
      if (row.updated < updated) findings.add('a version is older than the one before it')
      if (row.now === null) findings.add('a version belongs to no resource')
      if (row.version === 1 ? row.first !== row.seq : row.before === null || row.before >= row.seq)
        findings.add('a resource lacks a version')
      if (row.now < row.seq) findings.add('a resource does not stand at its last version')
      if (row.now === row.seq && (row.live === 1) === deleted) findings.add('a resource and its last version disagree')
      if (deleted !== (row.size === 0)) findings.add('a version has no content')
      last = row.seq
      updated = row.updated
    }
    if (!rows.length) return
    await turn()
  }
}

/** The chain of the audit log holds, and its index leads to every record and to nothing else. */
async function checkAudit(db: Connection, names: Names, findings: Findings): Promise<void> {
  const tenant = names.known
  if (tenant === undefined) return
  const verifier = new Verifier()
  const [first, end] = [tenant * auditSpan, (tenant + 1) * auditSpan]
  let keys = 0
  let portion = -1
  let listed = new Set<string>()
  for (let last = first; ; ) {
    const rows = db.rows<[place: number, data: Buffer]>(
      sql`SELECT place, data FROM audit WHERE place > ${last} AND place < ${end} ORDER BY place LIMIT ${chunk} + 0`,
    )
    for (const [place, data] of rows) {
      const records = unpackRecords(place - first, data)
      for (const record of records) verifier.add(record)
      if (portionOf(place) !== portion) listed = keysListed(db, portionOf(place))
      portion = portionOf(place)
      const wanted = new Set(records.flatMap(keysOf))
      keys += wanted.size
      for (const key of wanted)
        if (!listed.has(`${key} ${place}`)) findings.add('an audit record is not found by its keys')
    }
    if (rows.length < chunk) break
    last = rows.at(-1)![0]
    await turn()
  }
  const n = db.value<number>(
    sql`SELECT coalesce(sum(length(keys)), 0) / ${keySize} FROM audit_key WHERE portion >= ${portionOf(first)} AND portion < ${portionOf(end)}`,
  )
  if (n !== keys) findings.add(`the index of the audit log has ${n} rows, a rebuild ${keys}`)
  for (const { sequence, what } of verifier.end()) findings.add(`audit record ${sequence} ${what}`)
}

function keysListed(db: Connection, portion: number): Set<string> {
  const listed = new Set<string>()
  const rows = db.rows<[place: number, keys: Buffer]>(sql`SELECT place, keys FROM audit_key WHERE portion = ${portion}`)
  for (const [place, keys] of rows)
    for (let at = 0; at < keys.length; at += keySize)
      listed.add(`${keys.readUInt32BE(at)} ${place + keys.readUInt16BE(at + 4)}`)
  return listed
}
