/**
 * What parsing one search knows and may spend.
 */
import { tooCostly } from '../fhir/index.js'
import type { Expression } from './expression.js'
import type { ActiveParam } from './params.js'
import type { ParseContext } from './parsed.js'
import { didYouMean, Refused } from './refused.js'

/**
 * `depth` counts the chains and `_has` around the parameter at hand; `name` is the parameter as it was sent; `known` are
 * the parts of it that were understood already, by type and name.
 */
export type Scope = {
  context: ParseContext
  now: number
  depth: number
  name: string
  known: Map<string, Promise<Expression>>
}

export const chainDepthMax = 8
export const valuesMax = 1000
/** Parts of one search, value sets expanded and chains spread over the types they may lead to. */
export const partsMax = 20_000
/** Codes one value set or hierarchy may add. */
export const codesMax = 5000

export function deeper(scope: Scope): Scope {
  if (scope.depth >= chainDepthMax)
    throw tooCostly(`"${scope.name}" is chained more than ${chainDepthMax} times`, scope.name)
  return { ...scope, depth: scope.depth + 1 }
}

const counted = new WeakMap<Expression, number>()

/** The number of parts, each counted as often as it stands there. */
function parts(expression: Expression): number {
  const known = counted.get(expression)
  if (known !== undefined) return known
  let count = 1
  switch (expression.op) {
    case 'and':
    case 'or':
    case 'composite':
      for (const each of expression.of) count += parts(each)
      break
    case 'not':
    case 'chain':
    case 'has':
      count += parts(expression.of)
      break
    case 'typed':
      for (const each of Object.values(expression.of)) count += parts(each)
      break
    case 'ids':
      count = expression.ids.length
  }
  counted.set(expression, count)
  return count
}

/** @throws FhirError too-costly */
export function affordable(expression: Expression, name: string): Expression {
  if (parts(expression) > partsMax)
    throw tooCostly(`"${name}" makes the search larger than ${partsMax} parts; ask for less at once`, name)
  return expression
}

/**
 * The parameter of a type, ready to be searched.
 *
 * @throws Refused
 */
export function findParam(type: string, code: string, { context, name }: Scope): ActiveParam {
  const { searchParams } = context
  const param = searchParams.find(type, code)
  if (!param) {
    const known = searchParams.of(type).map((each) => each.code)
    throw new Refused(`${nameOf(type)} no search parameter "${code}"${didYouMean(code, known)}`, name)
  }
  if (param.state === 'indexing')
    throw new Refused(`the search parameter "${code}" is still being indexed; try again later`, name)
  if (param.expression === undefined && !withoutExpression.has(code))
    throw new Refused(`the search parameter "${code}" has no expression, so it cannot be searched`, name)
  return param
}

const withoutExpression = new Set(['_text', '_content'])

/** Parameters of every type are looked up as those of `Resource`. */
const nameOf = (type: string): string => (type === 'Resource' ? 'all types together have' : `${type} has`)
