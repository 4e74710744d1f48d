/**
 * Applies a tenant's commit inside the transaction of the writer: all that must be decided while nobody else writes.
 *
 * https://hl7.org/fhir/R4/http.html#concurrency
 */
import { type Ref, splice } from '../../fhir/index.js'
import type { IndexEntry } from '../../search/index.js'
import {
  type AuditEntry,
  type Claim,
  type Commit,
  CommitRefused,
  type Committed,
  type Condition,
  type Put,
  type Stored,
} from '../store.js'
import { dateParam } from '../timeline.js'
import type { Connection } from './connection.js'
import type { FullText, TextParam } from './full-text.js'
import type { Names } from './names.js'
import type { Numbers } from './numbers.js'
import { type Post, post } from './post.js'
import { nothingPosted, type Posted, pack, retarget, unpack } from './posted.js'
import type { RowWriter } from './rows.js'
import { sql } from './sql.js'
import { byRid, type Kept, keepTail, keepWhole, keptDelete, storedOf, type VersionRow } from './stored.js'

/** Resources that record what was done: what they refer to may go, or never have been there. */
const exempt = new Set(['AuditEvent', 'Provenance'])

/** What is known of a resource before the change. `seq` is absent for one that is only referred to. */
type Current = {
  rid: number
  seq: number | null
  live: boolean
  version: number
  updated: number
}

type Planned = { change: Commit['changes'][number]; current: Current | undefined; rid: number }

type Place = { tid: number; rid: number }

/** `kept` is absent where it depends on the version. */
export type Prepared = { post: Post; refs: Ref[]; kept: Kept | undefined }

export type Finder = (condition: Condition, limit: number) => string[]

/** Who is told what a commit did, before it is known whether it stays. */
export type Told = {
  audited(entries: readonly AuditEntry[]): void
  /** A resource of the type, which refers or referred to these, is another now. */
  wrote(type: string, rids: Iterable<number>): void
  /** The entries of a resource are others, and the resource is the same. */
  wroteAnew(): void
}

export class Writer {
  constructor(
    private readonly db: Connection,
    private readonly names: Names,
    private readonly numbers: Numbers,
    private readonly rows: RowWriter,
    private readonly find: Finder,
    private readonly fullText: FullText,
    private readonly told: Told,
    private readonly clock: () => number,
  ) {}

  /** Yields between conditions and between changes, so that a large commit need not hold up everything else. @throws CommitRefused */
  *apply(commit: Commit, prepared: readonly (Prepared | undefined)[]): Generator<void, Committed[]> {
    const now = Math.max(this.clock(), this.numbers.updated)
    for (const [index, claim] of (commit.claims ?? []).entries()) this.claim(claim, index, now)
    for (const [index, condition] of (commit.conditions ?? []).entries()) {
      this.verify(condition, index)
      yield
    }
    const rids = new Map<string, number>()
    const planned: Planned[] = []
    for (const [index, change] of commit.changes.entries()) {
      planned.push(this.expect(change, index, rids))
      yield
    }
    if (commit.integrity) yield* this.refuseDangling(planned, rids)
    this.numbers.updated = now
    const committed: Committed[] = []
    for (const [index, each] of planned.entries()) {
      const { change } = each
      committed.push(change.op === 'put' ? this.put(each, change, prepared[index]!, rids, now) : this.delete(each, now))
      yield
    }
    if (commit.integrity)
      for (const [index, each] of planned.entries()) {
        this.refuseReferred(each, index)
        yield
      }
    if (commit.audit) this.told.audited(commit.audit(committed))
    return committed
  }

