/**
 * FHIRPath expressions of invariants made into functions: the forms that invariants are mostly written in.
 *
 * https://hl7.org/fhir/R4/fhirpath.html
 *
 * The engine takes 20 to 100 µs for an expression, these functions one or two. What is not understood here is left to
 * the engine: an expression when it is read, and a value whose answer is not certain (dates of different precision,
 * quantities, elements that have extensions only) when it is met, by throwing `unsure`.
 */
import { Decimal, isObject, type Json, type JsonObject, typeDefinition } from '../fhir/index.js'
import { type Expression, parseExpression } from './closure-grammar.js'

/** Thrown where only the engine can tell. */
export const unsure = Symbol('unsure')

/** An element in hand; results of operators have the types of FHIRPath itself, such as `System.Boolean`. */
type Node = { value: Json; type: string }
type Nodes = readonly Node[]
export type Variables = { resource: JsonObject; rootResource: JsonObject }
type Scope = { variables: Variables; context: Nodes }
type Evaluate = (focus: Nodes, scope: Scope) => Nodes

/** true, false, or undefined for an empty result. */
export type Closure = (element: Json, variables: Variables) => boolean | undefined

/** The expression for elements of the type (or at the path) `base`; undefined where it must be left to the engine. */
export function closureOf(expression: string, base: string): Closure | undefined {
  const type = typeAt(base)
  const parsed = type === undefined ? undefined : parseExpression(expression)
  const evaluate = parsed && compile(parsed, true)
  if (!evaluate) return undefined
  return (element, variables) => {
    const own =
      isObject(element) && typeof element['resourceType'] === 'string' && isResource(type!)
        ? element['resourceType']
        : type!
    const context = [{ value: element, type: own }]
    return truth(evaluate(context, { variables, context }))
  }
}

const isResource = (type: string) => typeDefinition(type)?.kind === 'resource'

/** The type at a path: itself, or that of an element which has but one. */
function typeAt(base: string): string | undefined {
  if (typeDefinition(base)) return base
  const dot = base.lastIndexOf('.')
  const element = typeDefinition(base.slice(0, Math.max(dot, 0)))?.elements.find(
    ({ name }) => name === base.slice(dot + 1),
  )
  return element?.types.length === 1 ? element.types[0]!.code : undefined
}

const none: Nodes = []
const yes: Nodes = [{ value: true, type: 'System.Boolean' }]
const no: Nodes = [{ value: false, type: 'System.Boolean' }]
const answer = (truth: boolean | undefined): Nodes => (truth === undefined ? none : truth ? yes : no)

function truth(nodes: Nodes): boolean | undefined {
  if (nodes.length === 0) return undefined
  const { value } = nodes[0]!
  if (nodes.length > 1 || typeof value !== 'boolean') throw unsure
  return value
}

/** `first` is the expression's beginning, where a name may be that of the type. */
function compile(expression: Expression, first = false): Evaluate | undefined {
  switch (expression.kind) {
    case 'literal': {
      const { value } = expression
      const type = { string: 'System.String', number: 'System.Decimal', boolean: 'System.Boolean' }[
        typeof value as 'string'
      ]
      const nodes: Nodes = [{ value, type: type! }]
      return () => nodes
    }
    case 'empty':
      return () => none
    case 'this':
      return (focus) => focus
    case 'variable':
      return variable(expression.name)
    case 'member':
      return member(expression.name, first)
    case 'path': {
      const left = compile(expression.left, first)
      const right = compile(expression.right)
      return left && right && ((focus, scope) => right(left(focus, scope), scope))
    }
    case 'index': {
      const left = compile(expression.left, first)
      const { index } = expression
      return left && ((focus, scope) => left(focus, scope).slice(index, index + 1))
    }
    case 'is': {
      const left = compile(expression.left, first)
      return left && ((focus, scope) => isType(left(focus, scope), expression.type))
    }
    case 'as': {
      const left = compile(expression.left, first)
      return left && ((focus, scope) => ofType(left(focus, scope), expression.type))
    }
    case 'operator':
      return operator(expression, first)
    case 'call':
      return call(expression)
  }
}

