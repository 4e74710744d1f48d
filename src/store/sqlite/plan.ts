/**
 * From an Expression to SQL: what an index finds (a source) and what is then asked of each resource (a test).
 *
 * https://hl7.org/fhir/R4/search.html
 *
 * The smallest source drives, everything else is tested by the primary keys of the other indexes, so that no statement
 * reads a whole table. What the caller may see is and-ed at every node that touches a type; the expressions of the
 * reach itself are taken as they stand.
 */
import {
  and,
  type CompositeTest,
  type Expression,
  fold,
  type IntervalTest,
  type NearTest,
  nothing,
  type QuantityTest,
  type Reach,
  type ReferenceTest,
  type StringTest,
  type TextTest,
  type TokenTest,
  type UriTest,
} from '../../search/index.js'
import type { Param } from './dictionary.js'
import type { Questions } from './functions.js'
import { condition, passes } from './intervals.js'
import type { Lookup } from './lookup.js'
import { componentCode, versioned } from './post.js'
import { anyComposite, anyInterval, type ComponentValue, targetsOf } from './posted.js'
import { widthOfSeries } from './series.js'
import { all, join, raw, type Sql, sql } from './sql.js'
import { dateParam } from './timeline.js'
import type { Tuning } from './tuning.js'
import { wordsQuery } from './words.js'

/** Resources found by an index: `FROM … WHERE …` and the expression that is their number. */
export type Source = {
  from: Sql
  rid: Sql
  /** In order of rid, each once, without sorting. */
  ordered: boolean
  /** Parts that together are the same, each ordered: a page is merged from the beginnings of all. */
  parts?: Source[]
  /** How many rows, counted up to a limit. */
  size: (cap: number) => number
}

/** The type at hand. Inside a reach (`trusted`) nothing is added: it says itself what may be seen. */
export type Scope = { tid: number; type: string; trusted: boolean }

type Targets = { pid: number; targets: number[] }

type Term = { scope: Scope; where: Expression }
type ChainTest = Extract<Expression, { op: 'chain' }>
type HasTest = Extract<Expression, { op: 'has' }>

/** The values of a parameter that a test accepts: a list, or a condition where there are too many. */
type TermSet = { terms: number[] } | { where: Sql }

const yes = raw('1')
// Not a bare 0: SQLite would simplify the whole condition, and with it what an index named in the statement is needed for.
const no = raw('(1 = 0)')

export class Plan {
  private aliases = 0

  constructor(
    private readonly lookup: Lookup,
    private readonly reach: Reach,
    private readonly questions: Questions,
    private readonly tuning: Tuning,
  ) {}

  alias(): Sql {
    return raw(`a${this.aliases++}`)
  }

  scope(type: string): Scope | undefined {
    const tid = this.lookup.dictionary.tidOf(type)
    return tid === undefined ? undefined : { tid, type, trusted: false }
  }

  /** All that satisfy the expression, driven by the best index; undefined when nothing can. */
  find(scope: Scope, where: Expression): Source | undefined {
    const terms = this.visible(scope, where)
    const candidates: { term: Term; source: Source }[] = []
    for (const term of terms) {
      const source = this.source(term.scope, term.where)
      if (source === undefined) return undefined
      if (source !== 'none') candidates.push({ term, source })
    }
    const best = smallest(candidates)
    return this.restrict(
      best?.source ?? this.everything(scope.tid),
      terms.filter((term) => term !== best?.term),
    )
  }

  /** Every resource of the type in order, each tested: for what would find a large part of them anyway. */
  scan(scope: Scope, where: Expression): Source {
    return this.restrict(this.everything(scope.tid), this.visible(scope, where))
  }

  /** The terms of a conjunction, and of what the caller may see of the type. */
  visible(scope: Scope, where: Expression): Term[] {
    const terms = termsOf(scope, where)
    return scope.trusted ? terms : [...terms, ...termsOf({ ...scope, trusted: true }, this.reach.of(scope.type))]
  }

  /** A condition that says that a resource satisfies the expression and is within reach. */
  holds(scope: Scope, where: Expression, rid: Sql): Sql {
    return all(this.visible(scope, where).map((term) => this.test(term.scope, term.where, rid)))
  }

  /** The source with further tests on each of its resources. */
  restrict(source: Source, terms: readonly Term[]): Source {
    if (!terms.length) return source
    return restricted(source, (rid) => all(terms.map((term) => this.test(term.scope, term.where, rid))))
  }