  private claim({ key, value, expires }: Claim, index: number, now: number): void {
    const tenant = this.names.number()
    const held = this.db.get<{ value: string; expires: number | null }>(
      sql`SELECT value, expires FROM claim WHERE tenant = ${tenant} AND key = ${key}`,
    )
    if (held && (held.expires === null || held.expires > now))
      throw new CommitRefused({ kind: 'claim', index, value: held.value })
    // A few of those that are over are swept with each new one, so that the table never grows without bound.
    this.db.run(
      sql`DELETE FROM claim WHERE tenant = ${tenant} AND key IN (SELECT key FROM claim WHERE tenant = ${tenant} AND expires <= ${now} LIMIT 4)`,
    )
    this.db.run(
      sql`INSERT OR REPLACE INTO claim (tenant, key, value, expires) VALUES (${tenant}, ${key}, ${value}, ${expires ?? null})`,
    )
  }

  private verify(condition: Condition, index: number): void {
    const found = this.find(condition, Math.max(2, condition.ids.length + 1))
    if (found.length !== condition.ids.length || !condition.ids.every((id) => found.includes(id)))
      throw new CommitRefused({ kind: 'condition', index })
  }

  /** Finds the resource, refuses what was not expected, and gives a new resource its number. */
  private expect(change: Commit['changes'][number], index: number, rids: Map<string, number>): Planned {
    const { type, id, expect } = change
    const current = this.current(change)
    const live = current?.live ?? false
    if (expect?.exists === true && !live)
      throw new CommitRefused({ kind: 'absent', index, deleted: current?.seq != null })
    if (expect?.exists === false && live) throw new CommitRefused({ kind: 'exists', index, deleted: false })
    if (expect?.version !== undefined && (current?.seq == null || current.version !== expect.version))
      throw new CommitRefused({ kind: 'version', index, current: current?.seq == null ? undefined : current.version })
    const key = `${type}/${id}`
    if (rids.has(key)) throw new Error(`${type} is named twice in one commit`)
    // What was only referred to gets its place in the order of creation now, and takes the references along.
    const rid = change.op === 'put' && current?.seq == null ? this.numbers.rid++ : (current?.rid ?? 0)
    rids.set(key, rid)
    return { change, current, rid }
  }

  private current({ type, id }: Ref): Current | undefined {
    const tid = this.names.tidOf(type)
    if (tid === undefined) return undefined
    const row = this.db.get<{ rid: number; seq: number | null; live: number; version: number; updated: number }>(
      sql`SELECT r.rid, r.seq, r.live, v.version, v.updated FROM resource r LEFT JOIN version v ON v.seq = r.seq
          WHERE r.tid = ${tid} AND r.id = ${id}`,
    )
    return row && { ...row, live: row.live === 1 }
  }

  private *refuseDangling(planned: readonly Planned[], rids: Map<string, number>): Generator<void> {
    const there = new Map(planned.map(({ change }) => [`${change.type}/${change.id}`, change.op === 'put']))
    for (const [index, { change }] of planned.entries()) {
      if (change.op !== 'put' || exempt.has(change.type)) continue
      for (const ref of change.references) {
        const key = `${ref.type}/${ref.id}`
        if (!there.has(key)) {
          const row = this.rowOf(ref)
          there.set(key, row?.live === 1)
          if (row) rids.set(key, row.rid)
        }
        if (!there.get(key)) throw new CommitRefused({ kind: 'dangling', index, ref: { type: ref.type, id: ref.id } })
      }
      yield
    }
  }

  private rowOf({ type, id }: Ref): { rid: number; live: number } | undefined {
    const tid = this.names.tidOf(type)
    if (tid === undefined) return undefined
    return this.db.get(sql`SELECT rid, live FROM resource WHERE tid = ${tid} AND id = ${id}`)
  }

  /** The number of a resource referred to; one that is not there gets a row that says so. */
  private ridOf(ref: Ref, rids: Map<string, number>): number {
    const key = `${ref.type}/${ref.id}`
    const known = rids.get(key)
    if (known) return known
    const row = this.rowOf(ref)
    const rid = row?.rid ?? this.numbers.rid++
    if (!row) this.insert(rid, ref, null, 0)
    rids.set(key, rid)
    return rid
  }

  private insert(rid: number, { type, id }: Ref, seq: number | null, shape: number): void {
    this.db.run(
      sql`INSERT INTO resource (rid, tid, id, seq, first, live, sid)
          VALUES (${rid}, ${this.names.type(type)}, ${id}, ${seq}, ${seq}, ${seq === null ? 0 : 1}, ${shape})`,
    )
  }

