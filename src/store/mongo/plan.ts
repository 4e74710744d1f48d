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
  custodianParam,
  type Expression,
  everything,
  fold,
  type IntervalTest,
  nothing,
  type QuantityTest,
  type Reach,
  type StringTest,
  type TokenTest,
  type UriTest,
} from '../../search/index.js'
import { StoreLimit } from '../store.js'
import { keyName } from './document.js'
import { after, asExpression, type Filter, some, startingWith } from './filter.js'
import { bounds, momentBounds } from './intervals.js'
import { withinReach } from './positions.js'
import type { Reader } from './reader.js'
import {
  amongMany,
  isBroad,
  isIdentifying,
  isListedBySystem,
  isPatient,
  mixed,
  named,
  numberOf,
  ofPatient,
  referenceOf,
  series,
  systemText,
  targetOf,
  token,
} from './tokens.js'

/** The type at hand. Inside a reach (`trusted`) nothing is added: it says itself what may be seen. */
export type Scope = { type: string; trusted: boolean }

/** A filter, or what needs none. */
export type Test = { kind: 'filter'; filter: Filter } | { kind: 'all' } | { kind: 'never' }

const never: Test = { kind: 'never' }
const everyone: Test = { kind: 'all' }
const tested = (filter: Filter): Test => ({ kind: 'filter', filter })

/** A filter nothing satisfies, which the server answers without looking. */
export const impossible: Filter = { _id: { $in: [] } }

export class Plan {
  constructor(
    readonly reader: Reader,
    private readonly reach: Reach,
    /** Most resources a chain may lead through. */
    private readonly targetsMax: number,
  ) {}

  /**
   * What finds the living resources of a type that satisfy the expression and are within reach; undefined if none can.
   * `order` is the one it will be read in, where indexes have it.
   */
  async find(type: string, where: Expression, order?: 'updated' | 'dated'): Promise<Filter | undefined> {
    const test = await this.visible({ type, trusted: false }, where)
    if (test.kind === 'never') return undefined
    const filter = joined([this.living(type), test.kind === 'all' ? {} : test.filter])
    return { ...filter, ...narrower(filter, order) }
  }

  /** Those of the living resources that are found so which the caller may see. */
  async among(type: string, found: Filter): Promise<Filter | undefined> {
    const test = await this.visible({ type, trusted: false }, everything)
    if (test.kind === 'never') return undefined
    return joined([this.living(type), found, test.kind === 'all' ? {} : test.filter])
  }