  /** The patient whose resources are asked for, where they are kept in the order of that date. */
  timelineTarget(scope: Scope, where: Expression, { code }: Param): number | undefined {
    if (dateParam(scope.type) !== code) return undefined
    for (const { where: term } of this.visible(scope, where))
      if (term.op === 'reference' && 'type' in term.target && term.target.type === 'Patient')
        return this.lookup.row('Patient', term.target.id)?.rid
    return undefined
  }

  everything(tid: number): Source {
    const a = this.alias()
    return this.made({
      from: sql`FROM resource ${a} INDEXED BY resource_live WHERE ${a}.tid = ${tid} AND ${a}.live = 1`,
      rid: sql`${a}.rid`,
      ordered: true,
    })
  }

  private made(source: Omit<Source, 'size'>): Source {
    return { ...source, size: (cap) => this.lookup.count(source.from, cap) }
  }

  /** What an index finds for the expression: undefined if nothing, 'none' if no index helps. */
  private source(scope: Scope, where: Expression): Source | undefined | 'none' {
    switch (where.op) {
      case 'everything':
      case 'not':
      case 'missing':
        return 'none'
      case 'nothing':
        return undefined
      case 'and': {
        const terms = termsOf(scope, where)
        const candidates: { term: Term; source: Source }[] = []
        for (const term of terms) {
          const source = this.source(scope, term.where)
          if (source === undefined) return undefined
          if (source !== 'none') candidates.push({ term, source })
        }
        const best = smallest(candidates)
        if (!best) return 'none'
        return this.restrict(
          best.source,
          terms.filter((term) => term !== best.term),
        )
      }
      case 'or':
        return this.either(scope, where.of)
      case 'typed':
        return this.source(scope, narrow(where, scope.type))
      case 'ids':
        return this.ids(where.ids.flatMap((id) => this.living(scope.type, id) ?? []))
      case 'token':
      case 'string':
      case 'uri':
        return this.fromTerms(this.termsOf(scope, where))
      case 'reference':
        return this.fromReference(scope, where)
      case 'interval':
        return where.param === '_lastUpdated' ? this.updated(scope, where) : this.fromIntervals(scope, where)
      case 'quantity':
        return this.fromIntervals(scope, where)
      case 'composite':
        return this.fromComposite(scope, where)
      case 'near':
        return this.near(scope, where)
      case 'text':
        return this.text(scope, where)
      case 'chain':
        return this.chain(scope, where)
      case 'has':
        return this.has(scope, where)
    }
  }

  /** A condition on the resource whose number is `rid`. */
  test(scope: Scope, where: Expression, rid: Sql): Sql {
    switch (where.op) {
      case 'everything':
        return yes
      case 'nothing':
        return no
      case 'and':
        return sql`(${all(where.of.map((each) => this.test(scope, each, rid)))})`
      case 'or':
        return this.testEither(scope, where.of, rid)
      case 'not':
        return sql`NOT ${this.test(scope, where.of, rid)}`
      case 'typed':
        return this.test(scope, narrow(where, scope.type), rid)
      case 'ids': {
        const rids = where.ids.flatMap((id) => this.living(scope.type, id) ?? [])
        return this.testIds(rids, rid)
      }
      case 'missing':
        return this.missing(scope, where.param, rid)
      case 'token':
      case 'string':
      case 'uri':
        return this.testTerms(this.termsOf(scope, where), rid)
      case 'reference':
        return this.testReference(scope, where, rid)
      case 'interval':
        return where.param === '_lastUpdated' ? this.testUpdated(where, rid) : this.testIntervals(scope, where, rid)
      case 'quantity':
        return this.testIntervals(scope, where, rid)
      case 'composite': {
        const lead = this.lead(scope, where)
        return lead ? sql`(${this.test(scope, lead, rid)} AND ${this.testComposite(scope, where, rid)})` : no
      }
      case 'near':
      case 'text': {
        const source = where.op === 'near' ? this.near(scope, where) : this.text(scope, where)
        return source ? sql`(${rid} IN (SELECT ${source.rid} ${source.from}))` : no
      }
      case 'chain':
        return this.testChain(scope, where, rid)
      case 'has':
        return this.testHas(scope, where, rid)
    }
  }

  // Terms: tokens, strings, URIs

  private termsOf(scope: Scope, test: TokenTest | StringTest | UriTest): TermSet | undefined {
    const where = this.termsWhere(scope, test)
    if (!where) return undefined
    const terms = this.lookup.terms(sql`${where} LIMIT ${this.tuning.termsMax + 1} + 0`)
    if (!terms.length) return undefined
    return terms.length <= this.tuning.termsMax ? { terms } : { where }
  }