  private put(
    { current, rid }: Planned,
    put: Put,
    prepared: Prepared,
    rids: Map<string, number>,
    now: number,
  ): Committed {
    const { type, id, method } = put
    if (current?.seq != null && current.live) {
      const stored = this.stored(rid)
      if (splice(put.serialized, current.version, current.updated).equals(stored.body))
        return { stored, outcome: 'unchanged' }
    }
    const version = (current?.version ?? 0) + 1
    const stored: Stored = {
      type,
      id,
      version,
      updated: now,
      deleted: false,
      method,
      body: splice(put.serialized, version, now),
    }
    const seq = this.addVersion(rid, stored, prepared.kept ?? keepWhole(method, stored.body))
    if (current && current.seq === null) this.moveReferences(type, current.rid, rid)
    const { shape, words } = prepared.post
    const posted = retarget(prepared.post.posted, (symbol) => this.ridOf(prepared.refs[-symbol - 1]!, rids))
    if (current?.seq == null) this.insert(rid, put, seq, shape)
    else this.db.run(sql`UPDATE resource SET seq = ${seq}, live = 1, sid = ${shape} WHERE rid = ${rid}`)
    const before = current?.live ? this.posted(rid) : undefined
    this.replace({ tid: this.names.type(type), rid }, before, posted, words)
    this.told.wrote(type, referredBy(before, posted))
    return { stored, outcome: current?.live ? 'updated' : 'created' }
  }

  private replace(place: Place, before: Posted | undefined, posted: Posted, words: Post['words']): void {
    const { rid } = place
    this.rows.replace(rid, before, posted)
    this.replaceWords(place, before, posted, words)
    this.db.run(sql`INSERT OR REPLACE INTO entry (rid, data) VALUES (${rid}, ${pack(posted)})`)
  }

  private delete({ change: { type, id }, current, rid }: Planned, now: number): Committed {
    if (!current?.live)
      return {
        stored: {
          type,
          id,
          version: current?.seq == null ? 0 : current.version,
          updated: current?.seq == null ? now : current.updated,
          deleted: true,
          method: 'DELETE',
          body: Buffer.alloc(0),
        },
        outcome: 'unchanged',
      }
    const stored: Stored = {
      type,
      id,
      version: current.version + 1,
      updated: now,
      deleted: true,
      method: 'DELETE',
      body: Buffer.alloc(0),
    }
    const seq = this.addVersion(rid, stored, keptDelete)
    const before = this.posted(rid)
    this.rows.replace(rid, before, nothingPosted)
    this.told.wrote(type, referredBy(before))
    this.replaceWords({ tid: this.names.type(type), rid }, before, nothingPosted, new Map())
    this.db.run(sql`DELETE FROM entry WHERE rid = ${rid}`)
    this.db.run(sql`UPDATE resource SET seq = ${seq}, live = 0, sid = 0 WHERE rid = ${rid}`)
    return { stored, outcome: 'deleted' }
  }

  private stored(rid: number): Stored {
    const row = this.db.row<VersionRow>(
      sql`SELECT ${byRid} FROM resource r CROSS JOIN version v ON v.seq = r.seq WHERE r.rid = ${rid}`,
    )!
    return storedOf(row, (tid) => this.names.typeOf(tid))
  }

  private addVersion(rid: number, { type, version, updated }: Stored, { method, body }: Kept): number {
    const seq = this.numbers.seq++
    this.db.run(
      sql`INSERT INTO version (seq, rid, tid, version, updated, method, body)
          VALUES (${seq}, ${rid}, ${this.names.type(type)}, ${version}, ${updated}, ${method}, ${body})`,
    )
    return seq
  }

