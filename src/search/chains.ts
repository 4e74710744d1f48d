/**
 * Chained parameters and `_has`: criteria on what a resource refers to, and on what refers to it.
 *
 * https://hl7.org/fhir/R4/search.html#chaining
 */
import { FhirError, invalid, isResourceType, resourceTypes } from '../fhir/index.js'
import { criterion } from './criterion.js'
import { type Expression, or } from './expression.js'
import { didYouMean, Refused } from './refused.js'
import { affordable, deeper, findParam, type Scope } from './scope.js'
import { targetsOf } from './value-test.js'

/** `head` is `subject` or `subject:Patient`; `rest` is a parameter of what it leads to, possibly chained again. */
export async function chain(
  type: string,
  head: string,
  rest: string,
  value: string,
  scope: Scope,
): Promise<Expression> {
  return chained(type, head, scope, (target, inner) => criterion(target, rest, value, inner))
}

/**
 * A reference parameter followed to each type it may lead to where `test` is understood.
 *
 * @throws Refused if none of them understands it
 */
export async function chained(
  type: string,
  head: string,
  scope: Scope,
  test: (target: string, scope: Scope) => Promise<Expression>,
): Promise<Expression> {
  const [code = '', modifier, ...more] = head.split(':')
  const param = findParam(type, code, scope)
  if (param.type !== 'reference')
    throw new Refused(`"${code}" is no reference, so nothing can be chained to it`, scope.name)
  const targets = targetsOf(param)
  if (modifier !== undefined && (more.length || !targets.includes(modifier)))
    throw new Refused(`"${code}" does not lead to "${modifier}"${didYouMean(modifier, targets)}`, scope.name)
  const inner = deeper(scope)
  const byTest = new Map<string, { of: Expression; types: string[] }>()
  let failure: FhirError | undefined
  for (const target of modifier === undefined ? targets : [modifier]) {
    let of: Expression
    try {
      of = affordable(await test(target, inner), scope.name)
    } catch (error) {
      // A target that has no such parameter, or one that reads the value otherwise, is passed over: another may do.
      if (!(error instanceof FhirError) || error.issues.some(({ code }) => code === 'too-costly')) throw error
      if (!failure || failure instanceof Refused) failure = error
      continue
    }
    const key = JSON.stringify(of)
    const same = byTest.get(key)
    if (same) same.types.push(target)
    else byTest.set(key, { of, types: [target] })
  }
  if (byTest.size === 0 && failure) throw failure
  const tests = [...byTest.values()].map(({ of, types }): Expression => ({ op: 'chain', param: code, types, of }))
  return affordable(or(...tests), scope.name)
}

/** `_has:Observation:patient:code=…`: some Observation with that code refers to this one as its patient. */
export function has(type: string, name: string, value: string, scope: Scope): Promise<Expression> {
  return hasWhere(type, name, scope, (referring, rest, inner) => criterion(referring, rest, value, inner))
}

/** `rest` is what follows `_has:Type:reference:`, tested on the type that refers. */
export async function hasWhere(
  type: string,
  name: string,
  scope: Scope,
  test: (referring: string, rest: string, scope: Scope) => Promise<Expression>,
): Promise<Expression> {
  const [, referring = '', code = '', ...rest] = name.split(':')
  if (code === '' || rest.length === 0)
    throw invalid(`"${scope.name}" is written _has:Type:reference:parameter`, scope.name)
  if (!isResourceType(referring))
    throw new Refused(`"${referring}" is no resource type${didYouMean(referring, resourceTypes)}`, scope.name)
  const param = findParam(referring, code, scope)
  if (param.type !== 'reference') throw new Refused(`"${code}" of ${referring} is no reference`, scope.name)
  if (type !== 'Resource' && !targetsOf(param).includes(type))
    throw new Refused(`"${code}" of ${referring} does not refer to a ${type}`, scope.name)
  return { op: 'has', type: referring, param: code, of: await test(referring, rest.join(':'), deeper(scope)) }
}