  private termsWhere(scope: Scope, test: TokenTest | StringTest | UriTest): Sql | undefined {
    const pid = this.lookup.pid(scope.tid, test.param, test.op)
    if (pid === undefined) return undefined
    switch (test.op) {
      case 'token': {
        const sys =
          test.system === undefined ? undefined : test.system === '' ? 0 : (this.lookup.system(test.system) ?? -1)
        if (sys === -1) return undefined
        if (test.code === undefined)
          return sys ? sql`pid = ${pid} AND sys = ${sys} AND sys > 0` : sql`pid = ${pid} AND sys = 0`
        return sys === undefined
          ? sql`pid = ${pid} AND value = ${test.code}`
          : sql`pid = ${pid} AND value = ${test.code} AND sys = ${sys}`
      }
      case 'string':
        switch (test.how) {
          case 'exact':
            return sql`pid = ${pid} AND value = ${fold(test.value)} AND ifnull(raw, value) = ${test.value}`
          case 'starts':
            return sql`pid = ${pid} AND ${startsWith(raw('value'), test.value)}`
          case 'contains':
            return sql`pid = ${pid} AND instr(value, ${test.value}) > 0`
          case 'equals':
            return sql`pid = ${pid} AND value = ${test.value}`
          case 'ends':
            if (test.value === '') return sql`pid = ${pid}`
            return sql`pid = ${pid} AND octet_length(value) >= octet_length(${test.value})
              AND substr(CAST(value AS BLOB), octet_length(value) - octet_length(${test.value}) + 1) = CAST(${test.value} AS BLOB)`
        }
        break
      case 'uri':
        switch (test.how) {
          case 'exact':
            return sql`pid = ${pid} AND value = ${test.value}`
          case 'below':
            return sql`pid = ${pid} AND (value = ${test.value} OR ${startsWith(raw('value'), `${test.value}/`)})`
          case 'above':
            return sql`pid = ${pid} AND value IN (SELECT value FROM json_each(${JSON.stringify(pathPrefixes(test.value))}))`
        }
    }
    return undefined
  }

  private fromTerms(set: TermSet | undefined): Source | undefined {
    if (!set) return undefined
    const a = this.alias()
    const rid = sql`${a}.rid`
    if ('where' in set)
      return this.made({
        from: sql`FROM posting ${a} WHERE ${a}.term IN (SELECT term FROM term WHERE ${set.where})`,
        rid,
        ordered: false,
      })
    const { terms } = set
    const one = (term: number) =>
      this.made({ from: sql`FROM posting ${a} WHERE ${a}.term = ${term}`, rid, ordered: true })
    if (terms.length === 1) return one(terms[0]!)
    return this.made({
      from: sql`FROM posting ${a} WHERE ${a}.term IN (SELECT value FROM json_each(${JSON.stringify(terms)}))`,
      rid,
      ordered: false,
      ...(terms.length <= this.tuning.partsMax && { parts: terms.map(one) }),
    })
  }

  private testTerms(set: TermSet | undefined, rid: Sql): Sql {
    if (!set) return no
    if ('where' in set)
      return sql`(${rid} IN (SELECT rid FROM posting WHERE term IN (SELECT term FROM term WHERE ${set.where})))`
    const { terms } = set
    if (terms.length === 1) return sql`EXISTS (SELECT 1 FROM posting WHERE term = ${terms[0]!} AND rid = ${rid})`
    if (terms.length <= this.tuning.probesMax)
      return sql`EXISTS (SELECT 1 FROM posting WHERE term IN (${join(
        terms.map((term) => sql`${term}`),
        ', ',
      )}) AND rid = ${rid})`
    return sql`(${rid} IN (SELECT rid FROM posting WHERE term IN (SELECT value FROM json_each(${JSON.stringify(terms)}))))`
  }

  // Either of several

