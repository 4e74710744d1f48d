/**
 * From an Expression to a filter whose best part an index answers.
 *
 * https://hl7.org/fhir/R4/search.html
 *
 * What the caller may see is and-ed at every node that touches a type; the expressions of the reach itself are taken as
 * they stand. Chains are semi-joins: the inner query gives a bounded set of ids, the outer one looks for references to
 * them, so that each level costs one command.
 */
import {
  type CompositeTest,
  type Expression,
  everything,
  type IntervalTest,
  nothing,
  type QuantityTest,
  type Reach,
  type StringTest,
  type TokenTest,
  type UriTest,
} from '../../search/index.js'
import { StoreLimit } from '../store.js'
import { after, asExpression, type Filter, some, startingWith } from './filter.js'
import { bounds, momentBounds } from './intervals.js'
import { withinReach } from './positions.js'
import type { Reader } from './reader.js'
import { alive, named, referenceOf, series, targetOf, token } from './tokens.js'

/** The type at hand. Inside a reach (`trusted`) nothing is added: it says itself what may be seen. */
export type Scope = { type: string; trusted: boolean }

/**
 * A filter, and what its best part is: `index` finds living resources by an index of values, `ids` finds resources by
 * id, `none` must be tested on all of them.
 */
export type Test =
  | { kind: 'filter'; filter: Filter; by: 'index' | 'ids' | 'none' }
  | { kind: 'all' }
  | { kind: 'never' }

const never: Test = { kind: 'never' }
const everyone: Test = { kind: 'all' }
const indexed = (filter: Filter): Test => ({ kind: 'filter', filter, by: 'index' })
const tested = (filter: Filter): Test => ({ kind: 'filter', filter, by: 'none' })

/** A filter nothing satisfies, which the server answers without looking. */
export const impossible: Filter = { _id: { $in: [] } }

export class Plan {
  constructor(
    readonly reader: Reader,
    private readonly reach: Reach,
    /** Most resources a chain may lead through. */
    private readonly targetsMax: number,
  ) {}

  /** What finds the living resources of a type that satisfy the expression and are within reach; undefined if none can. */
  async find(type: string, where: Expression): Promise<Filter | undefined> {
    const test = await this.visible({ type, trusted: false }, where)
    const t = this.reader.tenant
    switch (test.kind) {
      case 'never':
        return undefined
      case 'all':
        return { t, k: alive }
      case 'filter':
        if (test.by === 'none') return joined([{ t, k: alive }, test.filter])
        return joined([test.by === 'ids' ? { t, del: false } : { t }, test.filter])
    }
  }

  /** Those of the living resources that are found so which the caller may see. */
  async among(type: string, found: Filter): Promise<Filter | undefined> {
    const test = await this.visible({ type, trusted: false }, everything)
    if (test.kind === 'never') return undefined
    const base = [{ t: this.reader.tenant, del: false }, found]
    return joined(test.kind === 'all' ? base : [...base, test.filter])
  }

  /** What a caller may see of a type, as a test on resources found otherwise. */
  async visible(scope: Scope, where: Expression): Promise<Test> {
    if (scope.trusted) return this.test(scope, where)
    return all([await this.test(scope, where), await this.test({ ...scope, trusted: true }, this.reach.of(scope.type))])
  }

  private async test(scope: Scope, where: Expression): Promise<Test> {
    switch (where.op) {
      case 'everything':
        return everyone
      case 'nothing':
        return never
      case 'and':
        return all(await this.each(scope, where.of))
      case 'or':
        return any(await this.each(scope, where.of))
      case 'not':
        return negated(await this.test(scope, where.of))
      case 'typed':
        return this.test(scope, Object.hasOwn(where.of, scope.type) ? where.of[scope.type]! : nothing)
      case 'ids':
        return {
          kind: 'filter',
          by: 'ids',
          filter: { _id: { $in: [...new Set(where.ids)].map((id) => this.reader.key(id)) } },
        }
      case 'missing':
        return tested({ k: { $ne: named(where.param) } })
      case 'interval':
        return where.param === '_lastUpdated' ? tested(momentBounds(where)) : indexed(leaf(where))
      case 'token':
      case 'string':
      case 'quantity':
      case 'reference':
      case 'uri':
        return indexed(topmost(where))
      case 'composite':
        return indexed(composite(where))
      case 'near': {
        const name = named(where.param)
        return indexed({ $and: [{ k: name }, withinReach(name, where)] })
      }
      case 'text':
        return indexed(
          joined([
            { k: named(where.param) },
            ...where.words.map(
              (word): Filter =>
                word.endsWith('*')
                  ? { x: startingWith(token.word(where.param, word.slice(0, -1))) }
                  : { x: token.word(where.param, word) },
            ),
          ]),
        )
      case 'chain':
        return this.chain(scope, where)
      case 'has':
        return this.has(scope, where)
    }
  }