const ucum: Nodes = [{ value: 'http://unitsofmeasure.org', type: 'System.String' }]

function variable(name: string): Evaluate | undefined {
  if (name === 'context') return (_focus, { context }) => context
  if (name === 'ucum') return () => ucum
  if (name !== 'resource' && name !== 'rootResource') return undefined
  return (_focus, { variables }) => {
    const value = variables[name]
    return [{ value, type: String(value['resourceType']) }]
  }
}

function member(name: string, first: boolean): Evaluate {
  const child: Evaluate = (focus) => {
    if (focus.length === 0) return none
    const found: Node[] = []
    for (const node of focus) children(node, name, found)
    return found
  }
  if (!first || !/^[A-Z]/.test(name)) return child
  return (focus) => {
    if (focus[0]?.type !== name) throw unsure
    return focus
  }
}

type Way = { property: string; type: string; many: boolean; isResource: boolean }

const waysByType = new Map<string, Map<string, Way[]>>()

function waysOf(type: string): Map<string, Way[]> | undefined {
  let ways = waysByType.get(type)
  if (!ways) {
    const definition = typeDefinition(type)
    if (!definition) return undefined
    ways = new Map()
    for (const { name, choice, many, types } of definition.elements)
      ways.set(
        name,
        types.map(({ code }) => ({
          property: choice ? name + code[0]!.toUpperCase() + code.slice(1) : name,
          type: code,
          many: many === true,
          isResource: typeDefinition(code)?.kind === 'resource',
        })),
      )
    waysByType.set(definition.name, ways)
  }
  return ways
}

function children({ value, type }: Node, name: string, into: Node[]): void {
  // What stands beside a primitive is not in hand.
  if (!isObject(value)) throw unsure
  const ways = waysOf(type)
  const found = ways?.get(name)
  if (!found) {
    if (!ways || Object.hasOwn(value, name)) throw unsure
    return
  }
  for (const way of found) {
    const given = value[way.property]
    if (value[`_${way.property}`] !== undefined) throw unsure
    if (given === undefined) continue
    if (Array.isArray(given)) for (const each of given) into.push(nodeOf(each, way))
    else into.push(nodeOf(given, way))
  }
}

function nodeOf(value: Json, { type, isResource }: Way): Node {
  if (value === null) throw unsure
  if (value instanceof Decimal) {
    if (String(value).length > 15) throw unsure
    return { value: Number(value), type }
  }
  return { value, type: isResource && isObject(value) ? String(value['resourceType']) : type }
}

const isA = (type: string, wanted: string): boolean => {
  if (type.startsWith('System.')) throw unsure
  for (let at: string | undefined = type; at !== undefined; at = typeDefinition(at)?.base)
    if (at === wanted) return true
  return false
}

function isType(nodes: Nodes, wanted: string): Nodes {
  if (nodes.length > 1) throw unsure
  return nodes.length === 0 ? none : answer(isA(nodes[0]!.type, wanted))
}

const ofType = (nodes: Nodes, wanted: string): Nodes => nodes.filter(({ type }) => isA(type, wanted))

const isTime = (type: string) => /^(date|dateTime|instant|time)$/.test(type)

/** Whether two single values are equal, where that is plain. */
function equal(a: Node, b: Node): boolean {
  if (typeof a.value !== typeof b.value || typeof a.value === 'object' || isTime(a.type) || isTime(b.type)) throw unsure
  return a.value === b.value
}

function equalAll(left: Nodes, right: Nodes): boolean | undefined {
  if (left.length === 0 || right.length === 0) return undefined
  if (left.length !== 1 || right.length !== 1) throw unsure
  return equal(left[0]!, right[0]!)
}

