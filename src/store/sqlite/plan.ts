/**
 * From an Expression to SQL: what an index finds (a source) and what is then asked of each resource (a test).
 *
 * https://hl7.org/fhir/R4/search.html
 *
 * The smallest source drives, everything else is tested by the primary keys of the other indexes, so that no statement
 * reads a whole table. What the caller may see is and-ed at every node that touches a type; the expressions of the
 * reach itself are taken as they stand.
 */
import type { Expression, Reach } from '../../search/index.js'
import { dateParam } from '../timeline.js'
import { fromChain, fromHas, testChain, testHas } from './chains.js'
import { fromComposite, leadOf, testComposite } from './composites.js'
import type { Param } from './dictionary.js'
import { fromEither, testEither } from './either.js'
import type { Questions } from './functions.js'
import type { Lookup, Row } from './lookup.js'
import { fromIntervals, fromUpdated, testIntervals, testUpdated } from './periods.js'
import { fromIds, fromReference, living, testIds, testReference } from './references.js'
import type { Sight } from './sight.js'
import { conjuncts, narrow, no, restricted, type Scope, type Source, smallest, type Term, yes } from './source.js'
import { all, raw, type Sql, sql } from './sql.js'
import { fromTerms, type TermSet, termsOf, testTerms } from './terms.js'
import { fromNear, fromText } from './texts.js'
import type { Tuning } from './tuning.js'

export class Plan {
  private aliases = 0
  /** What was looked up for this query: it is asked for when an index is chosen, and again when it is not. */
  private readonly rows = new Map<string, Row | undefined>()
  readonly sets = new Map<Expression, { tid: number; set: TermSet | undefined }>()

  constructor(
    readonly lookup: Lookup,
    private readonly reach: Reach,
    readonly questions: Questions,
    readonly tuning: Tuning,
    /** Decides about one resource; absent where a commit asks. */
    private readonly sight?: Sight,
  ) {}

  alias(): Sql {
    return raw(`a${this.aliases++}`)
  }

  scope(type: string): Scope | undefined {
    const tid = this.lookup.names.tidOf(type)
    return tid === undefined ? undefined : { tid, type, trusted: false }
  }

  /** All that satisfy the expression, driven by the best index; undefined when nothing can. */
  find(scope: Scope, where: Expression): Source | undefined {
    const few = this.few(scope, where)
    if (few !== 'many') return few
    const terms = this.visible(scope, where)
    const best = this.best(terms)
    return best === 'none' ? this.restrict(this.everything(scope.tid), terms) : best
  }

  /**
   * Where few are found and the reach follows references, what may be seen of them is decided one by one: that is
   * remembered, and what follows references for a whole type costs as much as a hundred such answers.
   */
  private few(scope: Scope, where: Expression): Source | undefined | 'many' {
    const { sight, reach } = this
    const { fewMax } = this.tuning
    if (!sight || scope.trusted || !this.limits(scope, where).some((term) => follows(term.where))) return 'many'
    const source = this.best(conjuncts(scope, where))
    if (!source) return undefined
    if (source === 'none' || source.size(fewMax + 1) > fewMax) return 'many'
    const rows = this.lookup.db.rows<[rid: number, seq: number]>(
      sql`SELECT r.rid, r.seq FROM (SELECT DISTINCT ${source.rid} AS rid ${source.from}) s
          CROSS JOIN resource r ON r.rid = s.rid WHERE r.live = 1`,
    )
    const seen = rows.filter(([rid, seq]) => sight.sees(reach, scope.type, { rid, seq }))
    return fromIds(
      this,
      seen.map(([rid]) => rid),
    )
  }