  private each(scope: Scope, of: readonly Expression[]): Promise<Test[]> {
    return Promise.all(of.map((each) => this.test(scope, each)))
  }

  /** References by the parameter to what the inner query finds. */
  private async chain({ trusted }: Scope, { param, types, of }: Extract<Expression, { op: 'chain' }>): Promise<Test> {
    const parts: { type: string; filter: Filter }[] = []
    for (const type of new Set(types)) {
      const filter = await this.inner({ type, trusted }, of)
      if (filter) parts.push({ type, filter })
    }
    const found = await this.reader.ids(parts, this.targetsMax + 1)
    if (found.length > this.targetsMax) throw new StoreLimit('resources on the way of a chain', this.targetsMax)
    if (!found.length) return never
    return indexed({ k: oneOf(found.map(({ type, id }) => token.reference(param, `${type}/${id}`))) })
  }

  /** What resources of the other type that satisfy the inner query refer to. */
  private async has(scope: Scope, { type, param, of }: Extract<Expression, { op: 'has' }>): Promise<Test> {
    const filter = await this.inner({ type, trusted: scope.trusted }, of)
    if (!filter) return never
    const from = token.reference(param, `${scope.type}/`)
    const found = await this.reader.values(type, joined([filter, { k: startingWith(from) }]), from, this.targetsMax + 1)
    if (found.length > this.targetsMax) throw new StoreLimit('resources on the way of a chain', this.targetsMax)
    const ids = found.flatMap((text) => referenceOf(text)?.id ?? [])
    if (!ids.length) return never
    return { kind: 'filter', by: 'ids', filter: { _id: { $in: ids.map((id) => this.reader.key(id)) } } }
  }

  private async inner(scope: Scope, of: Expression): Promise<Filter | undefined> {
    if (!scope.trusted) return this.find(scope.type, of)
    const trusting = new Plan(this.reader, { ...this.reach, of: () => ({ op: 'everything' }) }, this.targetsMax)
    return trusting.find(scope.type, of)
  }
}

const oneOf = (values: readonly string[]): unknown => {
  const [only, ...more] = values
  return more.length ? { $in: values } : only
}

type Leaf = TokenTest | StringTest | IntervalTest | QuantityTest | UriTest | Extract<Expression, { op: 'reference' }>

/** A test of a resource's own values; where only an expression can say it, an index narrows first. */
function topmost(test: Leaf): Filter {
  return needsExpression(test) ? { $and: [{ k: named(test.param) }, leaf(test)] } : leaf(test)
}

/** Only a pattern or an expression finds a text inside another. */
const needsExpression = (test: Leaf): boolean =>
  test.op === 'string' && (test.how === 'contains' || test.how === 'ends')

