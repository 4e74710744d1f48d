/**
 * Where resources live: one small interface, two engines.
 *
 * A store knows nothing of FHIR's rules and nothing of callers. It is given a finished Query and a Reach, and adds
 * `reach.of(type)` at every node of the query that touches a type: the type itself, chains, `_has`, includes, sort keys
 * and totals. Whatever must be decided while nobody else writes (versions, preconditions, uniqueness, references) is
 * decided inside `commit`.
 *
 * A database holds tenants, and a Store is one tenant's: its name is a part of every key and every index, so that
 * nothing asked of a Store can find, count or be delayed by what belongs to another tenant.
 */
import type { Ref, Serialized } from '../fhir/index.js'
import type { IndexEntry, Position, Query, Reach } from '../search/index.js'

/** One version of a resource. `body` are the exact bytes that are answered (empty when `deleted`). */
export type Stored = Ref & {
  version: number
  /** Milliseconds since 1970; never decreases from one commit to the next. */
  updated: number
  deleted: boolean
  /** The interaction that made the version, as Bundle.entry.request.method in a history. */
  method: 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  body: Buffer
}

export type Put = Ref & {
  op: 'put'
  method: 'POST' | 'PUT' | 'PATCH'
  serialized: Serialized
  entries: IndexEntry[]
  /** Local literal references of the resource: checked when `integrity` is on, and what deletes are refused for. */
  references: Ref[]
  expect?: Expect
}

export type Delete = Ref & { op: 'delete'; expect?: Expect }

export type Change = Put | Delete

/** `version`: the current version is this one. `exists`: there is (or is not) a current, not deleted resource. */
export type Expect = { version?: number; exists?: boolean }

/** Inside the commit the query still finds exactly these ids (at most two are looked at unless more are expected). */
export type Condition = { query: Query; reach: Reach; ids: string[] }

/** A key nobody has claimed yet (Idempotency-Key, uniqueness); until `expires` (milliseconds since 1970). */
export type Claim = { key: string; value: string; expires?: number }

/** One atomic unit: all of it, durable when the promise resolves, or none of it. Each resource is named once. */
export type Commit = {
  changes: Change[]
  conditions?: Condition[]
  claims?: Claim[]
  /** What the audit log says of it, in the same transaction. Asked once what became of each change is known; pure. */
  audit?: (committed: readonly Committed[]) => AuditEntry[]
  /** Refuse references to resources that are not there, and deletes of what is referred to. */
  integrity: boolean
}

/** What became of each change. `unchanged`: the resource was already so (or already deleted) and keeps its version. */
export type Committed = { stored: Stored; outcome: 'created' | 'updated' | 'deleted' | 'unchanged' }

/** Why nothing was stored. `index` is the place in `changes`, `conditions` or `claims`. */
export class CommitRefused extends Error {
  constructor(
    readonly reason: /** Expect.version: another version is current (`current`, undefined if there is none) */
      | { kind: 'version'; index: number; current: number | undefined }
      /** Expect.exists */
      | { kind: 'exists' | 'absent'; index: number; deleted: boolean }
      | { kind: 'condition'; index: number }
      | { kind: 'claim'; index: number; value: string }
      /** The change refers to `ref`, which is not there. */
      | { kind: 'dangling'; index: number; ref: Ref }
      /** The resource to delete is referred to by `by`. */
      | { kind: 'referred'; index: number; by: Ref },
  ) {
    super(reason.kind)
  }
}

/** More was asked for than one answer may hold. */
export class StoreLimit extends Error {
  constructor(
    readonly what: 'includes' | 'resources on the way of a chain' | 'bytes of a resource and its values',
    readonly limit: number,
  ) {
    super(`more than ${limit} ${what}`)
  }
}

/** The database did not answer in time or not at all: nothing is known to be wrong with what was asked; try again. */
export class StoreUnavailable extends Error {}

/**
 * The store cannot be opened or copied, with a sentence for who operates the server. `passing`: it can be mended where
 * the store is, and another try may then succeed.
 */
export class StoreUnusable extends Error {
  override name = 'StoreUnusable'
  readonly passing: boolean
  constructor(message: string, { passing = false, ...options }: ErrorOptions & { passing?: boolean } = {}) {
    super(message, options)
    this.passing = passing
  }
}

export type Match = { stored: Stored; mode: 'match' | 'include' }

/** `next` is there when more follow; `total` when the query asked for it. Includes belong to this page's matches. */
export type Found = { matches: Match[]; next?: Position; total?: number }

/** `type` and `id` narrow the history; `since` and `at` are milliseconds since 1970. Newest first. */
export type HistoryQuery = {
  type?: string
  id?: string
  since?: number
  at?: { lo: number; hi: number }
  count: number
  after?: Position
  total: boolean
}

/** A version in the order in which it became visible; `sequence` only ever grows. */
export type Visible = { sequence: number; stored: Stored }

