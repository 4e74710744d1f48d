/**
 * A page of what a source finds, in the order a search asks for.
 *
 * https://hl7.org/fhir/R4/search.html#sort
 *
 * Few resources are sorted; many are read in the order of an index and tested until the page is full. A page begins
 * after the keys and the number of the last entry of the page before, so others may write meanwhile.
 */
import { compareKeys, type Expression, type Position, type Sort } from '../../search/index.js'
import { cut } from './cut.js'
import type { Param } from './dictionary.js'
import type { Questions } from './functions.js'
import type { Lookup } from './lookup.js'
import type { Plan } from './plan.js'
import { intervalKey, targetsOf, termsOf } from './posted.js'
import { widthOfSeries } from './series.js'
import { restricted, type Scope, type Source } from './source.js'
import { all, join, raw, type Sql, sql } from './sql.js'
import { byRid, type VersionRow } from './stored.js'
import { after } from './terms.js'
import type { Tuning } from './tuning.js'

export type Key = string | number | null
/** A resource in its place; `row` where it was read along. */
export type Place = { rid: number; keys: Key[]; row?: VersionRow }

type Asked = {
  scope: Scope
  where: Expression
  sort: readonly Sort[]
  after: Position | undefined
  count: number
  bodies: boolean
}

export class Order {
  constructor(
    private readonly lookup: Lookup,
    private readonly questions: Questions,
    private readonly plan: Plan,
    private readonly tuning: Tuning,
  ) {}

  page(asked: Asked): Place[] {
    const source = this.plan.find(asked.scope, asked.where)
    if (!source) return []
    return asked.sort.length ? this.sorted(asked, source) : this.created(asked, this.collected(asked, source))
  }

  count(scope: Scope, where: Expression): number {
    const source = this.plan.find(scope, where)
    if (!source) return 0
    return this.lookup.db.value<number>(
      source.ordered
        ? sql`SELECT count(*) ${source.from}`
        : sql`SELECT count(*) FROM (SELECT DISTINCT ${source.rid} ${source.from})`,
    )!
  }

  /** In the order of creation. */
  private created({ after, count, bodies }: Asked, source: Source): Place[] {
    const last = Number(after?.at(-1) ?? 0)
    const parts = source.ordered ? [source] : (source.parts ?? [source])
    const select = (part: Source) =>
      sql`SELECT ${raw(part.ordered ? '' : 'DISTINCT ')}${part.rid} AS rid ${part.from} AND ${part.rid} > ${last} ORDER BY 1 LIMIT ${count} + 0`
    const only = parts.length === 1 ? parts[0] : undefined
    if (only && bodies) return this.read(select(only), false)
    const found = parts.map((part) =>
      this.lookup.db.column<number>(select(part)).map((rid): Place => ({ rid, keys: [] })),
    )
    return only ? found[0]! : merge(found, [], count)
  }

  /**
   * Of very many in no order, only the first are wanted: going through the type in order finds them soon. So it does
   * when an index meets each resource of a small type again and again, as `_has` meets few patients by many observations.
   */
  private collected({ scope, where }: Asked, source: Source): Source {
    const { scannedMin, repeatedMin } = this.tuning
    if (source.ordered || source.parts) return source
    const size = source.size(scannedMin)
    if (size >= scannedMin) return this.plan.scan(scope, where)
    const few = Math.floor(size / repeatedMin)
    return few > 0 && this.plan.everything(scope.tid).size(few) < few ? this.plan.scan(scope, where) : source
  }

  private sorted(asked: Asked, source: Source): Place[] {
    const stream = this.stream(asked, source)
    return stream ? this.streamed(asked, stream) : this.ranked(asked, source)
  }