  /** What the most selective of the terms finds, tested for the others. */
  private best(terms: readonly Term[]): Source | undefined | 'none' {
    const candidates: { term: Term; source: Source }[] = []
    for (const term of terms) {
      const source = this.source(term.scope, term.where)
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

  /** Every resource of the type in order, each tested: for what would find a large part of them anyway. */
  scan(scope: Scope, where: Expression): Source {
    return this.restrict(this.everything(scope.tid), this.visible(scope, where))
  }

  /** The terms of a conjunction, and of what the caller may see of the type. */
  visible(scope: Scope, where: Expression): Term[] {
    const terms = conjuncts(scope, where)
    return scope.trusted ? terms : [...terms, ...this.limits(scope, where)]
  }

  /** What the reach asks of the type, but for what follows from the question. */
  private limits(scope: Scope, where: Expression): Term[] {
    const asked = conjuncts(scope, where).map((term) => term.where)
    return conjuncts({ ...scope, trusted: true }, this.reach.of(scope.type)).filter(
      (term) => !this.follows(term.where, asked),
    )
  }

  /** Whoever asks for what refers to a patient, and may see what is the patient's, need not be asked for each. */
  private follows(limit: Expression, asked: readonly Expression[]): boolean {
    switch (limit.op) {
      case 'and':
        return limit.of.every((each) => this.follows(each, asked))
      case 'or':
        return limit.of.some((each) => this.follows(each, asked))
      case 'chain':
        return asked.some((each) => this.leads(limit, each))
      default:
        return false
    }
  }

  private leads(limit: Extract<Expression, { op: 'chain' }>, asked: Expression): boolean {
    if (asked.op === 'or') return asked.of.every((each) => this.leads(limit, each))
    if (asked.op !== 'reference' || asked.param !== limit.param) return false
    const { target } = asked
    if ('url' in target || target.version !== undefined || !limit.types.includes(target.type)) return false
    const scope = this.scope(target.type)
    const row = this.row(target.type, target.id)
    if (!this.sight || !scope || row?.live !== 1) return false
    return this.sight.holds(this.reach, { ...scope, trusted: true }, limit.of, { rid: row.rid, seq: row.seq! })
  }

  /** A condition that says that a resource satisfies the expression and is within reach. */
  holds(scope: Scope, where: Expression, rid: Sql): Sql {
    return all(this.visible(scope, where).map((term) => this.test(term.scope, term.where, rid)))
  }

  /** The source with further tests on each of its resources. */
  restrict(source: Source, terms: readonly Term[]): Source {
    if (!terms.length) return source
    // What follows references is asked once of each resource, however often the source meets it.
    return restricted(
      terms.some(({ where }) => follows(where)) && !source.ordered ? this.distinct(source) : source,
      (rid) => all(terms.map((term) => this.test(term.scope, term.where, rid))),
    )
  }

  /** The patient whose resources are asked for, where they are kept in the order of that date. */
  timelineTarget(scope: Scope, where: Expression, { code }: Param): number | undefined {
    if (dateParam(scope.type) !== code) return undefined
    for (const { where: term } of this.visible(scope, where)) {
      // An id without a type is looked for in every type the parameter may refer to; only one has it.
      const there = (term.op === 'or' ? term.of : [term]).flatMap((each) => {
        if (each.op !== 'reference' || 'url' in each.target || each.target.version !== undefined) return [undefined]
        const rid = this.row(each.target.type, each.target.id)?.rid
        return rid === undefined ? [] : [{ rid, type: each.target.type }]
      })
      if (there.length === 1 && there[0]?.type === 'Patient') return there[0].rid
    }
    return undefined
  }

  private distinct({ from, rid }: Source): Source {
    const a = this.alias()
    return this.made({
      from: sql`FROM (SELECT DISTINCT ${rid} AS rid ${from}) ${a} WHERE 1`,
      rid: sql`${a}.rid`,
      ordered: false,
    })
  }

  everything(tid: number): Source {
    const a = this.alias()
    return this.made({
      from: sql`FROM resource ${a} INDEXED BY resource_live WHERE ${a}.tid = ${tid} AND ${a}.live = 1`,
      rid: sql`${a}.rid`,
      ordered: true,
    })
  }

  made(source: Omit<Source, 'size'>): Source {
    let counted = { rows: 0, cap: 0 }
    const size = (cap: number): number => {
      if (cap > counted.cap && counted.rows === counted.cap)
        counted = { rows: this.lookup.count(source.from, cap), cap }
      return Math.min(counted.rows, cap)
    }
    return { ...source, size }
  }

  /** What an index finds for the expression: undefined if nothing, 'none' if no index helps. */
  source(scope: Scope, where: Expression): Source | undefined | 'none' {
    const known = this.known(scope, where)
    return known ? fromIds(this, known) : this.lookedUp(scope, where)
  }

  /** All that a part of the reach holds for, where it follows references and they are not too many: they are remembered. */
  private known(scope: Scope, where: Expression): number[] | undefined {
    if (!scope.trusted || (where.op !== 'has' && where.op !== 'or')) return undefined
    const { setMax } = this.tuning
    return this.sight?.all(scope.type, where, () => {
      const source = this.lookedUp(scope, where)
      if (source === undefined) return []
      if (source === 'none') return undefined
      const rids = this.lookup.db.column<number>(
        sql`SELECT DISTINCT ${source.rid} AS rid ${source.from} LIMIT ${setMax + 1} + 0`,
      )
      return rids.length > setMax ? undefined : rids
    })
  }

  private lookedUp(scope: Scope, where: Expression): Source | undefined | 'none' {
    switch (where.op) {
      case 'everything':
      case 'not':
      case 'missing':
        return 'none'
      case 'nothing':
        return undefined
      case 'and':
        return this.best(conjuncts(scope, where))
      case 'or':
        return fromEither(this, scope, where.of)
      case 'typed':
        return this.source(scope, narrow(where, scope.type))
      case 'ids':
        return fromIds(
          this,
          where.ids.flatMap((id) => living(this, scope.type, id) ?? []),
        )
      case 'token':
      case 'string':
      case 'uri':
        return fromTerms(this, termsOf(this, scope, where))
      case 'reference':
        return fromReference(this, scope, where)
      case 'interval':
        return where.param === '_lastUpdated' ? fromUpdated(this, scope, where) : fromIntervals(this, scope, where)
      case 'quantity':
        return fromIntervals(this, scope, where)
      case 'composite':
        return fromComposite(this, scope, where)
      case 'near':
        return fromNear(this, scope, where)
      case 'text':
        return fromText(this, scope, where)
      case 'chain':
        return fromChain(this, scope, where)
      case 'has':
        return fromHas(this, scope, where)
    }
  }

  /** A condition on the resource whose number is `rid`. */
  test(scope: Scope, where: Expression, rid: Sql, alone?: number): Sql {
    const known = this.known(scope, where)
    if (known) return testIds(known, rid)
    switch (where.op) {
      case 'everything':
        return yes
      case 'nothing':
        return no
      case 'and':
        return sql`(${all(where.of.map((each) => this.test(scope, each, rid)))})`
      case 'or':
        return testEither(this, scope, where.of, rid)
      case 'not':
        return sql`NOT ${this.test(scope, where.of, rid)}`
      case 'typed':
        return this.test(scope, narrow(where, scope.type), rid)
      case 'ids': {
        const rids = where.ids.flatMap((id) => living(this, scope.type, id) ?? [])
        return testIds(rids, rid)
      }
      case 'missing':
        return this.missing(scope, where.param, rid)
      case 'token':
      case 'string':
      case 'uri':
        return testTerms(this, termsOf(this, scope, where), rid)
      case 'reference':
        return testReference(this, scope, where, rid)
      case 'interval':
        return where.param === '_lastUpdated' ? testUpdated(this, where, rid) : testIntervals(this, scope, where, rid)
      case 'quantity':
        return testIntervals(this, scope, where, rid)
      case 'composite': {
        const lead = leadOf(this, scope, where)
        return lead ? sql`(${this.test(scope, lead, rid)} AND ${testComposite(this, scope, where, rid)})` : no
      }
      case 'near':
      case 'text': {
        const source = where.op === 'near' ? fromNear(this, scope, where) : fromText(this, scope, where)
        return source ? sql`(${rid} IN (SELECT ${source.rid} ${source.from}))` : no
      }
      case 'chain':
        return testChain(this, scope, where, rid)
      case 'has':
        return testHas(this, scope, where, rid, alone)
    }
  }

  row(type: string, id: string): Row | undefined {
    const key = `${type}/${id}`
    if (!this.rows.has(key)) this.rows.set(key, this.lookup.row(type, id))
    return this.rows.get(key)
  }

  ask(question: (data: Buffer) => number | string | null, rid: Sql): Sql {
    return sql`ask((SELECT data FROM entry WHERE rid = ${rid}), ${this.questions.add(question)})`
  }

  missing(scope: Scope, param: string, rid: Sql): Sql {
    const pids = this.lookup.names.paramsOf(scope.tid, param).map(({ pid }) => pid)
    if (!pids.length) return yes
    return sql`((SELECT sid FROM resource WHERE rid = ${rid}) NOT IN (SELECT sid FROM shape_param WHERE pid IN (SELECT value FROM json_each(${JSON.stringify(pids)}))))`
  }
}

const follows = ({ op }: Expression): boolean => op === 'chain' || op === 'has'