  /** Values of terms, references by the same parameter and ids are joined into sets; the rest stands side by side. */
  private split(scope: Scope, of: readonly Expression[]) {
    const terms = new Set<number>()
    const targets = new Map<number, Set<number>>()
    const ids = new Set<number>()
    const rest: Expression[] = []
    const flat = (each: Expression): Expression[] => {
      const plain = narrow(each, scope.type)
      return plain.op === 'or' ? plain.of.flatMap(flat) : [plain]
    }
    for (const each of of.flatMap(flat)) {
      switch (each.op) {
        case 'nothing':
          break
        case 'token':
        case 'string':
        case 'uri': {
          const set = this.termsOf(scope, each)
          if (set && 'where' in set) rest.push(each)
          else for (const term of set?.terms ?? []) terms.add(term)
          break
        }
        case 'reference': {
          const { param, target } = each
          if ('url' in target || target.version !== undefined) {
            for (const term of this.urlTerms(scope, param, target)) terms.add(term)
            break
          }
          const pid = this.lookup.pid(scope.tid, param, 'reference')
          const rid = this.lookup.row(target.type, target.id)?.rid
          if (pid === undefined || rid === undefined) break
          const of = targets.get(pid)
          if (of) of.add(rid)
          else targets.set(pid, new Set([rid]))
          break
        }
        case 'ids':
          for (const id of each.ids) {
            const rid = this.living(scope.type, id)
            if (rid !== undefined) ids.add(rid)
          }
          break
        default:
          rest.push(each)
      }
    }
    return {
      terms: [...terms],
      targets: [...targets].map(([pid, of]): Targets => ({ pid, targets: [...of] })),
      ids: [...ids],
      rest,
    }
  }

  private either(scope: Scope, of: readonly Expression[]): Source | undefined | 'none' {
    const { terms, targets, ids, rest } = this.split(scope, of)
    const sources: Source[] = []
    if (terms.length) sources.push(this.fromTerms({ terms })!)
    for (const each of targets) sources.push(this.fromTargets(each))
    if (ids.length) sources.push(this.ids(ids)!)
    for (const each of rest) {
      const source = this.source(scope, each)
      if (source === 'none') return 'none'
      if (source) sources.push(source)
    }
    if (sources.length <= 1) return sources[0]
    const a = this.alias()
    const parts = sources.flatMap((source) => source.parts ?? [source])
    return {
      from: sql`FROM (${union(sources)}) ${a} WHERE 1`,
      rid: sql`${a}.rid`,
      ordered: false,
      ...(parts.length <= this.tuning.partsMax && { parts }),
      size: (cap) => sources.reduce((sum, source) => (sum >= cap ? sum : sum + source.size(cap - sum)), 0),
    }
  }

  private testEither(scope: Scope, of: readonly Expression[], rid: Sql): Sql {
    const { terms, targets, ids, rest } = this.split(scope, of)
    const tests = targets.map((each) => this.testTargets(each, rid))
    if (ids.length) tests.push(this.testIds(ids, rid))
    if (terms.length) tests.push(this.testTerms({ terms }, rid))
    for (const each of rest) tests.push(this.test(scope, each, rid))
    return anyOf(tests)
  }

  // Ids and references

  private living(type: string, id: string): number | undefined {
    const row = this.lookup.row(type, id)
    return row?.live === 1 ? row.rid : undefined
  }

  private testIds(rids: readonly number[], rid: Sql): Sql {
    if (rids.length <= 1) return rids.length ? sql`(${rid} = ${rids[0]!})` : no
    return sql`(${rid} IN (SELECT value FROM json_each(${JSON.stringify(rids)})))`
  }

  private ids(rids: number[]): Source | undefined {
    if (!rids.length) return undefined
    const a = this.alias()
    return {
      from:
        rids.length === 1
          ? sql`FROM resource ${a} WHERE ${a}.rid = ${rids[0]!}`
          : sql`FROM resource ${a} WHERE ${a}.rid IN (SELECT value FROM json_each(${JSON.stringify([...new Set(rids)])}))`,
      rid: sql`${a}.rid`,
      ordered: true,
      size: () => rids.length,
    }
  }

  private fromReference(scope: Scope, { param, target }: ReferenceTest): Source | undefined {
    if ('url' in target || target.version !== undefined)
      return this.fromTerms(termSet(this.urlTerms(scope, param, target)))
    const pid = this.lookup.pid(scope.tid, param, 'reference')
    const rid = this.lookup.row(target.type, target.id)?.rid
    return pid === undefined || rid === undefined ? undefined : this.fromTargets({ pid, targets: [rid] })
  }

  private fromTargets({ pid, targets }: Targets): Source {
    const a = this.alias()
    const one = (target: number) =>
      this.made({
        from: sql`FROM reference ${a} WHERE ${a}.target = ${target} AND ${a}.pid = ${pid}`,
        rid: sql`${a}.rid`,
        ordered: true,
      })
    if (targets.length === 1) return one(targets[0]!)
    return this.made({
      from: sql`FROM reference ${a} WHERE ${a}.target IN (SELECT value FROM json_each(${JSON.stringify(targets)})) AND ${a}.pid = ${pid}`,
      rid: sql`${a}.rid`,
      ordered: false,
      ...(targets.length <= this.tuning.partsMax && { parts: targets.map(one) }),
    })
  }