  /** All candidates with their keys, the first of which are taken. */
  private ranked({ scope, sort, after, count }: Asked, source: Source): Place[] {
    const m = raw('m')
    const keys = sort.map((each) => this.key(scope, each, sql`${m}.rid`))
    const columns = keys.map((_, i) => raw(`k${i}`))
    const rows = this.lookup.db.rows<[rid: number, ...keys: Key[]]>(
      sql`WITH m AS MATERIALIZED (SELECT ${raw(source.ordered ? '' : 'DISTINCT')} ${source.rid} AS rid ${source.from}),
          k AS MATERIALIZED (SELECT rid, ${join(
            keys.map((key, i) => sql`${key} AS ${columns[i]!}`),
            ', ',
          )} FROM m)
          SELECT * FROM k WHERE ${this.beyond(columns, sort, after)}
          ORDER BY ${join(
            columns.map((column, i) => sql`${column} IS NULL, ${column} ${raw(sort[i]!.descending ? 'DESC' : 'ASC')}`),
            ', ',
          )}, rid LIMIT ${count} + 0`,
    )
    return rows.map(([rid, ...keys]) => ({ rid, keys }))
  }

  /** Whether a row comes after the position, in the order of the keys. */
  private beyond(columns: readonly Sql[], sort: readonly Sort[], after: Position | undefined): Sql {
    if (!after) return raw('1')
    const cases = columns.map((column, i) => {
      const key = after[i]!
      const equal = columns.slice(0, i).map((before, j) => sql`${before} IS ${after[j]!}`)
      if (key === null) return raw('(1 = 0)')
      const further = sort[i]!.descending
        ? sql`(${column} < ${key} OR ${column} IS NULL)`
        : sql`(${column} > ${key} OR ${column} IS NULL)`
      return sql`(${all([...equal, further])})`
    })
    const same = columns.map((column, i) => sql`${column} IS ${after[i]!}`)
    cases.push(sql`(${all([...same, sql`rid > ${after.at(-1)!}`])})`)
    return sql`(${join(cases, ' OR ')})`
  }

  /** The value a resource is sorted by, as `sortKeys` computes it. */
  private key(scope: Scope, { param, descending }: Sort, rid: Sql): Sql {
    if (param === '_id') return sql`(SELECT id FROM resource WHERE rid = ${rid})`
    if (param === '_lastUpdated')
      return sql`(SELECT v.updated FROM resource r CROSS JOIN version v ON v.seq = r.seq WHERE r.rid = ${rid})`
    const params = this.lookup.names.paramsOf(scope.tid, param)
    const data = sql`(SELECT data FROM entry WHERE rid = ${rid})`
    const best = raw(descending ? 'max' : 'min')
    const keys: Sql[] = []
    const numbers = params.filter(({ kind }) => kind === 'interval' || kind === 'quantity').map(({ pid }) => pid)
    const canonical = params.find(({ kind }) => kind === 'canonical')?.pid
    if (numbers.length)
      keys.push(sql`ask(${data}, ${this.questions.add((data) => intervalKey(data, numbers, canonical, descending))})`)
    for (const { pid } of params.filter(isText))
      keys.push(sql`cut((SELECT ${best}(t.value)
        FROM json_each(ask(${data}, ${this.questions.add((data) => `[${termsOf(data, pid)}]`)})) j CROSS JOIN term t ON t.term = j.value))`)
    const targets = params.filter(({ kind }) => kind === 'reference').map(({ pid }) => pid)
    if (targets.length)
      keys.push(sql`(SELECT ${best}(y.name || '/' || r.id)
        FROM json_each(ask(${data}, ${this.questions.add((data) => `[${targetsOf(data, targets)}]`)})) j
        CROSS JOIN resource r ON r.rid = j.value CROSS JOIN type y ON y.tid = r.tid)`)
    if (keys.length <= 1) return keys[0] ?? raw('NULL')
    return sql`(SELECT ${best}(k) FROM (${join(
      keys.map((key) => sql`SELECT ${key} AS k`),
      ' UNION ALL ',
    )}))`
  }