/** A test of values that lie in `k`, `x` and `d`. */
function leaf(test: Leaf): Filter {
  switch (test.op) {
    case 'token': {
      const { param, system, code } = test
      if (code === undefined) return { x: token.system(param, system ?? '') }
      return { k: system === undefined ? token.code(param, code) : token.coded(param, system, code) }
    }
    case 'string':
      switch (test.how) {
        case 'starts':
          return { k: startingWith(token.folded(test.param, test.value)) }
        case 'equals':
          return { k: token.folded(test.param, test.value) }
        case 'exact':
          return { x: token.exact(test.param, test.value) }
        case 'contains':
        case 'ends':
          return { $expr: expressionOf(test, '$k') }
      }
      break
    case 'uri': {
      const { param, how, value } = test
      if (how === 'exact') return { k: token.uri(param, value) }
      if (how === 'above') return { k: { $in: pathsOf(value).map((path) => token.uri(param, path)) } }
      return { $or: [{ k: token.uri(param, value) }, { k: startingWith(token.uri(param, `${value}/`)) }] }
    }
    case 'reference':
      if ('url' in test.target) return { k: token.url(test.param, test.target.url) }
      return { k: token.reference(test.param, targetOf(test.target)) }
    case 'interval':
      return { d: { $elemMatch: { p: series.interval(test.param), ...bounds(test) } } }
    case 'quantity':
      return { d: { $elemMatch: { p: seriesOf(test), ...bounds(test) } } }
  }
}

function seriesOf({ param, unit }: QuantityTest): string {
  switch (unit.kind) {
    case 'any':
      return series.any(param)
    case 'canonical':
      return series.canonical(param, unit.code)
    case 'coded':
      return series.coded(param, unit.system, unit.code)
    case 'text':
      return series.text(param, unit.text)
  }
}

/** The value and every path above it. */
function pathsOf(value: string): string[] {
  const paths = [value]
  for (let at = value.indexOf('/'); at >= 0; at = value.indexOf('/', at + 1)) paths.push(value.slice(0, at))
  return paths
}

/** `contains` and `ends` of the texts in a list of tokens. */
function expressionOf(test: Leaf, list: string): unknown {
  if (test.op !== 'string') return false
  const from = token.folded(test.param, '')
  const { length } = [...from]
  return some({ $ifNull: [list, []] }, (each) => {
    const text = { $substrCP: [each, length, 1_000_000_000] }
    const value = { $literal: test.value }
    const size = [...test.value].length
    const own = [{ $gte: [each, { $literal: from }] }, { $lt: [each, { $literal: after(from) }] }]
    if (test.value === '') return { $and: own }
    if (test.how === 'contains') return { $and: [...own, { $gt: [{ $size: { $split: [text, value] } }, 1] }] }
    const start = { $max: [0, { $subtract: [{ $strLenCP: text }, size] }] }
    return { $and: [...own, { $eq: [{ $substrCP: [text, start, size] }, value] }] }
  })
}

/** All components in one occurrence. Exact components are in the index by themselves, and narrow first. */
function composite({ param, of }: CompositeTest): Filter {
  const p = named(param)
  const leaves = of.map((each) => each as Leaf)
  const narrowing = leaves.flatMap((each) => {
    const k = needsExpression(each) ? undefined : leaf(each)['k']
    return typeof k === 'string' ? [{ x: `${p}${k}` }] : []
  })
  const first = narrowing.length ? narrowing : [{ k: p }]
  const plain = !leaves.some(needsExpression)
  if (plain) {
    const within = leaves.map((each, i) => under(leaf(each), `c${i}.`))
    return { $and: [...first, { c: { $elemMatch: { p, $and: within } } }] }
  }
  const holds = some({ $ifNull: ['$c', []] }, (each) => ({
    $and: [
      { $eq: [`${each}.p`, { $literal: p }] },
      ...leaves.map((test, i) =>
        needsExpression(test) ? expressionOf(test, `${each}.c${i}.k`) : asExpression(leaf(test), `${each}.c${i}`),
      ),
    ],
  }))
  return { $and: [...first, { $expr: holds }] }
}

/** The same test of a list that lies deeper. */
const under = (filter: Filter, path: string): Filter =>
  Object.fromEntries(
    Object.entries(filter).map(([key, test]) =>
      key.startsWith('$') ? [key, (test as Filter[]).map((each) => under(each, path))] : [`${path}${key}`, test],
    ),
  )

function negated(test: Test): Test {
  switch (test.kind) {
    case 'all':
      return never
    case 'never':
      return everyone
    case 'filter':
      return tested({ $nor: [test.filter] })
  }
}

