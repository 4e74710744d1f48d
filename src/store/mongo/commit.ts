/**
 * Applies commits inside one transaction: all that must be decided while nobody else changes what it is decided on.
 *
 * https://hl7.org/fhir/R4/http.html#concurrency
 *
 * One command reads every resource that is changed or referred to, whatever its type; then everything is decided in
 * memory, and each collection is written by one command. A create is four commands, and so is a transaction of a
 * thousand creates of one type.
 */
import { randomUUID } from 'node:crypto'
import { BSON, type ClientSession, type Db, type Document } from 'mongodb'
import { type Ref, splice } from '../../fhir/index.js'
import {
  type Change,
  type Claim,
  type Commit,
  CommitRefused,
  type Committed,
  type Put,
  type Stored,
  StoreLimit,
} from '../store.js'
import { type AuditDocument, auditDocument } from './audit.js'
import { contentCollection, partsOf, wholeMax } from './content.js'
import { type CurrentDocument, readable, type Searchable, searchable } from './document.js'
import type { Lanes } from './lanes.js'
import { type CommitDocument, commitsCollection, keyOf } from './marks.js'
import type { Places } from './places.js'
import { historyOf, type Reader } from './reader.js'
import type { Root } from './root.js'
import type { Search } from './search.js'
import { binary, type Row, storedOf, type VersionDocument, versionFields } from './stored.js'
import { token } from './tokens.js'

/** Resources that record what was done: what they refer to may go, or never have been there. */
const exempt = new Set(['AuditEvent', 'Provenance'])

/** A commit with what could be computed before its transaction; `kept` is by what one sees that it was kept. */
export type Prepared = { commit: Commit; id: string; searchables: (Searchable | undefined)[]; kept: string[] }

export const prepare = (commit: Commit): Prepared => ({
  commit,
  id: timedId(),
  kept: [],
  searchables: commit.changes.map((change) =>
    change.op === 'put' ? searchable(change.type, change.entries, change.references) : undefined,
  ),
})

/** Ids that follow each other in time lie beside each other in the index. */
const timedId = (): string => `${Date.now().toString(36)}-${randomUUID()}`

export type Decided = Committed[] | CommitRefused

export type ClaimDocument = { _id: string; value: string; expires?: number; at?: Date }

type Current = Row & { type: string; o: number }

type Parts = {
  db: Db
  reader: Reader
  search: Search
  root: Root
  lanes: Lanes
  places: Places
  clock: () => number
  /** Whether documents hold the resource itself beside its bytes. */
  documents: boolean
}

/** Writes of one transaction, by collection. */
class Writes {
  readonly inserts = new Map<string, Document[]>()
  readonly updates = new Map<string, Document[]>()
  readonly commits: (CommitDocument | AuditDocument)[] = []
  insert(collection: string, document: Document): void {
    listOf(this.inserts, collection).push(document)
  }
  update(collection: string, statement: Document): void {
    listOf(this.updates, collection).push(statement)
  }
}

export class Writer {
  constructor(private readonly parts: Parts) {}

  /** Those that are refused are left out; the others are stored together. */
  async apply(session: ClientSession, group: readonly Prepared[], alone: boolean): Promise<Decided[]> {
    const { places, root, search } = this.parts
    const reader = this.parts.reader.within(session)
    const currents = await this.currents(reader, group)
    for (const row of currents.values()) places.saw(row)
    const now = places.now()
    const claimed = await this.claimed(session, group, now)
    const writes = new Writes()
    const decided: Decided[] = []
    for (const prepared of group) {
      try {
        const { claims = [], conditions = [] } = prepared.commit
        refuseClaimed(claims, claimed)
        for (const [index, condition] of conditions.entries()) {
          const found = await search.ids(reader, condition, Math.max(2, condition.ids.length + 1))
          if (found.length !== condition.ids.length || !condition.ids.every((id) => found.includes(id)))
            throw new CommitRefused({ kind: 'condition', index })
        }
        decided.push(this.decide(prepared, currents, now, writes))
        for (const claim of claims) this.keepClaim(claim, claimed, writes)
      } catch (error) {
        if (!(error instanceof CommitRefused)) throw error
        decided.push(error)
      }
    }
    await this.write(session, writes, alone)
    if (alone && group[0]!.commit.integrity && Array.isArray(decided[0]))
      await this.refuseReferred(reader, decided[0], await root.allTypes(session))
    return decided
  }

