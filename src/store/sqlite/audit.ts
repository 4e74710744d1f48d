/**
 * The audit logs of all tenants: entries are accepted, made durable, and chained.
 *
 * https://hl7.org/fhir/R4/auditevent.html
 *
 * What is appended is durable once it is in a file of its own, written and synced off the event loop. Every group of
 * commits chains what was accepted until then, in the order in which it came, together with the entries of its own
 * commits and in its own transaction; where nobody commits, that is done soon (docs/decisions/0014-sqlite-audit.md).
 */
import { genesis, readEntry, written } from '../audit-chain.js'
import { type AuditEntry, StoreUnavailable } from '../store.js'
import type { Appended, AuditFile } from './audit-file.js'
import { auditSpan, KeyList, keysOf, packRecords, portionOf, rowed, unpackRecords } from './audit-rows.js'
import type { Connection } from './connection.js'
import type { Dictionary } from './dictionary.js'
import { sql } from './sql.js'

/** The last record of a chain. */
export type Tail = { sequence: number; hash: Buffer; at: number }

/**
 * `number` is 0 for an entry of a commit, which is in no file of appends; `keys` are what it is found by, as numbers.
 * The entry itself is let go: hundreds wait to be chained, and what outlives a request is dear to collect.
 */
type Accepted = Appended & { at: number; keys: readonly number[] }

type Waiting = { from: number; to: number; resolve: () => void; reject: (error: unknown) => void }

/** So many are chained at once, some 3 ms of work; */
const chainedAt = 512
/** fewer when the first has waited so long. */
const chainedAfterMs = 500
/** The file of appends is begun anew, after what it holds was synced elsewhere, when it is about so long. */
const fileMax = 4 * 1024 * 1024
/** When so many wait because nothing can be committed, no more are taken. */
const acceptedMax = 20_000

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

export class Audit {
  private accepted: Accepted[] = []
  private unwritten: Accepted[] = []
  private waiting: Waiting[] = []
  /** Entries of the commit at hand, the last of those accepted. */
  private own = 0
  /** The last number given, written to the file, and taken over into the store for good. */
  private given = 0
  private written = 0
  private taken: number
  /** The same as `taken`, with what is on disk only when the next commit is. */
  private chainedTo: number
  private sealed: { count: number; taken: number; tails: Map<string, Tail> } | undefined
  private readonly tails = new Map<string, Tail>()
  /** The time of the last entry accepted. */
  private readonly times = new Map<string, number>()
  private writing: Promise<void> | undefined
  private chaining: Promise<void> | undefined
  private timer: NodeJS.Timeout | undefined
  private closed = false

  constructor(
    private readonly db: Connection,
    private readonly dictionary: Dictionary,
    private readonly file: AuditFile,
    /** Makes a group of commits with nothing of its own; `soon`: it need not be on disk yet. */
    private readonly group: (soon: boolean) => Promise<void>,
  ) {
    this.taken = db.value<number>(sql`SELECT number FROM audit_appended`)!
    this.given = this.taken
    this.chainedTo = this.taken
    for (const appended of file.read()) {
      const entry = readEntry(appended.bytes.toString())
      if (appended.number <= this.taken || !entry) continue
      this.accepted.push({ ...appended, at: entry.at, keys: keysOf(entry) })
      this.given = appended.number
      this.times.set(appended.tenant, entry.at)
    }
    this.written = this.given
  }

  /** Entries of a commit, inside its transaction. */
  commit(tenant: string, entries: readonly AuditEntry[]): void {
    for (const entry of entries) this.accepted.push(this.accept(tenant, entry, 0))
    this.own += entries.length
  }

  append(tenant: string, entries: readonly AuditEntry[]): Promise<void> {
    if (!entries.length) return Promise.resolve()
    if (this.closed) return Promise.reject(new Error('the store is closed'))
    if (this.accepted.length >= acceptedMax)
      return Promise.reject(new StoreUnavailable('the audit log cannot be written'))
    return new Promise((resolve, reject) => {
      const from = this.given + 1
      for (const entry of entries) {
        const accepted = this.accept(tenant, entry, this.given + 1)
        this.given++
        this.accepted.push(accepted)
        this.unwritten.push(accepted)
      }
      this.chainSoon()
      this.waiting.push({ from, to: this.given, resolve, reject })
      this.writing ??= this.write()
    })
  }

  private accept(tenant: string, { id, at, keys, text }: AuditEntry, number: number): Accepted {
    const last = this.times.get(tenant) ?? this.tail(tenant).at
    const entry = { id, at: Math.max(at, last), keys, text }
    this.times.set(tenant, entry.at)
    return { tenant, number, bytes: Buffer.from(written(entry)), at: entry.at, keys: keysOf(entry) }
  }

  /** All that was accepted so far is chained and durable when resolved. */
  async chained(): Promise<void> {
    if (this.accepted.length) await this.group(false)
  }

  async close(): Promise<void> {
    this.closed = true
    await this.writing
    // What cannot be chained now is in the file, and is when the store is opened again.
    await this.chained().catch(() => undefined)
    clearTimeout(this.timer)
    this.file.close()
  }

  /** The last record of a chain, as of the last group that is durable. */
  tail(tenant: string): Tail {
    let tail = this.tails.get(tenant)
    if (!tail) {
      tail = this.readTail(this.dictionary.tenantOf(tenant))
      this.tails.set(tenant, tail)
    }
    return tail
  }