  /** An index that has the order asked for, if reading it is better than sorting what the source finds. */
  private stream(asked: Asked, source: Source): Stream | undefined {
    const { scope, sort } = asked
    const { sortedMin, timelineMin } = this.tuning
    const [first] = sort
    if (!first) return undefined
    const params = this.lookup.names.paramsOf(scope.tid, first.param)
    const only = params.length === 1 ? params[0]! : undefined
    if (sort.length === 1 && only?.kind === 'interval' && first.descending) {
      const target = this.plan.timelineTarget(scope, asked.where, only)
      if (target !== undefined && source.size(timelineMin) >= timelineMin) return this.timeline(asked, only, target)
    }
    if (source.size(sortedMin) < sortedMin) return undefined
    if (only && isText(only)) return { next: (after, count) => this.groups(asked, only, after, count), param: only }
    if (sort.length > 1) return undefined
    if (first.param === '_id' || first.param === '_lastUpdated') return this.ofColumn(asked, first)
    return only?.kind === 'interval' ? this.intervals(asked, only, first) : undefined
  }

  /** What has a key, in its order, then what has none. */
  private streamed(asked: Asked, { next, param }: Stream): Place[] {
    const { after, count, sort, scope, where } = asked
    const found = after && after[0] === null ? [] : next(after, count)
    if (found.length >= count || !param) return found
    const rest: Asked = {
      ...asked,
      sort: sort.slice(1),
      after: after && after[0] === null ? after.slice(1) : undefined,
      count: count - found.length,
    }
    const codeless = this.lookup.terms(sql`pid = ${param.pid} AND value IS NULL LIMIT 1`).length > 0
    const none = restricted(this.collected(asked, this.plan.find(scope, where)!), (rid) =>
      codeless ? sql`${this.key(scope, sort[0]!, rid)} IS NULL` : this.plan.missing(scope, sort[0]!.param, rid),
    )
    const last = rest.sort.length ? this.ranked(rest, none) : this.created(rest, none)
    return [...found, ...last.map((place) => ({ ...place, keys: [null, ...place.keys] }))]
  }

  private tests({ scope, where }: Asked, rid: Sql): Sql {
    return this.plan.holds(scope, where, rid)
  }

  /** What refers to a patient, the newest first. */
  private timeline(asked: Asked, param: Param, target: number): Stream {
    return {
      param,
      next: (after, count) =>
        this.placed(
          asked,
          sql`SELECT a.rid AS rid, a.at AS k FROM timeline a
          WHERE a.target = ${target} AND a.pid = ${param.pid} AND ${below(sql`a.at`, sql`a.rid`, after)}
            AND ${this.tests(asked, sql`a.rid`)} ORDER BY a.at DESC, a.rid LIMIT ${count} + 0`,
        ),
    }
  }

  private ofColumn(asked: Asked, { param, descending }: Sort): Stream {
    const direction = raw(descending ? 'DESC' : 'ASC')
    const { tid } = asked.scope
    const bound = descending ? below : above
    return {
      next: (after, count) =>
        this.placed(
          asked,
          param === '_id'
            ? sql`SELECT a.rid AS rid, a.id AS k FROM resource a INDEXED BY resource_id
                WHERE a.tid = ${tid} AND a.live = 1 AND ${bound(sql`a.id`, sql`a.rid`, after)}
                  AND ${this.tests(asked, sql`a.rid`)} ORDER BY a.id ${direction}, a.rid LIMIT ${count} + 0`
            : sql`SELECT a.rid AS rid, v.updated AS k FROM version v INDEXED BY version_type
                CROSS JOIN resource a ON a.rid = v.rid AND a.seq = v.seq
                WHERE v.tid = ${tid} AND ${bound(sql`v.updated`, sql`a.rid`, after)} AND a.live = 1
                  AND ${this.tests(asked, sql`a.rid`)} ORDER BY v.updated ${direction}, a.rid LIMIT ${count} + 0`,
        ),
    }
  }