  /** Whether something that the transaction of a group left is there. */
  async isKept(group: readonly Prepared[]): Promise<boolean> {
    const _id = group.find(({ kept }) => kept.length)?.kept[0]
    if (_id === undefined) return true
    return (await this.parts.db.collection<{ _id: string }>(commitsCollection).findOne({ _id })) !== null
  }

  /** Everything that is changed, with its bytes, and everything referred to, without. */
  private async currents(reader: Reader, group: readonly Prepared[]): Promise<Map<string, Current>> {
    const changed = new Map<string, Set<string>>()
    const referred = new Map<string, Set<string>>()
    for (const { commit } of group)
      for (const change of commit.changes) {
        setOf(changed, change.type).add(reader.key(change.id))
        if (change.op === 'put' && commit.integrity && !exempt.has(change.type))
          for (const { type, id } of change.references) setOf(referred, type).add(reader.key(id))
      }
    const part = (type: string, ids: Set<string>, fields: Document) => ({
      type,
      stages: [{ $match: { _id: { $in: [...ids] } } }, { $project: { _id: 0, type: { $literal: type }, ...fields } }],
    })
    const found = await reader.union<Current>([
      ...[...referred].map(([type, ids]) => part(type, ids, { id: 1, v: 1, lu: 1, w: 1, del: 1 })),
      // These come last, and take the place of what was read without bytes.
      ...[...changed].map(([type, ids]) => part(type, ids, { ...versionFields, o: 1 })),
    ])
    return new Map((await reader.whole(found)).map((row) => [`${row.type}/${row.id}`, row]))
  }

  private async claimed(
    session: ClientSession,
    group: readonly Prepared[],
    now: number,
  ): Promise<Map<string, { value: string; live: boolean }>> {
    const keys = group.flatMap(({ commit }) => (commit.claims ?? []).map(({ key }) => key))
    if (!keys.length) return new Map()
    const { reader, db } = this.parts
    const found = await db
      .collection<ClaimDocument>('claims')
      .find({ _id: { $in: keys.map((key) => reader.key(key)) } }, { session })
      .toArray()
    return new Map(
      found.map(({ _id, value, expires }) => [
        _id.slice(reader.key('').length),
        { value, live: expires === undefined || expires > now },
      ]),
    )
  }

  private keepClaim(
    { key, value, expires }: Claim,
    claimed: Map<string, { value: string; live: boolean }>,
    writes: Writes,
  ): void {
    const document = { value, ...(expires !== undefined && { expires, at: this.expiry(expires) }) }
    const _id = this.parts.reader.key(key)
    if (claimed.has(key)) writes.update('claims', { q: { _id }, u: document })
    else writes.insert('claims', { _id, ...document })
    claimed.set(key, { value, live: true })
  }

  /** The server sweeps by its own clock, which may not be the one we go by. */
  private expiry(expires: number): Date {
    return new Date(Math.min(Date.now() + Math.max(0, expires - this.parts.clock()), 8.64e15))
  }

  private decide(
    { commit, id, searchables, kept }: Prepared,
    currents: Map<string, Current>,
    now: number,
    writes: Writes,
  ): Committed[] {
    const named = new Set<string>()
    for (const [index, change] of commit.changes.entries()) {
      expect(change, index, currents.get(nameOf(change)))
      if (named.has(nameOf(change))) throw new Error(`${change.type} is named twice in one commit`)
      named.add(nameOf(change))
    }
    if (commit.integrity) refuseDangling(commit.changes, currents)
    const before = writes.commits.length
    const w = this.parts.places.next(this.parts.lanes.number)
    const versions: CommitDocument['v'] = []
    const committed = commit.changes.map((change, i): Committed => {
      const current = currents.get(nameOf(change))
      const done =
        change.op === 'put'
          ? this.put(change, searchables[i]!, current, now, writes)
          : this.delete(change, current, now, writes)
      if (done.outcome !== 'unchanged') versions.push([change.type, change.id, done.stored.version])
      return done
    })
    const t = this.parts.reader.tenant
    if (versions.length)
      writes.commits.push({ _id: keyOf.mark(t, id), t, seq: 0, w, at: now, n: versions.length, v: versions })
    for (const entry of commit.audit?.(committed) ?? [])
      writes.commits.push(auditDocument(t, entry, this.parts.places.next(this.parts.lanes.number)))
    kept.splice(0, kept.length, ...writes.commits.slice(before).map(({ _id }) => _id))
    return committed
  }