  private testReference(scope: Scope, { param, target }: ReferenceTest, rid: Sql): Sql {
    if ('url' in target || target.version !== undefined)
      return this.testTerms(termSet(this.urlTerms(scope, param, target)), rid)
    const pid = this.lookup.pid(scope.tid, param, 'reference')
    const found = this.lookup.row(target.type, target.id)?.rid
    return pid === undefined || found === undefined ? no : this.testTargets({ pid, targets: [found] }, rid)
  }

  private testTargets({ pid, targets }: Targets, rid: Sql): Sql {
    const which =
      targets.length === 1 ? sql`= ${targets[0]!}` : sql`IN (SELECT value FROM json_each(${JSON.stringify(targets)}))`
    if (targets.length <= this.tuning.probesMax)
      return sql`EXISTS (SELECT 1 FROM reference WHERE target ${which} AND pid = ${pid} AND rid = ${rid})`
    const wanted = new Set(targets)
    const pids = [pid]
    return this.ask((data) => (targetsOf(data, pids).some((target) => wanted.has(target)) ? 1 : 0), rid)
  }

  private urlTerms(scope: Scope, param: string, target: ReferenceTest['target']): number[] {
    const pid = this.lookup.pid(scope.tid, param, 'url' in target ? 'url' : 'versioned')
    if (pid === undefined) return []
    return this.lookup.terms(sql`pid = ${pid} AND value = ${'url' in target ? target.url : versioned(target)}`)
  }

  // Intervals

  /** The series of a test, with the width none of their intervals exceeds; undefined if there are none. */
  private series(scope: Scope, test: IntervalTest | QuantityTest) {
    if (test.op === 'interval') {
      const pid = this.lookup.pid(scope.tid, test.param, 'interval')
      if (pid === undefined) return undefined
      const series = this.lookup.db.all<{ term: number; value: string }>(
        sql`SELECT term, value FROM term WHERE pid = ${pid}`,
      )
      return { pid, series: series.map(({ term, value }) => ({ term, widthMax: widthOfSeries(value) })) }
    }
    const { unit } = test
    const pid = this.lookup.pid(scope.tid, test.param, unit.kind === 'canonical' ? 'canonical' : 'quantity')
    if (pid === undefined) return undefined
    const terms = this.lookup.terms(sql`pid = ${pid} AND ${this.unitWhere(unit)}`)
    return { pid, series: terms.map((term) => ({ term, widthMax: Number.POSITIVE_INFINITY })) }
  }

  private unitWhere(unit: QuantityTest['unit']): Sql {
    switch (unit.kind) {
      case 'any':
        return yes
      case 'canonical':
        return sql`value = ${unit.code}`
      case 'coded': {
        return sql`value = ${unit.code} AND sys = ${this.lookup.system(unit.system) ?? -1}`
      }
      case 'text':
        return sql`(value = ${unit.text} OR raw = ${unit.text})`
    }
  }

  private fromIntervals(scope: Scope, test: IntervalTest | QuantityTest): Source | undefined {
    const found = this.series(scope, test)
    if (!found?.series.length) return undefined
    const a = this.alias()
    const { series } = found
    const where = (widthMax: number) => condition(test, sql`${a}.lo`, sql`${a}.hi`, widthMax)
    const widths = new Set(series.map(({ widthMax }) => widthMax))
    if (series.length === 1 || widths.size === 1) {
      const terms = series.map(({ term }) => term)
      const which =
        terms.length === 1 ? sql`= ${terms[0]!}` : sql`IN (SELECT value FROM json_each(${JSON.stringify(terms)}))`
      return this.made({
        from: sql`FROM interval ${a} WHERE ${a}.series ${which} AND ${where(series[0]!.widthMax)}`,
        rid: sql`${a}.rid`,
        ordered: false,
      })
    }
    const b = this.alias()
    return this.made({
      from: sql`FROM (${join(
        series.map(
          ({ term, widthMax }) =>
            sql`SELECT ${a}.rid AS rid FROM interval ${a} WHERE ${a}.series = ${term} AND ${where(widthMax)}`,
        ),
        ' UNION ALL ',
      )}) ${b} WHERE 1`,
      rid: sql`${b}.rid`,
      ordered: false,
    })
  }

  private testIntervals(scope: Scope, test: IntervalTest | QuantityTest, rid: Sql): Sql {
    const found = this.series(scope, test)
    if (!found?.series.length) return no
    const pids = [found.pid]
    const series = test.op === 'quantity' ? new Set(found.series.map(({ term }) => term)) : undefined
    const pass = passes(test)
    return this.ask(
      (data) => (anyInterval(data, pids, (of, lo, hi) => (series?.has(of) ?? true) && pass(lo, hi)) ? 1 : 0),
      rid,
    )
  }