export interface Store {
  /** The current version (also when deleted: then `deleted`), or the named one; undefined when absent or out of reach. */
  read(ref: Ref, reach: Reach, version?: number): Promise<Stored | undefined>
  /** @throws StoreLimit */
  search(query: Query, reach: Reach): Promise<Found>
  history(query: HistoryQuery, reach: Reach): Promise<Found>
  /** @throws CommitRefused */
  commit(commit: Commit): Promise<Committed[]>
  /** What became visible after a sequence number, oldest first. For the server's own followers, not for callers. */
  changes(after: number, limit: number): Promise<Visible[]>
  /**
   * Tells that there may be more changes, also those of other processes, within a second. Told too often at times, and
   * never to be trusted for what there is: `changes` says that. Returns what ends it.
   */
  watch(listener: () => void): () => void
  /** How a query would be answered, for people who operate the server: no values of patients in it. */
  explain(query: Query, reach: Reach): Promise<string[]>
  /** The door for what is not FHIR: codes, grants, sessions, keys. */
  readonly secrets: Secrets
  /** The record of accesses. */
  readonly audit: AuditLog
  readonly maintenance: Maintenance
}

/** All tenants of a site, and what belongs to none of them. */
export interface Database {
  /** The store of a tenant; its name is 1 to 64 of `A-Z a-z 0-9 - .`. A tenant nobody has written to is empty. */
  tenant(name: string): Store
  /** Of the site itself: which tenants there are, its keys. */
  readonly secrets: Secrets
  /** A consistent copy of all tenants while the server runs. */
  backup(path: string): Promise<void>
  /** Ready to answer? A sentence that says what is wrong, or undefined. */
  health(): Promise<string | undefined>
  close(): Promise<void>
}

/**
 * One entry of the audit log. `text` is what happened, as compact JSON, and is what is hashed; `keys` are what it is
 * found by (`Patient/1`, an agent, an entity), and `at` are milliseconds since 1970.
 */
export type AuditEntry = { id: string; at: number; keys: string[]; text: string }

/**
 * An entry in its place in the chain. `hash` is SHA-256 over the hash before it and the entry (`linkOf`); undefined
 * for an entry that is durable and not chained yet (several processes append, one of them chains).
 */
export type AuditRecord = AuditEntry & { sequence: number | undefined; hash: Buffer | undefined }

/**
 * `lo` and `hi` limit `at`, both inclusive; newest first unless `ascending`; `after` is the last record already seen.
 * Records of the same `at` have an order of the engine's own, always the same.
 */
export type AuditQuery = {
  key?: string
  lo?: number
  hi?: number
  ascending?: boolean
  after?: { at: number; id: string }
  count: number
}

/**
 * Append only: there is no method that changes or removes. Entries of a commit come with the commit.
 *
 * The order of the chain is that in which entries came, and `at` never decreases along it: an entry that comes after a
 * later one gets the `at` of that one (what the clock said is in its text).
 */
export interface AuditLog {
  /** Durable when resolved, and found from then on. What many append at the same time becomes durable together. */
  append(entries: readonly AuditEntry[]): Promise<void>
  read(id: string): Promise<AuditRecord | undefined>
  find(query: AuditQuery): Promise<AuditRecord[]>
  /** In the order of the chain, after a sequence number: to verify it. */
  chain(after: number, limit: number): Promise<AuditRecord[]>
  /** The last chained record; undefined when there is none. */
  head(): Promise<{ sequence: number; hash: Buffer } | undefined>
}

/** Values by key, gone after `expires` (milliseconds since 1970). */
export interface Secrets {
  put(key: string, value: string, expires?: number): Promise<void>
  get(key: string): Promise<string | undefined>
  /** Puts `value` if the current one is `was` (undefined: there is none); says whether it did. */
  swap(key: string, was: string | undefined, value: string, expires?: number): Promise<boolean>
  /** Keys that begin with `prefix`, in code point order, after a key, with their values; those that are over left out. */
  list(prefix: string, limit: number, after?: string): Promise<[key: string, value: string][]>
  /** Get and drop in one step: of many who take, one receives. */
  take(key: string): Promise<string | undefined>
  drop(key: string): Promise<void>
}

export interface Maintenance {
  /**
   * Replaces the index entries of up to `limit` current resources of a type, from a place on; returns the next place,
   * undefined at the end. The entries are computed by `entries` from the resource's bytes.
   */
  reindex(
    type: string,
    after: number,
    limit: number,
    entries: (stored: Stored) => IndexEntry[],
  ): Promise<number | undefined>
  /** Compares indexes with a rebuild and counts what disagrees; also history and sequence. A sentence a finding. */
  check(entries: (stored: Stored) => IndexEntry[]): Promise<string[]>
  /** Number of current resources by type. */
  count(): Promise<Record<string, number>>
}