function contains(list: Nodes, one: Nodes): boolean | undefined {
  if (one.length === 0) return undefined
  if (one.length > 1) throw unsure
  return list.some((each) => equal(each, one[0]!))
}

/** Full dates, and times of one zone and precision, are in the order of their text. */
const comparable = (a: string, b: string) =>
  a.length === b.length && (a.length === 10 || (a.length >= 20 && !a.includes('.') && a.slice(19) === b.slice(19)))

function order(left: Nodes, right: Nodes): number | undefined {
  if (left.length === 0 || right.length === 0) return undefined
  const [a, b] = [left[0]!, right[0]!]
  if (left.length > 1 || right.length > 1) throw unsure
  if (typeof a.value === 'number' && typeof b.value === 'number') return a.value - b.value
  if (typeof a.value !== 'string' || typeof b.value !== 'string' || !isTime(a.type) || !isTime(b.type)) throw unsure
  if (a.type === 'time' || b.type === 'time' || !comparable(a.value, b.value)) throw unsure
  return a.value < b.value ? -1 : a.value > b.value ? 1 : 0
}

function union(left: Nodes, right: Nodes): Nodes {
  const all = [...left, ...right]
  if (all.length < 2) return all
  const seen = new Set<Json>()
  return all.filter(({ value, type }) => {
    if (typeof value === 'object' || isTime(type)) throw unsure
    const isNew = !seen.has(value)
    seen.add(value)
    return isNew
  })
}

function sum(left: Nodes, right: Nodes): Nodes {
  if (left.length === 0 || right.length === 0) return none
  const [a, b] = [left[0]!, right[0]!]
  if (left.length > 1 || right.length > 1 || !isInteger(a) || !isInteger(b)) throw unsure
  return [{ value: Number(a.value) + Number(b.value), type: 'System.Integer' }]
}

const isInteger = ({ value }: Node) => Number.isInteger(value)

type Operator = Extract<Expression, { kind: 'operator' }>

function operator({ operator, left: l, right: r }: Operator, first: boolean): Evaluate | undefined {
  const left = compile(l, first)
  const right = compile(r, first)
  if (!left || !right) return undefined
  const ordered = (holds: (order: number) => boolean): Evaluate => {
    return (focus, scope) => {
      const found = order(left(focus, scope), right(focus, scope))
      return answer(found === undefined ? undefined : holds(found))
    }
  }
  switch (operator) {
    case 'and':
      return (focus, scope) => {
        const a = truth(left(focus, scope))
        if (a === false) return no
        const b = truth(right(focus, scope))
        return b === false ? no : answer(a === undefined || b === undefined ? undefined : true)
      }
    case 'or':
      return (focus, scope) => {
        const a = truth(left(focus, scope))
        if (a === true) return yes
        const b = truth(right(focus, scope))
        return b === true ? yes : answer(a === undefined || b === undefined ? undefined : false)
      }
    case 'xor':
      return (focus, scope) => {
        const a = truth(left(focus, scope))
        const b = truth(right(focus, scope))
        return answer(a === undefined || b === undefined ? undefined : a !== b)
      }
    case 'implies':
      return (focus, scope) => {
        const a = truth(left(focus, scope))
        if (a === false) return yes
        const b = truth(right(focus, scope))
        return b === true ? yes : answer(a === undefined || b === undefined ? undefined : false)
      }
    case '=':
      return (focus, scope) => answer(equalAll(left(focus, scope), right(focus, scope)))
    case '!=':
      return (focus, scope) => {
        const same = equalAll(left(focus, scope), right(focus, scope))
        return answer(same === undefined ? undefined : !same)
      }
    case 'in':
      return (focus, scope) => answer(contains(right(focus, scope), left(focus, scope)))
    case 'contains':
      return (focus, scope) => answer(contains(left(focus, scope), right(focus, scope)))
    case '+':
      return (focus, scope) => sum(left(focus, scope), right(focus, scope))
    case '|':
      return (focus, scope) => union(left(focus, scope), right(focus, scope))
    case '<':
      return ordered((found) => found < 0)
    case '>':
      return ordered((found) => found > 0)
    case '<=':
      return ordered((found) => found <= 0)
    case '>=':
      return ordered((found) => found >= 0)
  }
}