  private ask(question: (data: Buffer) => number | string | null, rid: Sql): Sql {
    return sql`ask((SELECT data FROM entry WHERE rid = ${rid}), ${this.questions.add(question)})`
  }

  private updated(scope: Scope, test: IntervalTest): Source {
    const v = this.alias()
    const a = this.alias()
    return this.made({
      from: sql`FROM version ${v} INDEXED BY version_type CROSS JOIN resource ${a} ON ${a}.rid = ${v}.rid AND ${a}.seq = ${v}.seq
        WHERE ${v}.tid = ${scope.tid} AND ${condition(test, sql`${v}.updated`, sql`${v}.updated`, 0)} AND ${a}.live = 1`,
      rid: sql`${a}.rid`,
      ordered: false,
    })
  }

  private testUpdated(test: IntervalTest, rid: Sql): Sql {
    const v = this.alias()
    const r = this.alias()
    return sql`EXISTS (SELECT 1 FROM resource ${r} CROSS JOIN version ${v} ON ${v}.seq = ${r}.seq
      WHERE ${r}.rid = ${rid} AND ${condition(test, sql`${v}.updated`, sql`${v}.updated`, 0)})`
  }

  // Composites

  /** The component whose values are in an index, as a test of its own. */
  private lead(scope: Scope, { param, of }: CompositeTest): Expression | undefined {
    if (this.lookup.pid(scope.tid, param, 'composite') === undefined) return undefined
    const exact = of.findIndex(({ op }) => op !== 'interval' && op !== 'quantity')
    return ofComponent(param, of[Math.max(exact, 0)]!)
  }

  private fromComposite(scope: Scope, test: CompositeTest): Source | undefined | 'none' {
    const lead = this.lead(scope, test)
    const source = lead && this.source(scope, lead)
    if (!source || source === 'none') return undefined
    return restricted(source, (rid) => this.testComposite(scope, test, rid))
  }

  private testComposite(scope: Scope, { param, of }: CompositeTest, rid: Sql): Sql {
    const pid = this.lookup.pid(scope.tid, param, 'composite')!
    const tests = of.map((test) => this.component(scope, param, test))
    return this.ask((data) => (anyComposite(data, pid, tests) ? 1 : 0), rid)
  }

  private component(scope: Scope, composite: string, leaf: Expression): (value: ComponentValue) => boolean {
    const test = ofComponent(composite, leaf)
    switch (test?.op) {
      case 'token':
      case 'string':
      case 'uri': {
        const where = this.termsWhere(scope, test)
        const terms = new Set(where ? this.lookup.terms(where) : [])
        return (value) => value.kind === 'term' && terms.has(value.term)
      }
      case 'reference': {
        const { target } = test
        if ('url' in target || target.version !== undefined) {
          const terms = new Set(this.urlTerms(scope, test.param, target))
          return (value) => value.kind === 'term' && terms.has(value.term)
        }
        const rid = this.lookup.row(target.type, target.id)?.rid
        return (value) => value.kind === 'target' && value.target === rid
      }
      case 'interval':
      case 'quantity': {
        const series = new Set(this.series(scope, test)?.series.map(({ term }) => term))
        const pass = passes(test)
        return (value) => value.kind === 'interval' && series.has(value.series) && pass(value.lo, value.hi)
      }
      default:
        return () => false
    }
  }

  // Places and texts

  private near(scope: Scope, { param, latitude, longitude, km }: NearTest): Source | undefined {
    const pid = this.lookup.pid(scope.tid, param, 'position')
    if (pid === undefined) return undefined
    // A degree of latitude is 111.19 km on this sphere; a little more is looked at than is needed.
    const degrees = km / 111.19 + 1e-6
    const a = this.alias()
    return this.made({
      from: sql`FROM position ${a} WHERE ${a}.pid = ${pid} AND ${a}.latitude >= ${latitude - degrees} AND ${a}.latitude <= ${latitude + degrees}
        AND distance(${a}.latitude, ${a}.longitude, ${latitude}, ${longitude}) <= ${km}`,
      rid: sql`${a}.rid`,
      ordered: false,
    })
  }

  private text(scope: Scope, { param, words }: TextTest): Source | undefined {
    const query = wordsQuery(words)
    if (query === '' || this.lookup.pid(scope.tid, param, 'text') === undefined) return undefined
    const table = raw(param === '_text' ? 'narrative' : 'content')
    const r = this.alias()
    return this.made({
      from: sql`FROM ${table} CROSS JOIN resource ${r} ON ${r}.rid = ${table}.rowid WHERE ${table} MATCH ${query} AND ${r}.tid = ${scope.tid}`,
      rid: sql`${r}.rid`,
      ordered: false,
    })
  }

