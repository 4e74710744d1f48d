/**
 * One value of a search parameter without modifier, as the test it stands for.
 *
 * https://hl7.org/fhir/R4/search.html#ptypes
 */
import { invalid, resourceTypes } from '../fhir/index.js'
import { dateTest } from './dates.js'
import { splitEscaped, unescaped } from './escapes.js'
import { type Expression, or } from './expression.js'
import { typesYielded } from './index-plan.js'
import { numberTest } from './numbers.js'
import type { ActiveParam } from './params.js'
import { phoneticTest } from './phonetics.js'
import { nearTest } from './positions.js'
import { quantityTest } from './quantities.js'
import { referenceTest } from './references.js'
import { Refused } from './refused.js'
import type { Scope } from './scope.js'
import { stringTest } from './strings.js'
import { tokenTest } from './tokens.js'

/** `text` is one of an or-list, its other escapes still in it; `type` is the type that is searched. */
export function valueTest(param: ActiveParam, type: string, text: string, scope: Scope): Expression {
  const { code } = param
  const { context, now, name } = scope
  switch (param.type) {
    case 'string':
      return param.usage === 'phonetic'
        ? phoneticTest(code, unescaped(text), name)
        : stringTest(code, 'starts', unescaped(text), name)
    case 'token':
      return tokenTest(code, text, name)
    case 'date':
      return dateTest(code, unescaped(text), name, { zone: context.zone, now })
    case 'number':
      return numberTest(code, unescaped(text), name, isWhole(param, type))
    case 'quantity':
      return quantityTest(code, text, name)
    case 'reference':
      return referenceTest(code, unescaped(text), name, { targets: targetsOf(param), baseUrls: context.baseUrls })
    case 'uri':
      return { op: 'uri', param: code, how: 'exact', value: unescaped(text) }
    case 'composite':
      return compositeTest(param, type, text, scope)
    case 'special':
      if (code === 'near') return nearTest(code, text, name)
      throw new Refused(`the search parameter "${code}" is of type special, which only "near" is supported of`, name)
  }
}

const wholeTypes = new Set(['integer', 'positiveInt', 'unsignedInt'])

/** Whether the parameter reads elements that hold whole numbers only. */
function isWhole(param: ActiveParam, type: string): boolean {
  const types = typesYielded(param, type)
  return types !== undefined && types.length > 0 && types.every((each) => wholeTypes.has(each))
}

/** What a reference may lead to; the definition of a few parameters does not say. */
export const targetsOf = ({ target }: { target?: string[] }): readonly string[] => target ?? resourceTypes

/** `value$value`: each part is tested as its component's parameter would be, under the name `$0`, `$1`, … */
function compositeTest(param: ActiveParam, type: string, text: string, scope: Scope): Expression {
  const components = param.component ?? []
  const values = splitEscaped(text, '$')
  if (values.length !== components.length || values.some((value) => value === ''))
    throw invalid(`"${scope.name}" takes ${components.length} values joined by $`, scope.name)
  const tests = components.map(({ definition }, i) => {
    const component = scope.context.searchParams.byUrl(definition)
    if (!component || component.type === 'composite')
      throw new Refused(`the composite "${param.code}" names a component that is not known`, scope.name)
    return valueTest({ ...component, code: `$${i}` }, type, values[i]!, scope)
  })
  return alternatives(tests, (of) => ({ op: 'composite', param: param.code, of }))
}

/** A component that may be one of several (an id of any type) makes as many composites. */
function alternatives(tests: Expression[], make: (of: Expression[]) => Expression): Expression {
  const at = tests.findIndex((test) => test.op === 'or')
  const test = tests[at]
  if (test?.op !== 'or') return make(tests)
  return or(...test.of.map((each) => alternatives(tests.with(at, each), make)))
}