type Call = Extract<Expression, { kind: 'call' }>

/** Each item as the focus of the criterion. */
const keeps = (criterion: Evaluate, scope: Scope) => (node: Node) => truth(criterion([node], scope)) === true

function call({ name, args }: Call): Evaluate | undefined {
  const [given] = args
  if (args.length > 1) return undefined
  if (given === undefined) return withoutArguments[name]
  if (name === 'ofType' || name === 'as' || name === 'is') {
    if (given.kind !== 'member') return undefined
    return (focus) => (name === 'is' ? isType(focus, given.name) : ofType(focus, given.name))
  }
  if (given.kind === 'literal' && typeof given.value === 'string') {
    const found = withText(name, given.value)
    if (found) return found
  }
  const argument = compile(given, true)
  if (!argument) return undefined
  switch (name) {
    case 'exists':
      return (focus, scope) => answer(focus.some(keeps(argument, scope)))
    case 'where':
      return (focus, scope) => focus.filter(keeps(argument, scope))
    case 'all':
      return (focus, scope) => answer(focus.every(keeps(argument, scope)))
    case 'select':
      return (focus, scope) => focus.flatMap((node) => argument([node], scope))
    case 'intersect':
      // Which elements are equal only the engine can tell; mostly there is nothing to compare.
      return (focus, scope) => {
        if (focus.length > 0 && argument(scope.context, scope).length > 0) throw unsure
        return none
      }
    default:
      return undefined
  }
}

const withoutArguments: Record<string, Evaluate> = {
  exists: (focus) => answer(focus.length > 0),
  empty: (focus) => answer(focus.length === 0),
  count: (focus) => [{ value: focus.length, type: 'System.Integer' }],
  not: (focus) => {
    const found = truth(focus)
    return answer(found === undefined ? undefined : !found)
  },
  hasValue: (focus) => answer(focus.length === 1 && typeof focus[0]!.value !== 'object'),
  first: (focus) => focus.slice(0, 1),
  last: (focus) => focus.slice(-1),
  tail: (focus) => focus.slice(1),
  isDistinct: (focus) => answer(union(focus, none).length === focus.length),
  upper: (focus) => textual(focus, (text) => ({ value: text.toUpperCase(), type: 'System.String' })),
  lower: (focus) => textual(focus, (text) => ({ value: text.toLowerCase(), type: 'System.String' })),
  length: (focus) => textual(focus, (text) => ({ value: text.length, type: 'System.Integer' })),
}

function textual(focus: Nodes, made: (text: string) => Node): Nodes {
  if (focus.length === 0) return none
  const { value, type } = focus[0]!
  if (focus.length > 1 || typeof value !== 'string' || isTime(type)) throw unsure
  return [made(value)]
}

const tells = (holds: (text: string) => boolean): Evaluate => {
  return (focus) => textual(focus, (text) => (holds(text) ? yes : no)[0]!)
}

function withText(name: string, argument: string): Evaluate | undefined {
  switch (name) {
    case 'matches': {
      const pattern = patternOf(argument)
      return pattern && tells((text) => pattern.test(text))
    }
    case 'startsWith':
      return tells((text) => text.startsWith(argument))
    case 'endsWith':
      return tells((text) => text.endsWith(argument))
    case 'contains':
      return tells((text) => text.includes(argument))
    case 'extension': {
      const extensions = member('extension', false)
      return (focus, scope) =>
        extensions(focus, scope).filter(({ value }) => isObject(value) && value['url'] === argument)
    }
    case 'trace':
      return (focus) => focus
    default:
      return undefined
  }
}

function patternOf(text: string): RegExp | undefined {
  try {
    return new RegExp(text, 'us')
  } catch {
    return undefined
  }
}