function all(tests: readonly Test[]): Test {
  if (tests.some(({ kind }) => kind === 'never')) return never
  const filters = tests.flatMap((test) => (test.kind === 'filter' ? [test] : []))
  if (filters.length <= 1) return filters[0] ?? everyone
  const by = filters.some((test) => test.by === 'index')
    ? 'index'
    : filters.some((test) => test.by === 'ids')
      ? 'ids'
      : 'none'
  return { kind: 'filter', by, filter: joined(filters.map(({ filter }) => filter)) }
}

function any(tests: readonly Test[]): Test {
  if (tests.some(({ kind }) => kind === 'all')) return everyone
  const filters = tests.flatMap((test) => (test.kind === 'filter' ? [test] : []))
  if (filters.length <= 1) return filters[0] ?? never
  const by = filters.every((test) => test.by === 'index')
    ? 'index'
    : filters.every((test) => test.by !== 'none')
      ? 'ids'
      : 'none'
  return { kind: 'filter', by, filter: either(filters.map(({ filter }) => filter)) }
}

/** Values of one list side by side are one list of values, which an index answers in order. */
function either(filters: readonly Filter[]): Filter {
  const values: Record<'k' | 'x' | '_id', Set<unknown>> = { k: new Set(), x: new Set(), _id: new Set() }
  const others: Filter[] = []
  for (const filter of filters.flatMap((each) => (isOnly(each, '$or') ? (each['$or'] as Filter[]) : [each]))) {
    const path = (['k', 'x', '_id'] as const).find((path) => isOnly(filter, path))
    const asked = path && valuesOf(filter[path])
    if (path && asked) for (const value of asked) values[path].add(value)
    else others.push(filter)
  }
  const lists = Object.entries(values).flatMap(([path, of]) => {
    if (!of.size) return []
    const list = [...of]
    return [{ [path]: list.length === 1 && path !== '_id' ? list[0] : { $in: list } }]
  })
  const alternatives = [...lists, ...others]
  return alternatives.length === 1 ? alternatives[0]! : { $or: alternatives }
}

const isOnly = (filter: Filter, path: string): boolean => path in filter && Object.keys(filter).length === 1

function valuesOf(test: unknown): unknown[] | undefined {
  if (typeof test === 'string') return [test]
  const { $in: list } = test as Filter
  return Array.isArray(list) && Object.keys(test as Filter).length === 1 ? list : undefined
}

/**
 * All of several filters. Tokens that must all be there are one `$all`, whose first the server looks up: the one that
 * is likely the rarest.
 */
export function joined(filters: readonly Filter[]): Filter {
  const fixed: Filter = {}
  const tokens: string[] = []
  const others: Filter[] = []
  const add = (filter: Filter) => {
    for (const [path, test] of Object.entries(filter)) {
      if (path === '$and') for (const each of test as Filter[]) add(each)
      else if (path === 't' || path === 'del') fixed[path] = test
      else if (path === 'k' && typeof test === 'string') tokens.push(test)
      else if (path === 'k' && Array.isArray((test as Filter)['$all']))
        tokens.push(...((test as Filter)['$all'] as string[]))
      else others.push({ [path]: test })
    }
  }
  for (const each of filters) add(each)
  const distinct = [...new Set(tokens)].sort((a, b) => rarity(a) - rarity(b))
  const k = distinct.length > 1 ? { $all: distinct } : distinct[0]
  return { ...fixed, ...(k !== undefined && { k }), ...(others.length && { $and: others }) }
}

/** Smaller is rarer: a guess by what kind of value it is. */
function rarity(text: string): number {
  if (text === alive) return 9
  const at = text.search(/[|#~=>@^"<* ]/)
  if (at < 0) return 8
  const param = text.slice(0, at)
  switch (text[at]) {
    case '>':
      return text.startsWith('Organization/', at + 1) || text.startsWith('Location/', at + 1) ? 4 : 2
    case '|':
      return param === 'identifier' ? 0 : common.has(param) ? 6 : 3
    case '#':
      return param === 'identifier' ? 1 : common.has(param) ? 7 : 4
    default:
      return 3
  }
}

/** Parameters with a handful of values. */
const common = new Set([
  'status',
  'category',
  'gender',
  'active',
  'class',
  'intent',
  'clinical-status',
  '_tag',
  '_security',
])
