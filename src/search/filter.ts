/**
 * `_filter`: what its operators mean for each type of search parameter.
 *
 * https://hl7.org/fhir/R4/search_filter.html
 *
 * A negative operator (`ne`, `ni`) finds what its positive one does not, resources without the value included, as `:not`
 * does; for dates, numbers and quantities `ne` is the prefix of that name.
 */
import { invalid } from '../fhir/index.js'
import { chained, hasWhere } from './chains.js'
import { missingTest } from './criterion.js'
import { dateTest } from './dates.js'
import { and, type Expression, not, or } from './expression.js'
import { type Filter, type Operator, type PathStep, readFilter } from './filter-syntax.js'
import type { ActiveParam } from './params.js'
import { Refused } from './refused.js'
import { affordable, findParam, type Scope } from './scope.js'
import { stringTest } from './strings.js'
import { codesBelow, codesIn } from './subsumption.js'
import { tokenTest } from './tokens.js'
import { valueTest } from './value-test.js'
import { wordsTest } from './words.js'

export async function parseFilter(type: string, text: string, scope: Scope): Promise<Expression> {
  return affordable(await expressionOf(type, readFilter(text), scope), scope.name)
}

async function expressionOf(type: string, filter: Filter, scope: Scope): Promise<Expression> {
  switch (filter.kind) {
    case 'and':
      return and(...(await Promise.all(filter.of.map((each) => expressionOf(type, each, scope)))))
    case 'or':
      return or(...(await Promise.all(filter.of.map((each) => expressionOf(type, each, scope)))))
    case 'not':
      return not(await expressionOf(type, filter.of, scope))
    case 'test':
      return along(type, filter.path, filter, scope)
  }
}

type Test = { operator: Operator; value: string }

async function along(type: string, [first, ...rest]: PathStep[], test: Test, scope: Scope): Promise<Expression> {
  const { name, where } = first!
  if (rest.length === 0) {
    if (where) throw invalid('"_filter": a filter in brackets is followed by a dot and a name', '_filter')
    if (name.startsWith('_has:'))
      return hasWhere(type, name, scope, (referring, last, inner) => compared(referring, last, test, inner))
    return compared(type, name, test, scope)
  }
  return chained(type, name, scope, async (target, inner) => {
    const follows = await along(target, rest, test, inner)
    return where ? and(await expressionOf(target, where, inner), follows) : follows
  })
}

async function compared(type: string, name: string, { operator, value }: Test, scope: Scope): Promise<Expression> {
  const code = name === 'id' ? '_id' : name
  if (code === '_id') {
    const ids: Expression = { op: 'ids', ids: [value] }
    if (operator === 'eq') return ids
    if (operator === 'ne') return not(ids)
    throw unsuited('_id', operator, ['eq', 'ne'], scope)
  }
  if (code === '_text' || code === '_content') {
    if (operator === 'co' || operator === 'eq') return wordsTest(code, value, scope.name)
    throw unsuited(code, operator, ['co', 'eq'], scope)
  }
  const param = findParam(type, code, scope)
  if (operator === 'pr') {
    if (value !== 'true' && value !== 'false') throw invalid(`"_filter": pr takes true or false`, '_filter')
    return missingTest(param, type, value === 'false')
  }
  return comparisons[param.type]({ param, type, operator, value, scope })
}

type Comparison = { param: ActiveParam; type: string; operator: Operator; value: string; scope: Scope }
type Compare = (comparison: Comparison) => Expression | Promise<Expression>

/** The value with a prefix, as valueTest reads it; what the grammar of search would unescape is kept. */
const plainTest = ({ param, type, value, scope }: Comparison, prefix = ''): Expression =>
  valueTest(param, type, prefix + value.replace(/\\/g, '\\\\'), scope)

const ordered = ['eq', 'ne', 'gt', 'lt', 'ge', 'le', 'ap', 'sa', 'eb']

const comparesNumbers: Compare = (given) => {
  if (!ordered.includes(given.operator)) throw unsuited(given.param.code, given.operator, ordered, given.scope)
  return plainTest(given, given.operator)
}

const comparesEquality: Compare = (given) => {
  if (given.operator === 'eq') return plainTest(given)
  if (given.operator === 'ne') return not(plainTest(given))
  throw unsuited(given.param.code, given.operator, ['eq', 'ne'], given.scope)
}

const comparisons: Record<ActiveParam['type'], Compare> = {
  number: comparesNumbers,
  quantity: comparesNumbers,
  composite: comparesEquality,
  uri: comparesEquality,
  date: (given) => {
    if (given.operator !== 'po') return comparesNumbers(given)
    const { param, value, scope } = given
    // "True if a (implied) date period in the set overlaps with the implied period in the value": ap, not widened.
    return { ...dateTest(param.code, value, scope.name, { zone: scope.context.zone, now: scope.now }), prefix: 'ap' }
  },
  reference: (given) => (given.operator === 're' ? plainTest(given) : comparesEquality(given)),
  token: async (given) => {
    const { param, operator, value, scope } = given
    switch (operator) {
      case 'in':
        return codesIn(param.code, value, scope)
      case 'ni':
        return not(await codesIn(param.code, value, scope))
      // "True if the value subsumes a concept in the set": the set holds the value or something below it.
      case 'ss':
        return codesBelow(tokenTest(param.code, value, scope.name), 'below', scope)
      case 'sb':
        return codesBelow(tokenTest(param.code, value, scope.name), 'above', scope)
      default:
        return comparesEquality(given)
    }
  },
  string: (given) => {
    const { param, operator, value, scope } = given
    if (param.usage === 'phonetic') return comparesEquality(given)
    switch (operator) {
      case 'eq':
        return stringTest(param.code, 'equals', value, scope.name)
      case 'ne':
        return not(stringTest(param.code, 'equals', value, scope.name))
      case 'co':
        return stringTest(param.code, 'contains', value, scope.name)
      case 'sw':
        return stringTest(param.code, 'starts', value, scope.name)
      case 'ew':
        return stringTest(param.code, 'ends', value, scope.name)
      default:
        throw unsuited(param.code, operator, ['eq', 'ne', 'co', 'sw', 'ew', 'pr'], scope)
    }
  },
  special: ({ param, operator, scope }) => {
    throw unsuited(param.code, operator, ['pr'], scope)
  },
}

function unsuited(code: string, operator: Operator, known: readonly string[], { name }: Scope): Refused {
  return new Refused(`"_filter": "${code}" is not compared by ${operator}; it takes ${known.join(', ')}`, name)
}