  private put(
    change: Put,
    searchable: Searchable,
    current: Current | undefined,
    now: number,
    writes: Writes,
  ): Committed {
    const { type, id, method, serialized } = change
    if (current && !current.del) {
      const stored = storedOf(type, current)
      if (splice(serialized, current.v, current.lu).equals(stored.body)) return { stored, outcome: 'unchanged' }
    }
    const version = (current?.v ?? 0) + 1
    const body = splice(serialized, version, now)
    const stored: Stored = { type, id, version, updated: now, deleted: false, method, body }
    const resource = this.parts.documents && body.length <= wholeMax ? readable(body) : undefined
    const seen = { ...searchable, vis: this.parts.root.classOf(searchable.vis) }
    this.replace(stored, current, fitting(body, seen, resource), writes)
    return { stored, outcome: current && !current.del ? 'updated' : 'created' }
  }

  private delete({ type, id }: Ref, current: Current | undefined, now: number, writes: Writes): Committed {
    const gone = { type, id, deleted: true, method: 'DELETE', body: Buffer.alloc(0) } as const
    if (!current || current.del)
      return { stored: { ...gone, version: current?.v ?? 0, updated: current?.lu ?? now }, outcome: 'unchanged' }
    const stored: Stored = { ...gone, version: current.v + 1, updated: now }
    this.replace(stored, current, {}, writes)
    return { stored, outcome: 'deleted' }
  }

  /** The new version takes the place of the current one, which goes to the history. */
  private replace(stored: Stored, current: Current | undefined, more: Document, writes: Writes): void {
    const { reader, places, lanes } = this.parts
    const { type, id, version, updated, deleted, method } = stored
    const w = places.next(lanes.number)
    const document: Omit<CurrentDocument, '_id'> = {
      t: reader.tenant,
      id,
      v: version,
      lu: updated,
      w,
      o: current?.o ?? w,
      m: method,
      del: deleted,
      ...more,
      ...this.bytesOf(stored, writes),
    }
    const _id = reader.key(id)
    if (!current) {
      writes.insert(type, { _id, ...document })
      return
    }
    writes.update(type, { q: { _id }, u: document })
    const before: VersionDocument & { until: number } = {
      _id: reader.key(id, current.v),
      t: reader.tenant,
      id,
      v: current.v,
      lu: current.lu,
      w: current.w,
      m: current.m,
      del: current.del,
      until: updated,
      ...(current.parts ? { body: binary(Buffer.alloc(0)), parts: current.parts } : { body: binary(current.body) }),
    }
    writes.insert(historyOf(type), before)
  }

  /** The bytes, or how many parts they are in. */
  private bytesOf({ type, id, version, body }: Stored, writes: Writes): Pick<VersionDocument, 'body' | 'parts'> {
    if (body.length <= wholeMax) return { body: binary(body) }
    const { reader } = this.parts
    const parts = partsOf(reader.tenant, reader.version(type, id, version), body)
    for (const part of parts) writes.insert(contentCollection, part)
    return { body: binary(Buffer.alloc(0)), parts: parts.length }
  }

  private async write(session: ClientSession, writes: Writes, alone: boolean): Promise<void> {
    const { db, lanes } = this.parts
    for (const [name, documents] of writes.inserts) await db.collection(name).insertMany(documents, { session })
    for (const [name, statements] of writes.updates)
      await db.collection(name).bulkWrite(
        statements.map(({ q, u }) => ({ replaceOne: { filter: q, replacement: u } })),
        { session, ordered: false },
      )
    if (!writes.commits.length) return
    await db.collection<Document & { _id: string }>(commitsCollection).bulkWrite(
      [
        ...lanes.touches(alone),
        ...writes.commits.map(({ _id, ...mark }) => ({
          updateOne: { filter: { _id }, update: { $setOnInsert: mark }, upsert: true },
        })),
      ],
      { session, ordered: true },
    )
  }

