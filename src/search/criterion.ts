/**
 * One search parameter of a request, with its modifier, chain or `_has`, as an expression on a type.
 *
 * https://hl7.org/fhir/R4/search.html#modifiers
 */
import { invalid, isResourceType, tooCostly } from '../fhir/index.js'
import { chain, has } from './chains.js'
import { dateTest } from './dates.js'
import { splitEscaped, unescaped } from './escapes.js'
import { and, type Expression, everything, not, nothing, or } from './expression.js'
import { parseFilter } from './filter.js'
import { typesYielded } from './index-plan.js'
import type { ActiveParam } from './params.js'
import { referenceTest } from './references.js'
import { Refused } from './refused.js'
import { affordable, findParam, type Scope, valuesMax } from './scope.js'
import { stringTest } from './strings.js'
import { codesBelow, codesIn } from './subsumption.js'
import { ofTypeTest, tokenTest } from './tokens.js'
import { targetsOf, valueTest } from './value-test.js'
import { wordsTest } from './words.js'

/**
 * @throws Refused for what is unknown or not supported, FhirError for values that cannot be read
 */
export function criterion(type: string, name: string, value: string, scope: Scope): Promise<Expression> {
  // A chain over many types meets the same remainder on the same type again and again.
  const key = `${type} ${name}`
  let known = scope.known.get(key)
  if (!known) {
    known = understood(type, name, value, scope)
    scope.known.set(key, known)
  }
  return known
}

async function understood(type: string, name: string, value: string, scope: Scope): Promise<Expression> {
  if (name.startsWith('_has:')) return has(type, name, value, scope)
  const dot = name.indexOf('.')
  if (dot >= 0) return chain(type, name.slice(0, dot), name.slice(dot + 1), value, scope)
  const [code = '', modifier, ...more] = name.split(':')
  if (more.length) throw new Refused(`"${name}" has more than one modifier`, scope.name)
  const values = valuesOf(value, scope)
  const special = Object.hasOwn(specials, code) ? specials[code] : undefined
  if (special) return special({ code, type, modifier, values, value, scope })
  const param = findParam(type, code, scope)
  const test = await modified(param, type, modifier, values, scope)
  return affordable(test, scope.name)
}

/** The or-list of a value. */
function valuesOf(value: string, { name }: Scope): string[] {
  const values = splitEscaped(value, ',')
  if (values.length > valuesMax) throw tooCostly(`"${name}" takes at most ${valuesMax} values`, name)
  if (values.some((each) => each === ''))
    throw invalid(value === '' ? `"${name}" has no value` : `"${name}" has an empty value in its list`, name)
  return values
}

type Given = { code: string; type: string; modifier: string | undefined; values: string[]; value: string; scope: Scope }

