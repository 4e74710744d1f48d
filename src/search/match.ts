/**
 * Whether a resource satisfies an expression: what every store must agree with.
 *
 * https://hl7.org/fhir/R4/search.html
 */
import type { Ref } from '../fhir/index.js'
import {
  type Expression,
  everything,
  fold,
  type IndexEntry,
  type IntervalTest,
  type QuantityTest,
  type ReferenceTest,
  type StringTest,
  type TextTest,
  type TokenTest,
  type UriTest,
} from './expression.js'
import { distanceKm } from './positions.js'

/** A resource as search sees it. */
export type Subject = Ref & { updated: number; entries: readonly IndexEntry[] }

/** The other resources, and what of each type may be found: a chain or `_has` leads to nothing outside of it. */
export type World = {
  resolve(ref: Ref): Subject | undefined
  /** Resources of `type` with a reference entry for `param` to `ref`. */
  referring(type: string, param: string, ref: Ref): Iterable<Subject>
  reach: { of(type: string): Expression }
}

const unlimited: World['reach'] = { of: () => everything }

/** No other resource, and nothing hidden. */
const alone: World = { resolve: () => undefined, referring: () => [], reach: unlimited }

/** @param world needed only for chains and `_has` */
export function match(subject: Subject, expression: Expression, world: World = alone): boolean {
  switch (expression.op) {
    case 'everything':
      return true
    case 'nothing':
      return false
    case 'and':
      return expression.of.every((each) => match(subject, each, world))
    case 'or':
      return expression.of.some((each) => match(subject, each, world))
    case 'not':
      return !match(subject, expression.of, world)
    case 'typed': {
      const of = Object.hasOwn(expression.of, subject.type) ? expression.of[subject.type] : undefined
      return of !== undefined && match(subject, of, world)
    }
    case 'ids':
      return expression.ids.includes(subject.id)
    case 'missing':
      return !subject.entries.some(({ param }) => param === expression.param)
    case 'chain':
      return subject.entries.some((entry) => {
        if (entry.kind !== 'reference' || entry.param !== expression.param) return false
        if (!expression.types.includes(entry.type)) return false
        const target = world.resolve({ type: entry.type, id: entry.id })
        return target !== undefined && found(target, expression.of, world)
      })
    case 'has':
      for (const each of world.referring(expression.type, expression.param, { type: subject.type, id: subject.id }))
        if (found(each, expression.of, world)) return true
      return false
    case 'interval':
      if (expression.param === '_lastUpdated') return compare(expression, { lo: subject.updated, hi: subject.updated })
      return anyEntry(subject.entries, expression)
    default:
      return anyEntry(subject.entries, expression)
  }
}

/** A reach's own chains are not limited by the reach: it says itself what may be seen. */
const found = (subject: Subject, expression: Expression, world: World): boolean =>
  match(subject, world.reach.of(subject.type), { ...world, reach: unlimited }) && match(subject, expression, world)

type Leaf = Extract<Expression, { param: string; op: keyof typeof leaves }>

const anyEntry = (entries: readonly IndexEntry[], test: Leaf): boolean =>
  entries.some((entry) => entry.param === test.param && matchEntry(entry, test))

/** Whether one entry, of the parameter the test is about, satisfies it. */
function matchEntry(entry: IndexEntry, test: Leaf): boolean {
  const leaf = leaves[test.op] as (entry: IndexEntry, test: Leaf) => boolean
  return leaf(entry, test)
}

const leaves = {
  token: (entry: IndexEntry, { system, code }: TokenTest): boolean =>
    entry.kind === 'token' &&
    (system === undefined || (entry.system ?? '') === system) &&
    (code === undefined || entry.code === code),

  string: (entry: IndexEntry, { how, value }: StringTest): boolean => {
    if (entry.kind !== 'string') return false
    switch (how) {
      case 'exact':
        return entry.value === value
      case 'starts':
        return fold(entry.value).startsWith(value)
      case 'contains':
        return fold(entry.value).includes(value)
      case 'equals':
        return fold(entry.value) === value
      case 'ends':
        return fold(entry.value).endsWith(value)
    }
  },

  interval: (entry: IndexEntry, test: IntervalTest): boolean => entry.kind === 'interval' && compare(test, entry),

  quantity: (entry: IndexEntry, test: QuantityTest): boolean => {
    if (entry.kind !== 'quantity') return false
    const { unit } = test
    switch (unit.kind) {
      case 'any':
        return compare(test, entry)
      case 'canonical':
        return entry.canonical?.code === unit.code && compare(test, entry.canonical)
      case 'coded':
        return entry.system === unit.system && entry.code === unit.code && compare(test, entry)
      case 'text':
        return (entry.unit === unit.text || entry.code === unit.text) && compare(test, entry)
    }
  },

  reference: (entry: IndexEntry, { target }: ReferenceTest): boolean => {
    if ('url' in target) return entry.kind === 'reference-url' && entry.url === target.url
    return (
      entry.kind === 'reference' &&
      entry.id === target.id &&
      entry.type === target.type &&
      (target.version === undefined || entry.version === target.version)
    )
  },

  uri: (entry: IndexEntry, { how, value }: UriTest): boolean => {
    if (entry.kind !== 'uri') return false
    if (entry.value === value) return true
    if (how === 'below') return entry.value.startsWith(`${value}/`)
    return how === 'above' && value.startsWith(`${entry.value}/`)
  },

  composite: (entry: IndexEntry, { of }: Extract<Expression, { op: 'composite' }>): boolean =>
    entry.kind === 'composite' && of.every((test, i) => anyEntry(entry.components[i] ?? [], test as Leaf)),

  near: (entry: IndexEntry, test: Extract<Expression, { op: 'near' }>): boolean =>
    entry.kind === 'position' && distanceKm(entry, test) <= test.km,

  text: (entry: IndexEntry, { words }: TextTest): boolean => {
    if (entry.kind !== 'text') return false
    const recorded = entry.words.split(' ')
    return words.every((word) =>
      word.endsWith('*') ? recorded.some((each) => each.startsWith(word.slice(0, -1))) : recorded.includes(word),
    )
  },
}

/** Closed intervals, as IntervalTest says. */
function compare({ prefix, lo, hi }: Pick<IntervalTest, 'prefix' | 'lo' | 'hi'>, { lo: l, hi: h }: Bounds): boolean {
  const equal = lo <= l && h <= hi
  switch (prefix) {
    case 'eq':
      return equal
    case 'ne':
      return !equal
    case 'gt':
      return h > hi
    case 'lt':
      return l < lo
    case 'ge':
      return h > hi || equal
    case 'le':
      return l < lo || equal
    case 'sa':
      return l > hi
    case 'eb':
      return h < lo
    case 'ap':
      return l <= hi && lo <= h
  }
}

type Bounds = { lo: number; hi: number }