  /** Resources of the tenant, but for deleted ones and those of classes that are out of reach. */
  private living(type: string): Filter {
    const { classes } = this.reader.root
    const custodians = custodiansOf(this.reach.of(type), type)
    const seen = custodians ? classes.filter((each) => each === mixed || custodians.has(each)) : classes
    return { t: this.reader.tenant, vis: seen.length === 1 ? seen[0] : { $in: seen } }
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
          filter: { _id: { $in: [...new Set(where.ids)].map((id) => this.reader.key(id)) } },
        }
      case 'missing':
        return tested({ q: { $ne: named(where.param) }, [`s.${keyName(where.param)}`]: { $exists: false } })
      case 'interval':
        return where.param === '_lastUpdated' ? tested(momentBounds(where)) : tested(leaf(where))
      case 'token':
      case 'string':
      case 'quantity':
      case 'reference':
      case 'uri':
        return tested(topmost(where))
      case 'composite':
        return tested(composite(where))
      case 'near': {
        const name = named(where.param)
        return tested({ $and: [{ x: name }, withinReach(name, where)] })
      }
      case 'text':
        return tested(
          joined([
            ...(where.words.length ? [] : [{ q: named(where.param) }]),
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
    return tested(referringBy(found.map(({ type, id }) => token.reference(param, `${type}/${id}`))))
  }

  /** What resources of the other type that satisfy the inner query refer to. */
  private async has(scope: Scope, { type, param, of }: Extract<Expression, { op: 'has' }>): Promise<Test> {
    const filter = await this.inner({ type, trusted: scope.trusted }, of)
    if (!filter) return never
    const from = token.reference(param, `${scope.type}/`)
    const found = await this.reader.values(type, joined([filter, { q: startingWith(from) }]), from, this.targetsMax + 1)
    if (found.length > this.targetsMax) throw new StoreLimit('resources on the way of a chain', this.targetsMax)
    const ids = found.flatMap((text) => referenceOf(text)?.id ?? [])
    if (!ids.length) return never
    return { kind: 'filter', filter: { _id: { $in: ids.map((id) => this.reader.key(id)) } } }
  }

  private async inner(scope: Scope, of: Expression): Promise<Filter | undefined> {
    if (!scope.trusted) return this.find(scope.type, of)
    const trusting = new Plan(this.reader, { ...this.reach, of: () => ({ op: 'everything' }) }, this.targetsMax)
    return trusting.find(scope.type, of)
  }
}

/** The custodians one of which a resource must have; undefined where it may be any. */
function custodiansOf(where: Expression, type: string): Set<string> | undefined {
  switch (where.op) {
    case 'nothing':
      return new Set()
    case 'token':
      return where.param === custodianParam && where.code !== undefined ? new Set([where.code]) : undefined
    case 'typed':
      return custodiansOf(Object.hasOwn(where.of, type) ? where.of[type]! : nothing, type)
    case 'and':
      return where.of
        .flatMap((each) => custodiansOf(each, type) ?? [])
        .reduce<Set<string> | undefined>((some, more) => (some ? intersection(some, more) : more), undefined)
    case 'or': {
      const each = where.of.map((one) => custodiansOf(one, type))
      return each.every((one) => one !== undefined) ? new Set(each.flatMap((one) => [...one])) : undefined
    }
    default:
      return undefined
  }
}

const intersection = (a: Set<string>, b: Set<string>): Set<string> => new Set([...a].filter((each) => b.has(each)))

const oneOf = (values: readonly (string | number)[]): unknown => {
  const [only, ...more] = values
  return more.length ? { $in: values } : only
}

type Leaf = TokenTest | StringTest | IntervalTest | QuantityTest | UriTest | Extract<Expression, { op: 'reference' }>

/** A test of a resource's own values; where only an expression can say it, an index narrows first. */
function topmost(test: Leaf): Filter {
  return needsExpression(test) ? { $and: [{ k: startingWith(token.folded(test.param, '')) }, leaf(test)] } : leaf(test)
}

/** Only a pattern or an expression finds a text inside another. */
const needsExpression = (test: Leaf): boolean =>
  test.op === 'string' && (test.how === 'contains' || test.how === 'ends')

/** A test of values that lie in `k`, `x` and `d`. */
function leaf(test: Leaf): Filter {
  switch (test.op) {
    case 'token': {
      const { param, system, code } = test
      if (code === undefined && isListedBySystem(param)) return { x: token.system(param, system ?? '') }
      if (code === undefined) {
        const ofSystem = startingWith(token.coded(param, system ?? '', ''))
        return { $or: [{ q: token.system(param, system ?? '') }, { q: ofSystem }] }
      }
      if (param === custodianParam)
        return { q: system === undefined ? token.code(param, code) : token.coded(param, system, code) }
      if (isIdentifying(param))
        return system === undefined ? { x: token.code(param, code) } : { k: token.coded(param, system, code) }
      return {
        k: token.code(param, code),
        ...(system !== undefined && { q: token.coded(param, system, code) }),
      }
    }
    case 'string':
      switch (test.how) {
        case 'starts':
          return { k: startingWith(token.folded(test.param, test.value)) }
        case 'equals':
          return { k: token.folded(test.param, test.value) }
        case 'exact':
          return { k: token.folded(test.param, fold(test.value)), q: token.exact(test.param, test.value) }
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
      return referringBy([token.reference(test.param, targetOf(test.target))])
    case 'interval':
      return { d: { $elemMatch: { p: series.interval(test.param), ...bounds(test) } } }
    case 'quantity':
      return { d: { $elemMatch: { ...seriesOf(test), ...bounds(test) } } }
  }
}

function seriesOf({ param, unit }: QuantityTest): { p: string; s?: string } {
  switch (unit.kind) {
    case 'any':
      return { p: series.any(param) }
    case 'canonical':
      return { p: series.canonical(param, unit.code) }
    case 'coded':
      return { p: series.text(param, unit.code), s: systemText(unit.system) }
    case 'text':
      return { p: series.text(param, unit.text) }
  }
}

/** What refers so: the index has the target whatever refers to it. */
export function referringBy(references: readonly string[]): Filter {
  const links = references.map((text) => text.slice(text.indexOf('>')).replace(/\/_history\/.*$/, ''))
  return { k: oneOf([...new Set(links)]), q: oneOf(references) }
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
  const first = narrowing.length ? narrowing : [{ x: p }]
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
  return { kind: 'filter', filter: joined(filters.map(({ filter }) => filter)) }
}

function any(tests: readonly Test[]): Test {
  if (tests.some(({ kind }) => kind === 'all')) return everyone
  const filters = tests.flatMap((test) => (test.kind === 'filter' ? [test] : []))
  if (filters.length <= 1) return filters[0] ?? never
  return { kind: 'filter', filter: either(filters.map(({ filter }) => filter)) }
}

/** Filters of which several become one. */
const shapes = [['k'], ['x'], ['q'], ['_id'], ['k', 'q']]

/**
 * Values of one list side by side are one list of values, which an index answers in order. Where `q` has what makes it
 * exact, that says everything, and `k` finds it.
 */
function either(filters: readonly Filter[]): Filter {
  const values: Record<string, Record<string, Set<unknown>>> = {}
  const others: Filter[] = []
  for (const filter of filters.flatMap((each) => (isOnly(each, '$or') ? (each['$or'] as Filter[]) : [each]))) {
    const shape = shapes.find((paths) => isOnly(filter, ...paths))
    const asked = (shape ?? []).map((path) => ({ path, list: valuesOf(filter[path]) }))
    if (!shape || asked.some(({ list }) => !list)) {
      others.push(filter)
      continue
    }
    values[shape.join()] ??= {}
    const of = values[shape.join()]!
    for (const { path, list } of asked) {
      of[path] ??= new Set()
      for (const value of list!) of[path].add(value)
    }
  }
  const lists = Object.values(values).map((of) =>
    Object.fromEntries(
      Object.entries(of).map(([path, list]) => [
        path,
        list.size === 1 && path !== '_id' ? [...list][0] : { $in: [...list] },
      ]),
    ),
  )
  const alternatives = [...lists, ...others]
  return alternatives.length === 1 ? alternatives[0]! : { $or: alternatives }
}

const isOnly = (filter: Filter, ...paths: string[]): boolean =>
  Object.keys(filter).length === paths.length && paths.every((path) => path in filter)

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
  const lists: Record<'k' | 'q', Set<string>> = { k: new Set(), q: new Set() }
  const others: Filter[] = []
  const add = (filter: Filter) => {
    for (const [path, test] of Object.entries(filter)) {
      const list = path === 'k' || path === 'q' ? lists[path] : undefined
      const all = typeof test === 'object' && test !== null ? (test as Filter)['$all'] : undefined
      if (path === '$and') for (const each of test as Filter[]) add(each)
      else if (path === 't' || path === 'vis' || path === 'del') fixed[path] = test
      else if (list && typeof test === 'string') list.add(test)
      else if (list && Array.isArray(all)) for (const each of all as string[]) list.add(each)
      else others.push({ [path]: test })
    }
  }
  for (const each of filters) add(each)
  const every = (list: readonly string[]) => (list.length > 1 ? { $all: list } : list[0])
  const k = [...lists.k].sort((a, b) => rarity(a) - rarity(b))
  return {
    ...fixed,
    ...(k.length && { k: every(k) }),
    ...(lists.q.size && { q: every([...lists.q]) }),
    ...(others.length && { $and: others }),
  }
}

/** More ranges than these are not merged into one order. */
const rangesMax = 100

/**
 * What finds the same in the order asked for, or a patient's resources of a kind: numbers that stand for one of the
 * filter's alternatives. They are added to the filter, which goes on saying what is exact.
 */
function narrower(filter: Filter, order: 'updated' | 'dated' | undefined): Filter {
  const { k, $and: others = [] } = filter as { k?: string | { $all: string[] }; $and?: Filter[] }
  const alternatives = [
    ...(typeof k === 'string' ? [k] : (k?.$all ?? [])).map((each) => [each]),
    ...others.flatMap((each) => {
      const values = Object.keys(each).every((path) => path === 'k') ? valuesOf(each['k']) : undefined
      return values ? [values as string[]] : []
    }),
  ]
  const usable = (is: (text: string) => boolean) =>
    alternatives
      .filter((each) => each.length > 0 && each.length <= rangesMax && each.every(is))
      .sort((a, b) => a.length - b.length)[0]
  const patients = usable(isPatient)
  const broad = usable(isBroad)
  if (patients && (order === 'dated' || (broad && patients.length * (broad.length + 1) <= rangesMax))) {
    const each = broad && patients.length * (broad.length + 1) <= rangesMax ? broad : [undefined]
    const numbers = patients.flatMap((one) => [amongMany(one), ...each.map((text) => ofPatient(one, text))])
    return { pt: { $in: numbers } }
  }
  return order && broad ? { n: oneOf(broad.map(numberOf)) } : {}
}

/** Smaller is rarer: a guess by what kind of value it is. */
function rarity(text: string): number {
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