  /** The dates of a whole type: each series has its order, and is read as far as the page needs. */
  private intervals(asked: Asked, param: Param, sort: Sort): Stream | undefined {
    const series = this.lookup.db.all<{ term: number; value: string }>(
      sql`SELECT term, value FROM term WHERE pid = ${param.pid}`,
    )
    return {
      param,
      next: (after, count) =>
        merge(
          series.map(({ term, value }) =>
            sort.descending
              ? this.newest(asked, term, sort, after, count)
              : this.oldest(asked, term, widthOfSeries(value), sort, after, count),
          ),
          [sort],
          count,
        ),
    }
  }

  private newest(asked: Asked, series: number, sort: Sort, after: Position | undefined, count: number): Place[] {
    const rid = sql`a.rid`
    return this.rows(sql`SELECT DISTINCT a.rid AS rid, a.hi AS k FROM interval a
      WHERE a.series = ${series} AND ${below(sql`a.hi`, rid, after)} AND ${this.tests(asked, rid)}
        AND a.hi = ${this.key(asked.scope, sort, rid)} ORDER BY a.hi DESC, a.rid LIMIT ${count} + 0`)
  }

  /**
   * The index is in the order of upper ends. With the count-th smallest upper end known, nothing that ends more than a
   * width after it can be among the first by its lower end.
   */
  private oldest(
    asked: Asked,
    series: number,
    widthMax: number,
    sort: Sort,
    after: Position | undefined,
    count: number,
  ): Place[] {
    const rid = sql`a.rid`
    const from = sql`FROM interval a WHERE a.series = ${series}
      ${after ? sql`AND a.hi >= ${after[0]!}` : raw('')} AND ${above(sql`a.lo`, rid, after)}
      AND ${this.tests(asked, rid)} AND a.lo = ${this.key(asked.scope, sort, rid)}`
    const first = (end: Sql) =>
      this.rows(sql`SELECT DISTINCT a.rid AS rid, a.lo AS k ${from} ${end} ORDER BY a.lo, a.rid LIMIT ${count} + 0`)
    const end = Number.isFinite(widthMax)
      ? this.lookup.db.value<number>(sql`SELECT a.hi ${from} ORDER BY a.hi LIMIT 1 OFFSET ${count - 1} + 0`)
      : undefined
    if (end === undefined) return first(raw(''))
    const found = first(sql`AND a.hi <= ${end + widthMax}`)
    // A resource with several dates may have been counted more than once.
    return found.length === count && Number(found.at(-1)!.keys[0]) <= end ? found : first(raw(''))
  }

  /** By a text: the values of the parameter in their order, and for each the resources that have it as their key. */
  private groups({ scope, where, sort }: Asked, { pid }: Param, from: Position | undefined, count: number): Place[] {
    const first = sort[0]!
    const found: Place[] = []
    let start = from ? String(from[0]) : undefined
    let position = from
    for (const group of this.values(pid, first.descending, start)) {
      const a = raw('a')
      const source: Source = {
        from: sql`FROM posting a WHERE a.term IN (SELECT value FROM json_each(${group.terms}))
          AND ${this.plan.holds(scope, where, sql`a.rid`)} AND ${this.key(scope, first, sql`a.rid`)} = ${group.key}`,
        rid: sql`${a}.rid`,
        ordered: false,
        size: () => count,
      }
      const rest: Asked = {
        scope,
        where,
        sort: sort.slice(1),
        after: start === group.key ? position?.slice(1) : undefined,
        count: count - found.length,
        bodies: false,
      }
      const places = rest.sort.length ? this.ranked(rest, source) : this.created(rest, source)
      for (const { rid, keys } of places) found.push({ rid, keys: [group.key, ...keys] })
      if (found.length >= count) break
      start = undefined
      position = undefined
    }
    return found
  }