  // Absence

  missing(scope: Scope, param: string, rid: Sql): Sql {
    const pids = this.lookup.dictionary.paramsOf(scope.tid, param).map(({ pid }) => pid)
    if (!pids.length) return yes
    return sql`((SELECT sid FROM resource WHERE rid = ${rid}) NOT IN (SELECT sid FROM shape_param WHERE pid IN (SELECT value FROM json_each(${JSON.stringify(pids)}))))`
  }

  // Chains

  /** What a chain leads to, for each type that is there. */
  private targets({ trusted }: Scope, { types }: ChainTest): Scope[] {
    return types.flatMap((type) => {
      const scope = this.scope(type)
      return scope ? { ...scope, trusted } : []
    })
  }

  /** The numbers of all that satisfy an expression, as a statement. */
  private numbers(scopes: Scope[], where: Expression): { select: Sql; size: (cap: number) => number } | undefined {
    const sources = scopes.flatMap((scope) => this.find(scope, where) ?? [])
    if (!sources.length) return undefined
    return {
      select: union(sources),
      size: (cap) => sources.reduce((sum, source) => (sum >= cap ? sum : sum + source.size(cap - sum)), 0),
    }
  }

  private chain(scope: Scope, test: ChainTest): Source | undefined {
    const pid = this.lookup.pid(scope.tid, test.param, 'reference')
    const inner = pid === undefined ? undefined : this.numbers(this.targets(scope, test), test.of)
    if (!inner || pid === undefined) return undefined
    const t = this.alias()
    const a = this.alias()
    return this.made({
      from: sql`FROM (${inner.select}) ${t} CROSS JOIN reference ${a} ON ${a}.target = ${t}.rid AND ${a}.pid = ${pid} WHERE 1`,
      rid: sql`${a}.rid`,
      ordered: false,
    })
  }

  private testChain(scope: Scope, test: ChainTest, rid: Sql): Sql {
    const pid = this.lookup.pid(scope.tid, test.param, 'reference')
    const targets = this.targets(scope, test)
    const inner = pid === undefined ? undefined : this.numbers(targets, test.of)
    if (!inner || pid === undefined) return no
    const pids = [pid]
    const j = this.alias()
    const each = this.ask((data) => `[${targetsOf(data, pids)}]`, rid)
    const holds =
      inner.size(this.tuning.setMax) < this.tuning.setMax
        ? sql`${j}.value IN (${inner.select})`
        : anyOf(
            targets.map((target) => {
              const r = this.alias()
              return sql`EXISTS (SELECT 1 FROM resource ${r} WHERE ${r}.rid = ${j}.value AND ${r}.tid = ${target.tid} AND ${r}.live = 1
                AND ${this.holds(target, test.of, sql`${r}.rid`)})`
            }),
          )
    return sql`EXISTS (SELECT 1 FROM json_each(${each}) ${j} WHERE ${holds})`
  }

  private has(scope: Scope, test: HasTest): Source | undefined {
    const referring = this.referring(scope, test)
    const inner = referring && this.numbers([referring.scope], test.of)
    if (!inner || !referring) return undefined
    const pids = [referring.pid]
    const t = this.alias()
    const e = this.alias()
    const j = this.alias()
    const a = this.alias()
    const question = this.questions.add((data) => `[${targetsOf(data, pids)}]`)
    return this.made({
      from: sql`FROM (${inner.select}) ${t} CROSS JOIN entry ${e} ON ${e}.rid = ${t}.rid
        CROSS JOIN json_each(ask(${e}.data, ${question})) ${j}
        CROSS JOIN resource ${a} ON ${a}.rid = ${j}.value AND ${a}.tid = ${scope.tid} AND ${a}.live = 1 WHERE 1`,
      rid: sql`${a}.rid`,
      ordered: false,
    })
  }

  private testHas(scope: Scope, test: HasTest, rid: Sql): Sql {
    const referring = this.referring(scope, test)
    const inner = referring && this.numbers([referring.scope], test.of)
    if (!inner || !referring) return no
    if (inner.size(this.tuning.setMax) < this.tuning.setMax) {
      const source = this.has(scope, test)
      return source ? sql`(${rid} IN (SELECT ${source.rid} ${source.from}))` : no
    }
    const f = this.alias()
    return sql`EXISTS (SELECT 1 FROM reference ${f} WHERE ${f}.target = ${rid} AND ${f}.pid = ${referring.pid}
      AND ${this.holds(referring.scope, test.of, sql`${f}.rid`)})`
  }