  private readTail(number: number | undefined): Tail {
    const none = { sequence: 0, hash: genesis, at: Number.NEGATIVE_INFINITY }
    if (number === undefined) return none
    const row = this.db.row<[place: number, data: Buffer]>(
      sql`SELECT place, data FROM audit WHERE place > ${number * auditSpan} AND place < ${(number + 1) * auditSpan} ORDER BY place DESC LIMIT 1`,
    )
    if (!row) return none
    const { sequence, hash, at } = unpackRecords(row[0] - number * auditSpan, row[1]).at(-1)!
    return { sequence, hash: Buffer.from(hash), at }
  }

  /** The commit at hand stays. */
  mark(): void {
    this.own = 0
  }

  /** The commit at hand was rolled back. */
  rollback(): void {
    this.accepted.length -= this.own
    this.own = 0
  }

  /** A group was lost, and with it the entries of its commits; what was appended is still to be chained. */
  reload(): void {
    this.accepted = this.accepted.filter(({ number }) => number > 0)
    this.own = 0
    this.tails.clear()
  }

  /** The last of a group's work, inside its transaction. */
  seal(): void {
    this.sealed = undefined
    if (!this.accepted.length) return
    const tails = new Map<string, Tail>()
    for (const [tenant, entries] of byTenant(this.accepted)) tails.set(tenant, this.chain(tenant, entries))
    const taken = this.accepted.reduce((last, { number }) => Math.max(last, number), this.chainedTo)
    if (taken > this.chainedTo) this.db.run(sql`UPDATE audit_appended SET number = ${taken}`)
    this.sealed = { count: this.accepted.length, taken, tails }
  }

  private chain(tenant: string, entries: readonly Accepted[]): Tail {
    const start = this.dictionary.tenant(tenant) * auditSpan
    let { sequence, hash } = this.tail(tenant)
    let list: KeyList | undefined
    for (const row of rowed(entries)) {
      const place = start + sequence + 1
      if (!list || portionOf(list.place) !== portionOf(place)) {
        if (list) this.index(list)
        list = new KeyList(place)
      }
      const packed = packRecords(hash, row)
      this.db.run(sql`INSERT INTO audit (place, lo, data) VALUES (${place}, ${row[0]!.at}, ${packed.data})`)
      for (const { keys } of row) list.add(place, keys)
      sequence += row.length
      hash = packed.hash
    }
    if (list) this.index(list)
    return { sequence, hash, at: entries.at(-1)!.at }
  }

  private index(list: KeyList): void {
    const portion = portionOf(list.place)
    for (const { bucket, keys } of list.packed())
      this.db.run(
        sql`INSERT INTO audit_key (portion, bucket, place, keys) VALUES (${portion}, ${bucket}, ${list.place}, ${keys})`,
      )
  }

  /** The group was committed, and with it what it chained; `soon`: it is on disk only when a later one is. */
  committed(soon: boolean): void {
    if (this.sealed) {
      const { count, taken, tails } = this.sealed
      this.sealed = undefined
      this.accepted.splice(0, count)
      this.chainedTo = taken
      for (const [tenant, tail] of tails) this.tails.set(tenant, tail)
      clearTimeout(this.timer)
      this.timer = undefined
      if (this.accepted.length) this.chainSoon()
    }
    if (soon) return
    this.taken = this.chainedTo
    this.settle(this.taken)
  }

  private settle(number: number): void {
    const durable = this.waiting.filter(({ to }) => to <= number)
    this.waiting = this.waiting.filter(({ to }) => to > number)
    for (const { resolve } of durable) resolve()
  }

  private chainSoon(): void {
    if (this.accepted.length >= chainedAt) this.chainNow()
    else this.timer ??= setTimeout(() => this.chainNow(), chainedAfterMs).unref()
  }

  private chainNow(): void {
    // What is in the file of appends need not be synced again, until the file is long.
    this.chaining ??= this.group(this.file.position < fileMax)
      .catch(() => {
        // The disk is full, or the like: it is tried again, and the file of appends holds what waits.
        if (!this.closed) this.timer = setTimeout(() => this.chainNow(), chainedAfterMs).unref()
      })
      .then(() => {
        this.chaining = undefined
      })
  }

  /** What waits is written together; more comes while it is. */
  private async write(): Promise<void> {
    // One turn of the loop, so that requests that arrived together ride together.
    await turn()
    while (this.waiting.length) {
      const entries = this.unwritten.filter(({ number }) => number > this.taken)
      this.unwritten = []
      const last = this.given
      try {
        if (entries.length) await this.file.write(entries, this.written <= this.taken)
        this.written = last
        this.settle(last)
      } catch {
        await this.chainInstead(last)
      }
    }
    this.writing = undefined
  }

  /** The file cannot be written: what waits is durable when it is chained; else it was not accepted. */
  private async chainInstead(last: number): Promise<void> {
    try {
      await this.group(false)
    } catch (error) {
      const lost = this.waiting.filter(({ to }) => to <= last)
      this.waiting = this.waiting.filter(({ to }) => to > last)
      this.accepted = this.accepted.filter(({ number }) => !lost.some(({ from, to }) => number >= from && number <= to))
      for (const { reject } of lost) reject(error)
    }
  }
}

function byTenant(accepted: readonly Accepted[]): Map<string, Accepted[]> {
  const tenants = new Map<string, Accepted[]>()
  for (const each of accepted) {
    const of = tenants.get(each.tenant)
    if (of) of.push(each)
    else tenants.set(each.tenant, [each])
  }
  return tenants
}