  /** The keys of a parameter with the terms that have them; texts that are equal in what is sorted by are one. */
  private *values(
    pid: number,
    descending: boolean,
    start: string | undefined,
  ): Generator<{ key: string; terms: string }> {
    const chunk = 64
    let bound = start === undefined ? raw('1') : startingAt(start, descending)
    const direction = raw(descending ? 'DESC' : 'ASC')
    for (;;) {
      const rows = this.lookup.db.all<{ value: string; terms: string }>(
        sql`SELECT value, json_group_array(term) AS terms FROM term INDEXED BY term_value
            WHERE pid = ${pid} AND value IS NOT NULL AND ${bound} GROUP BY value ORDER BY value ${direction} LIMIT ${chunk} + 0`,
      )
      for (const { value, terms } of rows) {
        const key = cut(value)
        bound = descending ? sql`value < ${key}` : sql`value > ${value}`
        if (isWhole(key)) {
          yield { key, terms }
          continue
        }
        const end = after(key)
        const same = sql`value >= ${key} AND ${end === undefined ? raw('1') : sql`value < ${end}`}`
        yield { key, terms: JSON.stringify(this.lookup.terms(sql`pid = ${pid} AND ${same}`)) }
        if (!descending) bound = end === undefined ? raw('(1 = 0)') : sql`value >= ${end}`
        break
      }
      if (!rows.length) return
    }
  }

  /** The places a statement finds with their one key, and what is there if it is wanted. */
  private placed({ bodies }: Asked, query: Sql): Place[] {
    return bodies ? this.read(query, true) : this.rows(query)
  }

  /** SQLite reads what is inside the parentheses in its order, one by one, and each with what belongs to it. */
  private read(places: Sql, keyed: boolean): Place[] {
    const joined = sql`(${places}) d CROSS JOIN resource r ON r.rid = d.rid CROSS JOIN version v ON v.seq = r.seq`
    if (!keyed)
      return this.lookup.db
        .rows<VersionRow>(sql`SELECT ${byRid} FROM ${joined}`)
        .map((row) => ({ rid: row[0], keys: [], row }))
    return this.lookup.db
      .rows<[...VersionRow, key: Key]>(sql`SELECT ${byRid}, d.k FROM ${joined}`)
      .map(([rid, tid, id, version, updated, method, body, key]) => ({
        rid,
        keys: [key],
        row: [rid, tid, id, version, updated, method, body],
      }))
  }

  private rows(query: Sql): Place[] {
    return this.lookup.db.rows<[rid: number, key: Key]>(query).map(([rid, key]) => ({ rid, keys: [key] }))
  }
}

/** `param`: what those that come last have no value for; absent when all have one. */
type Stream = { next: (after: Position | undefined, count: number) => Place[]; param?: Param }

const isText = ({ kind }: Param): boolean => kind === 'token' || kind === 'string' || kind === 'uri' || kind === 'url'

/** Shorter than what keys are cut to: no other text has the same key. */
const isWhole = (key: string): boolean => [...key].length < 64

const startingAt = (key: string, descending: boolean): Sql => {
  if (!descending) return sql`value >= ${key}`
  const end = isWhole(key) ? undefined : after(key)
  return isWhole(key) ? sql`value <= ${key}` : end === undefined ? raw('1') : sql`value < ${end}`
}

const below = (key: Sql, rid: Sql, after: Position | undefined): Sql =>
  after ? sql`${key} <= ${after[0]!} AND (${key} < ${after[0]!} OR ${rid} > ${after.at(-1)!})` : raw('1')

const above = (key: Sql, rid: Sql, after: Position | undefined): Sql =>
  after ? sql`${key} >= ${after[0]!} AND (${key} > ${after[0]!} OR ${rid} > ${after.at(-1)!})` : raw('1')

/** The first of several lists that are in order, each resource once. */
export function merge(lists: readonly Place[][], sort: readonly Sort[], count: number): Place[] {
  const order = (a: Place, b: Place): number => {
    for (let i = 0; i < sort.length; i++) {
      const x = a.keys[i]!
      const y = b.keys[i]!
      const difference = sort[i]!.descending && x !== null && y !== null ? compareKeys(y, x) : compareKeys(x, y)
      if (difference) return difference
    }
    return a.rid - b.rid
  }
  const sorted = lists.flat().sort(order)
  return sorted.filter(({ rid }, i) => rid !== sorted[i - 1]?.rid).slice(0, count)
}