  /**
   * What can be done for a change before its commit begins: nothing is decided yet, and what is written (names that
   * were not known) does no harm if the commit never comes. References have symbols, -1 for the first of `refs`.
   */
  prepare(change: Commit['changes'][number]): Prepared | undefined {
    if (change.op === 'delete') return undefined
    const { type, entries, references, method, serialized } = change
    const symbols = new Map<string, number>()
    const refs: Ref[] = []
    const ridOf = ({ type, id }: Ref): number => {
      const key = `${type}/${id}`
      let symbol = symbols.get(key)
      if (symbol === undefined) {
        symbol = -refs.push({ type, id })
        symbols.set(key, symbol)
      }
      return symbol
    }
    const referred = references.map(ridOf)
    const source = { tid: this.names.type(type), entries, referred, ridOf, dateParam: dateParam(type) }
    return { post: post(source, this.names), refs, kept: keepTail(change, method, serialized) }
  }

  /** Gives a current resource other entries; what it refers to stays known whether or not a parameter finds it. */
  reindex(rid: number, type: string, entries: readonly IndexEntry[]): void {
    const rids = new Map<string, number>()
    const tid = this.names.type(type)
    const before = this.posted(rid)
    const { posted, shape, words } = post(
      {
        tid,
        entries,
        referred: before.targets.map(({ target }) => target),
        ridOf: (ref) => this.ridOf(ref, rids),
        dateParam: dateParam(type),
      },
      this.names,
    )
    this.db.run(sql`UPDATE resource SET sid = ${shape} WHERE rid = ${rid} AND sid <> ${shape}`)
    this.replace({ tid, rid }, before, posted, words)
    this.told.wroteAnew()
  }

  /** The full texts whose words changed. */
  private replaceWords({ tid, rid }: Place, before: Posted | undefined, after: Posted, words: Post['words']): void {
    const last = new Map(before?.words.map(({ pid, digest }) => [pid, digest]))
    for (const { pid, digest } of after.words) {
      const param = this.textParam(pid)
      if (last.get(pid) !== digest) this.fullText.keep({ tid, rid, param }, words.get(param)!)
      last.delete(pid)
    }
    for (const pid of last.keys()) this.fullText.keep({ tid, rid, param: this.textParam(pid) }, null)
  }

  private textParam(pid: number): TextParam {
    return this.names.codeOf(pid) === '_text' ? '_text' : '_content'
  }

  private posted(rid: number) {
    return unpack(this.db.get<{ data: Buffer }>(sql`SELECT data FROM entry WHERE rid = ${rid}`)!.data)
  }

  /** A resource that was referred to before it came: its place is taken in the order of creation. */
  private moveReferences(type: string, from: number, to: number): void {
    const referring = this.db.column<number>(sql`SELECT DISTINCT rid FROM reference WHERE target = ${from}`)
    this.told.wrote(type, referring)
    for (const rid of referring) {
      const before = this.posted(rid)
      const after = retarget(before, (target) => (target === from ? to : target))
      this.rows.replace(rid, before, after)
      this.db.run(sql`UPDATE entry SET data = ${pack(after)} WHERE rid = ${rid}`)
    }
    this.db.run(sql`DELETE FROM resource WHERE rid = ${from}`)
  }

  private refuseReferred({ change, current, rid }: Planned, index: number): void {
    if (change.op !== 'delete' || !current?.live) return
    const exemptTypes = [...exempt].flatMap((type) => this.names.tidOf(type) ?? [])
    const by = this.db.get<{ tid: number; id: string }>(
      sql`SELECT r.tid, r.id FROM reference f CROSS JOIN resource r ON r.rid = f.rid
          WHERE f.target = ${rid} AND f.rid <> ${rid}
            AND r.tid NOT IN (SELECT value FROM json_each(${JSON.stringify(exemptTypes)})) LIMIT 1`,
    )
    if (by)
      throw new CommitRefused({
        kind: 'referred',
        index,
        by: { type: this.names.typeOf(by.tid), id: by.id },
      })
  }
}

function* referredBy(...posted: (Posted | undefined)[]): Generator<number> {
  for (const each of posted) for (const { target } of each?.targets ?? []) yield target
}