  /** After everything is written, so that what refers may go in the same commit. */
  private async refuseReferred(reader: Reader, decided: Committed[], types: readonly string[]): Promise<void> {
    const gone = new Map(
      decided.flatMap(({ stored, outcome }, index) =>
        outcome === 'deleted' ? [[token.link(nameOf(stored)), { index, ref: stored }] as const] : [],
      ),
    )
    if (!gone.size) return
    const link = { $in: [...gone.keys()] }
    const living = { t: reader.tenant, vis: { $in: [...this.parts.root.classes] } }
    const found = await reader.union<{ type: string; id: string; k: string[]; x: string[] }>(
      types
        .filter((type) => !exempt.has(type))
        .map((type) => ({
          type,
          stages: [
            {
              $match: {
                $or: [
                  { ...living, k: link },
                  { ...living, x: link },
                ],
              },
            },
            { $limit: 1 },
            { $project: { _id: 0, type: { $literal: type }, id: 1, k: 1, x: 1 } },
          ],
        })),
    )
    for (const { type, id, k, x } of found)
      for (const link of [...k, ...x]) {
        const deleted = gone.get(link)
        if (deleted) throw new CommitRefused({ kind: 'referred', index: deleted.index, by: { type, id } })
      }
  }
}

/** A document holds 16 MiB, of which what stands beside the values takes little. */
const documentMax = 16 * 1024 * 1024 - 64 * 1024
const lookedAtFrom = 1024 * 1024

/** The values with the resource as a document where both fit. @throws StoreLimit */
function fitting(body: Buffer, searchable: Searchable, resource: Document | undefined): Document {
  const both = { ...searchable, ...(resource && { resource }) }
  if (body.length < lookedAtFrom) return both
  const room = documentMax - (body.length > wholeMax ? 0 : body.length)
  if (body.length <= wholeMax && BSON.calculateObjectSize(both) < room) return both
  if (BSON.calculateObjectSize(searchable) < room) return searchable
  throw new StoreLimit('bytes of a resource and its values', documentMax)
}

const nameOf = ({ type, id }: Ref): string => `${type}/${id}`

function refuseClaimed(claims: readonly Claim[], claimed: Map<string, { value: string; live: boolean }>): void {
  const own = new Map<string, string>()
  for (const [index, { key, value }] of claims.entries()) {
    const held = claimed.get(key)
    const taken = held?.live ? held.value : own.get(key)
    if (taken !== undefined) throw new CommitRefused({ kind: 'claim', index, value: taken })
    own.set(key, value)
  }
}

/** @throws CommitRefused when what was expected is not so */
function expect({ expect: expected }: Change, index: number, current: Current | undefined): void {
  const live = current !== undefined && !current.del
  if (expected?.exists === true && !live)
    throw new CommitRefused({ kind: 'absent', index, deleted: current !== undefined })
  if (expected?.exists === false && live) throw new CommitRefused({ kind: 'exists', index, deleted: false })
  if (expected?.version !== undefined && current?.v !== expected.version)
    throw new CommitRefused({ kind: 'version', index, current: current?.v })
}

function refuseDangling(changes: readonly Change[], currents: Map<string, Current>): void {
  const there = new Map(changes.map((change) => [nameOf(change), change.op === 'put']))
  for (const [index, change] of changes.entries()) {
    if (change.op !== 'put' || exempt.has(change.type)) continue
    for (const { type, id } of change.references) {
      const name = `${type}/${id}`
      const current = currents.get(name)
      if (!(there.get(name) ?? (current !== undefined && !current.del)))
        throw new CommitRefused({ kind: 'dangling', index, ref: { type, id } })
    }
  }
}

function listOf(map: Map<string, Document[]>, key: string): Document[] {
  const known = map.get(key)
  if (known) return known
  const made: Document[] = []
  map.set(key, made)
  return made
}

function setOf(map: Map<string, Set<string>>, key: string): Set<string> {
  const known = map.get(key)
  if (known) return known
  const made = new Set<string>()
  map.set(key, made)
  return made
}