  private referring({ trusted }: Scope, { type, param }: HasTest): { scope: Scope; pid: number } | undefined {
    const scope = this.scope(type)
    const pid = scope && this.lookup.pid(scope.tid, param, 'reference')
    return scope && pid !== undefined ? { scope: { ...scope, trusted }, pid } : undefined
  }
}

const termSet = (terms: number[]): TermSet | undefined => (terms.length ? { terms } : undefined)

/** A test on a component of a composite, as a test of the parameter that stands for the component. */
function ofComponent(composite: string, leaf: Expression) {
  switch (leaf.op) {
    case 'token':
    case 'string':
    case 'uri':
    case 'reference':
    case 'interval':
    case 'quantity':
      return { ...leaf, param: componentCode(composite, leaf.param) }
    default:
      return undefined
  }
}

/** The source with a further condition on each of its resources. */
export function restricted(source: Source, condition: (rid: Sql) => Sql): Source {
  return {
    ...source,
    from: sql`${source.from} AND ${condition(source.rid)}`,
    ...(source.parts && { parts: source.parts.map((part) => restricted(part, condition)) }),
  }
}

/** The terms of a conjunction, or the one there is. */
function termsOf(scope: Scope, where: Expression): Term[] {
  const plain = narrow(where, scope.type)
  if (plain.op === 'everything') return []
  return (plain.op === 'and' ? plain.of : [plain]).map((each) => ({ scope, where: each }))
}

/** `typed` resolved: what the expression asks of one type. */
export function narrow(where: Expression, type: string): Expression {
  if (where.op === 'typed') return Object.hasOwn(where.of, type) ? narrow(where.of[type]!, type) : nothing
  if (where.op === 'and') return and(...where.of.map((each) => narrow(each, type)))
  return where
}

/** The one with the fewest rows; counting stops at what the best so far has. */
function smallest(candidates: { term: Term; source: Source }[]) {
  if (candidates.length <= 1) return candidates[0]
  for (const cap of [64, 4096, 250_000]) {
    let best: (typeof candidates)[number] | undefined
    let least = cap
    for (const candidate of candidates) {
      const size = candidate.source.size(least)
      if (size < least) {
        best = candidate
        least = size
      }
    }
    if (best) return best
  }
  return candidates.find(({ source }) => source.ordered) ?? candidates[0]
}

/** The numbers that any of the sources finds; nested, because SQLite joins at most 500 statements in one. */
function union(sources: readonly Pick<Source, 'from' | 'rid'>[]): Sql {
  const selects = sources.map(({ rid, from }) => sql`SELECT ${rid} AS rid ${from}`)
  return nested(
    selects,
    100,
    (group) => join(group, ' UNION ALL '),
    (group) => sql`SELECT rid FROM (${group})`,
  )
}

/** At least one of the conditions; nested, because SQLite follows at most 1000 levels of an expression. */
function anyOf(conditions: Sql[]): Sql {
  return conditions.length
    ? nested(
        conditions,
        100,
        (group) => sql`(${join(group, ' OR ')})`,
        (group) => group,
      )
    : no
}

function nested(parts: Sql[], most: number, combine: (group: Sql[]) => Sql, wrap: (group: Sql) => Sql): Sql {
  if (parts.length <= most) return combine(parts)
  const groups: Sql[] = []
  for (let i = 0; i < parts.length; i += most) groups.push(wrap(combine(parts.slice(i, i + most))))
  return nested(groups, most, combine, wrap)
}

function startsWith(column: Sql, prefix: string): Sql {
  const end = after(prefix)
  return end === undefined ? sql`${column} >= ${prefix}` : sql`${column} >= ${prefix} AND ${column} < ${end}`
}

/** The smallest text greater than all that begin with the prefix, in the order of code points. */
export function after(prefix: string): string | undefined {
  const points = [...prefix]
  while (points.length) {
    const point = points.pop()!.codePointAt(0)!
    if (point < 0x10ffff) return points.join('') + String.fromCodePoint(point === 0xd7ff ? 0xe000 : point + 1)
  }
  return undefined
}

/** `a/b/c` and each beginning of it that ends before a slash. */
function pathPrefixes(uri: string): string[] {
  const prefixes = [uri]
  for (let at = uri.lastIndexOf('/'); at >= 0; at = at > 0 ? uri.lastIndexOf('/', at - 1) : -1)
    prefixes.push(uri.slice(0, at))
  return prefixes
}