/** Parameters that no index entry answers, or not by the rules of their type. */
const specials: Record<string, ((given: Given) => Promise<Expression> | Expression) | undefined> = {
  _id: ({ modifier, values, scope }) => {
    const ids: Expression = { op: 'ids', ids: [...new Set(values.map(unescaped))] }
    if (modifier === undefined) return ids
    if (modifier === 'not') return not(ids)
    if (modifier === 'missing') return isMissing(values, scope) ? nothing : everything
    throw unknownModifier('_id', modifier, ['missing', 'not'], scope)
  },
  _lastUpdated: ({ code, modifier, values, scope }) => {
    if (modifier === 'missing') return isMissing(values, scope) ? nothing : everything
    if (modifier !== undefined) throw unknownModifier(code, modifier, ['missing'], scope)
    const { context, now, name } = scope
    return or(...values.map((each) => dateTest(code, unescaped(each), name, { zone: context.zone, now })))
  },
  _text: fullText,
  _content: fullText,
  _list: ({ modifier, values, scope }) => {
    if (modifier !== undefined) throw unknownModifier('_list', modifier, [], scope)
    const ids = values.map((each) => unescaped(each).replace(/^List\//, ''))
    if (ids.some((id) => id.startsWith('$')))
      throw new Refused(
        '"_list" takes ids of lists; functional lists such as $current-problems are not kept',
        scope.name,
      )
    return { op: 'has', type: 'List', param: 'item', of: { op: 'ids', ids } }
  },
  _filter: ({ type, modifier, value, scope }) => {
    if (modifier !== undefined) throw unknownModifier('_filter', modifier, [], scope)
    return parseFilter(type, value, scope)
  },
}

function fullText({ code, modifier, values, scope }: Given): Expression {
  const param = code as '_text' | '_content'
  if (modifier === 'missing') return missing(param, isMissing(values, scope))
  if (modifier !== undefined) throw unknownModifier(code, modifier, ['missing'], scope)
  return or(...values.map((each) => wordsTest(param, unescaped(each), scope.name)))
}

const missing = (param: string, absent: boolean): Expression =>
  absent ? { op: 'missing', param } : not({ op: 'missing', param })

function isMissing([value, ...more]: string[], { name }: Scope): boolean {
  if (more.length || (value !== 'true' && value !== 'false')) throw invalid(`"${name}" takes true or false`, name)
  return value === 'true'
}

async function modified(
  param: ActiveParam,
  type: string,
  modifier: string | undefined,
  values: string[],
  scope: Scope,
): Promise<Expression> {
  const { code } = param
  const { name, context } = scope
  const any = (test: (value: string) => Expression): Expression => or(...values.map(test))
  if (modifier === undefined) return any((value) => valueTest(param, type, value, scope))
  if (modifier === 'missing') return missingTest(param, type, isMissing(values, scope))
  switch (`${param.type}:${modifier}`) {
    case 'string:exact':
    case 'string:contains':
      if (param.usage === 'phonetic') break
      return any((value) => stringTest(code, modifier === 'exact' ? 'exact' : 'contains', unescaped(value), name))
    case 'token:text':
      return any((value) => stringTest(`${code}:text`, 'starts', unescaped(value), name))
    case 'token:not':
      return not(any((value) => valueTest(param, type, value, scope)))
    case 'token:of-type':
      if (typesYielded(param, type)?.includes('Identifier') === false) break
      return any((value) => ofTypeTest(code, value, name))
    case 'token:in':
      return or(...(await Promise.all(values.map((value) => codesIn(code, unescaped(value), scope)))))
    case 'token:not-in':
      return not(or(...(await Promise.all(values.map((value) => codesIn(code, unescaped(value), scope))))))
    case 'token:below':
    case 'token:above':
      return or(
        ...(await Promise.all(
          values.map((value) =>
            codesBelow(tokenTest(code, value, name), modifier === 'below' ? 'below' : 'above', scope),
          ),
        )),
      )
    case 'uri:below':
    case 'uri:above':
      return any((value) => ({
        op: 'uri',
        param: code,
        how: modifier === 'below' ? 'below' : 'above',
        // A final slash says nothing: what is below http://acme.org/fhir/ is what is below http://acme.org/fhir.
        value: unescaped(value).replace(/(?<=[^/])\/$/, ''),
      }))
    case 'reference:identifier':
      return any((value) => tokenTest(`${code}:identifier`, value, name))
    case 'reference:above':
    case 'reference:below':
      throw new Refused(`"${name}": hierarchies of references and canonical versions are not searched`, name)
  }
  if (param.type === 'reference' && isResourceType(modifier)) {
    if (!targetsOf(param).includes(modifier))
      throw invalid(`"${code}" does not refer to a ${modifier}, but to ${targetsOf(param).join(', ')}`, name)
    const options = { targets: [modifier], baseUrls: context.baseUrls }
    return any((value) => {
      const test = referenceTest(code, unescaped(value), name, options)
      if (test.op === 'reference' && 'type' in test.target && test.target.type !== modifier)
        throw invalid(`"${name}" asks for a ${modifier}, but the value is a ${test.target.type}`, name)
      return test
    })
  }
  throw unknownModifier(code, modifier, modifiersOf(param), scope)
}

/** The modifiers a parameter of a type has, as they are named in errors and in /metadata. */
function modifiersOf(param: ActiveParam): string[] {
  const own: Partial<Record<ActiveParam['type'], string[]>> = {
    string: param.usage === 'phonetic' ? [] : ['exact', 'contains'],
    token: ['text', 'not', 'in', 'not-in', 'below', 'above', 'of-type'],
    reference: ['identifier', 'a type'],
    uri: ['below', 'above'],
  }
  return ['missing', ...(own[param.type] ?? [])]
}

function unknownModifier(code: string, modifier: string, known: string[], { name }: Scope): Refused {
  const offered = known.length ? `it has ${known.join(', ')}` : 'it has none'
  return new Refused(`"${code}" has no modifier "${modifier}"; ${offered}`, name)
}

/** A value that is only text, or only an identifier, is a value too. */
export function missingTest(param: ActiveParam, type: string, absent: boolean): Expression {
  const { code } = param
  const types = typesYielded(param, type) ?? []
  const also =
    param.type === 'reference' && types.includes('Reference')
      ? [`${code}:identifier`]
      : param.type === 'token' && types.some((each) => each === 'CodeableConcept' || each === 'Coding')
        ? [`${code}:text`]
        : []
  const all = and(...[code, ...also].map((each): Expression => ({ op: 'missing', param: each })))
  return absent ? all : not(all)
}
