/**
 * The audit log of one tenant, as it is read: by key and time, or along its chain.
 *
 * https://hl7.org/fhir/R4/auditevent.html
 *
 * What was appended before is chained first, so that all of it is found in one place.
 */
import type { AuditLog, AuditQuery, AuditRecord } from '../store.js'
import type { Audit } from './audit.js'
import { auditSpan, bucketOf, idNumber, keyBytes, keyNumber, placesIn, portionOf, unpackRecords } from './audit-rows.js'
import type { Connection } from './connection.js'
import type { Names } from './names.js'
import { raw, type Sql, sql } from './sql.js'

/** At most so many portions of the index of keys are looked at before others have their turn. */
const portionsMax = 512

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Both ends are inclusive. */
type Range = { lo: number; hi: number }

export class AuditReader {
  constructor(
    private readonly db: Connection,
    private readonly names: Names,
  ) {}

  async read(id: string): Promise<AuditRecord | undefined> {
    for await (const place of this.placesOf(idNumber(id), this.whole(), false)) {
      const found = this.records(place).find((record) => record.id === id)
      if (found) return found
    }
    return undefined
  }

  async find({ key, lo, hi, ascending = false, after, count }: AuditQuery): Promise<AuditRecord[]> {
    const from = Math.max(
      lo ?? Number.NEGATIVE_INFINITY,
      (ascending ? after?.at : undefined) ?? Number.NEGATIVE_INFINITY,
    )
    const to = Math.min(hi ?? Number.POSITIVE_INFINITY, (ascending ? undefined : after?.at) ?? Number.POSITIVE_INFINITY)
    const range = this.within(from, to)
    const places = key === undefined ? this.places(range, ascending) : this.placesOf(keyNumber(key), range, ascending)
    const found: AuditRecord[] = []
    // Of the same time as the last one seen, those up to it were seen too.
    let seen = after === undefined
    for await (const place of places)
      for (const record of ascending ? this.records(place) : this.records(place).reverse()) {
        if (found.length >= count) return found
        if (ascending ? record.at > to : record.at < from) return found
        if (record.at < from || record.at > to || !(key === undefined || record.keys.includes(key))) continue
        if (!seen && record.at === after?.at) seen = record.id === after.id
        else found.push(record)
      }
    return found
  }

  chain(after: number, limit: number): AuditRecord[] {
    const { lo, hi } = this.whole()
    const found: AuditRecord[] = []
    let place = this.next(lo, Math.min(lo + after, hi), false) ?? this.next(lo, hi, true)
    while (place !== undefined && found.length < limit) {
      for (const record of this.records(place)) if (record.sequence! > after && found.length < limit) found.push(record)
      place = this.next(place + 1, hi, true)
    }
    return found
  }

  private records(place: number): AuditRecord[] {
    const { lo } = this.whole()
    const data = this.db.value<Buffer>(sql`SELECT data FROM audit WHERE place = ${place}`)
    // An index row may lead to a row that somebody took out.
    return data ? unpackRecords(place - lo + 1, data) : []
  }

  /** All places of the tenant; none while nobody has written to it. */
  private whole(): Range {
    const { known } = this.names
    return known === undefined ? { lo: 0, hi: -1 } : { lo: known * auditSpan + 1, hi: (known + 1) * auditSpan - 1 }
  }

  /** The rows that may have records of a time: it never decreases along the chain. */
  private within(from: number, to: number): Range {
    const { lo, hi } = this.whole()
    return {
      lo: from === Number.NEGATIVE_INFINITY ? lo : (this.last(sql`< ${from}`, { lo, hi }) ?? lo),
      hi: to === Number.POSITIVE_INFINITY ? hi : (this.last(sql`<= ${to}`, { lo, hi }) ?? lo - 1),
    }
  }

  /** The last row that begins before a time, by halves. */
  private last(before: Sql, range: Range): number | undefined {
    let found: number | undefined
    let { lo, hi } = range
    while (lo <= hi) {
      const middle = lo + Math.floor((hi - lo) / 2)
      const row = this.db.row<[place: number, is: number]>(
        sql`SELECT place, lo ${before} FROM audit WHERE place <= ${middle} AND place >= ${range.lo} ORDER BY place DESC LIMIT 1`,
      )
      if (row && !row[1]) hi = row[0] - 1
      else {
        if (row) found = row[0]
        const next = this.next(middle + 1, hi, true)
        if (next === undefined) break
        lo = next
      }
    }
    return found
  }

  private next(lo: number, hi: number, ascending: boolean): number | undefined {
    return this.db.value<number>(
      sql`SELECT place FROM audit WHERE place >= ${lo} AND place <= ${hi} ORDER BY place ${raw(ascending ? 'ASC' : 'DESC')} LIMIT 1`,
    )
  }

  private async *places({ lo, hi }: Range, ascending: boolean): AsyncGenerator<number> {
    for (let place = this.next(lo, hi, ascending); place !== undefined; ) {
      yield place
      place = ascending ? this.next(place + 1, hi, true) : this.next(lo, place - 1, false)
    }
  }

  private async *placesOf(key: number, range: Range, ascending: boolean): AsyncGenerator<number> {
    const first = this.next(range.lo, range.hi, true)
    const last = this.next(range.lo, range.hi, false)
    if (first === undefined || last === undefined) return
    const ends = [portionOf(first), portionOf(last)] as const
    const direction = raw(ascending ? 'ASC' : 'DESC')
    // What is asked for is mostly found soon; if it is not, more and more is looked at in one go.
    for (let done = 0, some = 8; done <= ends[1] - ends[0]; done += some, some = Math.min(4 * some, portionsMax)) {
      const from = ascending ? ends[0] + done : Math.max(ends[0], ends[1] - done - some + 1)
      const to = ascending ? Math.min(ends[1], from + some - 1) : ends[1] - done
      const portions = JSON.stringify(Array.from({ length: to - from + 1 }, (_, i) => from + i))
      const lists = this.db.rows<[place: number, keys: Buffer]>(
        sql`SELECT place, keys FROM audit_key WHERE portion IN (SELECT value FROM json_each(${portions}))
            AND bucket = ${bucketOf(key)} AND instr(keys, ${keyBytes(key)}) > 0 ORDER BY place ${direction}`,
      )
      for (const [start, keys] of lists) {
        const places = placesIn(start, keys, key).filter((place) => place >= first && place <= last)
        yield* ascending ? places : places.reverse()
      }
      if (some === portionsMax) await turn()
    }
  }
}

export function auditLog(audit: Audit, reader: AuditReader, tenant: string): AuditLog {
  return {
    append: (entries) => audit.append(tenant, entries),
    read: async (id) => {
      await audit.chained()
      return reader.read(id)
    },
    find: async (query) => {
      await audit.chained()
      return reader.find(query)
    },
    chain: async (after, limit) => {
      await audit.chained()
      return reader.chain(after, limit)
    },
    head: async () => {
      await audit.chained()
      const { sequence, hash } = audit.tail(tenant)
      return sequence ? { sequence, hash } : undefined
    },
  }
}
