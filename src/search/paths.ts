/**
 * Search parameter expressions as typed paths through a resource: which properties to follow, and the FHIR type found there.
 *
 * https://hl7.org/fhir/R4/searchparameter-definitions.html#SearchParameter.expression
 *
 * Types are known from the definitions, so a choice becomes one path for each of its types before any resource is seen,
 * and walking a resource is following properties.
 */
import {
  type ElementDefinition,
  isObject,
  isResourceType,
  type Json,
  type JsonObject,
  parseReference,
  typeDefinition,
} from '../fhir/index.js'
import { Beyond, type Node, parseFhirPath } from './fhirpath-syntax.js'

/** `get` follows a property (into each item of a list, or the one at `index`); `where` keeps what passes. */
type Step = { get: string; many: boolean; index?: number } | { where: Predicate }

/**
 * From a resource (or an element of it) to values of one FHIR type. `element` is the last definition passed; an
 * `absolute` path starts at the resource, wherever it is evaluated.
 */
export type Path = { steps: readonly Step[]; type: string; element?: ElementDefinition; absolute?: true }

/** True, false or (where FHIRPath says empty) undefined. */
type Predicate = (value: Json, root: Json) => boolean | undefined

/** What an expression yields: values along paths, or one boolean computed from the whole. */
export type Compiled = { kind: 'paths'; paths: Path[] } | { kind: 'boolean'; of: Predicate }

/** What walks along: the resource, for criteria that look back at it, and whatever else the end of the path needs. */
type Context = { root: Json }
type Visit<C extends Context> = (value: Json, context: C) => void

/**
 * @param type the type of what the expression is evaluated on
 * @param root the type of the resource, as `%resource`
 * @throws Beyond
 */
export function compile(expression: string, type: string, root = type): Compiled {
  const node = parseFhirPath(expression)
  return isBoolean(node)
    ? { kind: 'boolean', of: predicate(node, start(type), root) }
    : { kind: 'paths', paths: follow(node, start(type), root) }
}

const start = (type: string): Path => ({ steps: [], type })

const booleanCalls = new Set(['exists', 'empty', 'not', 'hasExtension'])

const isBoolean = (node: Node): boolean =>
  node.kind === 'and' ||
  node.kind === 'or' ||
  node.kind === 'equal' ||
  node.kind === 'is' ||
  (node.kind === 'call' && booleanCalls.has(node.name))

/** Choices of choices could multiply without end; R4's own expressions have 30 at most. */
const pathsMax = 500

function follow(node: Node, focus: Path, root: string): Path[] {
  const paths = followed(node, focus, root)
  if (paths.length > pathsMax) throw new Beyond('too many paths')
  return paths
}

function followed(node: Node, focus: Path, root: string): Path[] {
  switch (node.kind) {
    case 'this':
      return [focus]
    case 'union':
      return node.of.flatMap((each) => follow(each, focus, root))
    case 'as':
      return follow(node.of, focus, root).flatMap((path) => ofType(path, node.type))
    case 'member':
      if (node.of && isRoot(node.of)) return members({ ...start(root), absolute: true }, node.name)
      if (node.of) return each(node.of, node.name)
      return names(node.name, focus)
    case 'index':
      return follow(node.of, focus, root).map((path) => at(path, node.index))
    case 'call':
      return called(node, focus, root)
    default:
      throw new Beyond(`${node.kind} does not yield elements`)
  }
  function each(of: Node, name: string): Path[] {
    return follow(of, focus, root).flatMap((path) => members(path, name))
  }
}

const isRoot = (node: Node): boolean =>
  node.kind === 'variable' && (node.name === 'resource' || node.name === 'rootResource')

/** The first name of a path: the type of the focus itself, another type (then nothing is found), or a member. */
function names(name: string, focus: Path): Path[] {
  if (/^[A-Z]/.test(name) && typeDefinition(name)) return isA(focus.type, name) ? [focus] : []
  return members(focus, name)
}

function called(node: Node & { kind: 'call' }, focus: Path, root: string): Path[] {
  const from = node.of ? follow(node.of, focus, root) : [focus]
  const [first] = node.arguments
  switch (node.name) {
    case 'as':
    case 'ofType':
      return from.flatMap((path) => ofType(path, typeNameOf(first)))
    case 'where': {
      if (!first || node.arguments.length > 1) throw new Beyond('where() takes one criterion')
      return from.map((path) => ({
        ...path,
        steps: [...path.steps, { where: predicate(first, start(path.type), root) }],
      }))
    }
    case 'extension': {
      if (first?.kind !== 'literal' || typeof first.value !== 'string') throw new Beyond('extension() takes a URL')
      const url = first.value
      const where: Predicate = (value) => isObject(value) && value['url'] === url
      return from.flatMap((path) =>
        members(path, 'extension').map((to) => ({ ...to, steps: [...to.steps, { where }] })),
      )
    }
    case 'first':
      return from.map((path) => at(path, 0))
    default:
      throw new Beyond(`${node.name}()`)
  }
}

function typeNameOf(node: Node | undefined): string {
  if (node?.kind !== 'member') throw new Beyond('a type was expected')
  return node.of ? `${typeNameOf(node.of)}.${node.name}` : node.name
}

function members(path: Path, name: string): Path[] {
  const definition = typeDefinition(path.type)
  if (!definition || definition.kind === 'primitive') throw new Beyond(`members of ${path.type}`)
  const found: Path[] = []
  for (const [property, { element, type }] of definition.properties)
    if (element.name === name && element.max !== 0)
      found.push({
        ...path,
        steps: [...path.steps, { get: property, many: element.many === true }],
        type: type.code,
        element,
      })
  return found
}

/** One item of all the path yields: only where no list was passed before. */
function at(path: Path, index: number): Path {
  const last = path.steps.at(-1)
  const before = path.steps.slice(0, -1)
  if (!last || 'where' in last || last.index !== undefined) throw new Beyond('an index here')
  if (before.some((step) => 'get' in step && step.many && step.index === undefined)) throw new Beyond('an index here')
  return { ...path, steps: [...before, { ...last, index }] }
}

function ofType(path: Path, name: string): Path[] {
  const type = knownType(name)
  if (isA(path.type, type)) return [path]
  // A resource inside a resource says itself what it is.
  if (isResourceType(type) && isA(type, path.type)) {
    const where: Predicate = (value) => isObject(value) && value['resourceType'] === type
    return [{ ...path, type, steps: [...path.steps, { where }] }]
  }
  return []
}

/** R4 writes `DateTime` for `dateTime` in one place. */
function knownType(name: string): string {
  const plain = name.replace(/^FHIR\./, '')
  const found = [plain, plain[0]!.toLowerCase() + plain.slice(1)].find((each) => typeDefinition(each))
  if (!found) throw new Beyond(`type ${name}`)
  return found
}

function isA(type: string, ancestor: string): boolean {
  for (let at: string | undefined = type; at; at = typeDefinition(at)?.base) if (at === ancestor) return true
  return false
}

function predicate(node: Node, focus: Path, root: string): Predicate {
  switch (node.kind) {
    case 'and': {
      const [left, right] = [predicate(node.left, focus, root), predicate(node.right, focus, root)]
      return (value, top) => {
        const a = left(value, top)
        const b = a === false ? false : right(value, top)
        return a === false || b === false ? false : a === undefined || b === undefined ? undefined : true
      }
    }
    case 'or': {
      const [left, right] = [predicate(node.left, focus, root), predicate(node.right, focus, root)]
      return (value, top) => {
        const a = left(value, top)
        const b = a === true ? true : right(value, top)
        return a === true || b === true ? true : a === undefined || b === undefined ? undefined : false
      }
    }
    case 'equal': {
      const [left, right] = [operand(node.left, focus, root), operand(node.right, focus, root)]
      return (value, top) => {
        const a = left(value, top)
        const b = right(value, top)
        if (a.length === 0 || b.length === 0) return undefined
        const same = a.length === b.length && a.every((item, i) => primitive(item) === primitive(b[i]!))
        return same !== node.not
      }
    }
    case 'is':
      return isType(node, focus, root)
    case 'call':
      if (booleanCalls.has(node.name)) return booleanCall(node, focus, root)
  }
  const values = operand(node, focus, root)
  return (value, top) => {
    const found = values(value, top)
    return found.length === 0 ? undefined : found.length === 1 ? found[0] !== false : undefined
  }
}

function booleanCall(node: Node & { kind: 'call' }, focus: Path, root: string): Predicate {
  const [first] = node.arguments
  if (node.name === 'not') {
    const of = node.of ? predicate(node.of, focus, root) : undefined
    if (!of || first) throw new Beyond('not() here')
    return (value, top) => {
      const result = of(value, top)
      return result === undefined ? undefined : !result
    }
  }
  const from: Node = node.of ?? { kind: 'this' }
  const of: Node =
    node.name === 'hasExtension'
      ? { kind: 'call', of: from, name: 'extension', arguments: node.arguments }
      : first
        ? { kind: 'call', of: from, name: 'where', arguments: node.arguments }
        : from
  const paths = follow(of, focus, root)
  const any = (value: Json, top: Json): boolean => {
    let found = false
    for (const path of paths)
      walk(path, () => {
        found = true
      })(value, { root: top })
    return found
  }
  return node.name === 'empty' ? (value, top) => !any(value, top) : any
}

/** `resolve() is Patient` is answered from the reference itself; `value is Quantity` from the definitions. */
function isType(node: Node & { kind: 'is' }, focus: Path, root: string): Predicate {
  const type = knownType(node.type)
  if (node.of.kind === 'call' && node.of.name === 'resolve') {
    const from = node.of.of ? follow(node.of.of, focus, root) : [focus]
    if (from.some((path) => path.type !== 'Reference')) throw new Beyond('resolve() of what is no Reference')
    return (value, top) => {
      let result: boolean | undefined
      for (const path of from)
        walk(path, (reference) => {
          const found = referredType(reference, top)
          if (found !== undefined) result = found === type || isA(found, type)
        })(value, { root: top })
      return result
    }
  }
  const all = follow(node.of, focus, root)
  const matching = all.filter((path) => isA(path.type, type))
  return (value, top) => {
    if (collect(matching, value, top).length) return true
    return collect(all, value, top).length ? false : undefined
  }
}

function referredType(reference: Json, root: Json): string | undefined {
  if (!isObject(reference)) return undefined
  const text = reference['reference']
  if (typeof text === 'string') {
    if (text.startsWith('#')) return containedType(text.slice(1), root)
    const parsed = parseReference(text)
    if (parsed) return parsed.type
  }
  const type = reference['type']
  return typeof type === 'string' ? type.replace('http://hl7.org/fhir/StructureDefinition/', '') : undefined
}

function containedType(id: string, root: Json): string | undefined {
  const contained = isObject(root) ? root['contained'] : undefined
  if (!Array.isArray(contained)) return undefined
  const found = contained.find((each) => isObject(each) && each['id'] === id) as JsonObject | undefined
  return typeof found?.['resourceType'] === 'string' ? found['resourceType'] : undefined
}

function operand(node: Node, focus: Path, root: string): (value: Json, top: Json) => Json[] {
  if (node.kind === 'literal') {
    const values = [node.value]
    return () => values
  }
  const paths = follow(node, focus, root)
  if (paths.some((path) => typeDefinition(path.type)?.kind !== 'primitive')) throw new Beyond('comparing elements')
  return (value, top) => collect(paths, value, top)
}

const primitive = (value: Json): Json => (typeof value === 'object' && value !== null ? Number(value) : value)

function collect(paths: readonly Path[], value: Json, root: Json): Json[] {
  const found: Json[] = []
  for (const path of paths) walk(path, (each) => void found.push(each))(value, { root })
  return found
}

/** A function that follows the path from a value and calls `then` for each value at its end. */
export function walk<C extends Context>(path: Path, then: Visit<C>): Visit<C> {
  let next = then
  for (let i = path.steps.length - 1; i >= 0; i--) next = stepTo(path.steps[i]!, next)
  const first = next
  return path.absolute ? (_, context) => first(context.root, context) : first
}

function stepTo<C extends Context>(step: Step, next: Visit<C>): Visit<C> {
  if ('where' in step) {
    const { where } = step
    return (value, context) => {
      if (where(value, context.root) === true) next(value, context)
    }
  }
  const { get, index } = step
  return (value, context) => {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, get)) return
    const found = (value as JsonObject)[get]
    if (found === undefined || found === null) return
    if (!Array.isArray(found)) {
      if (!index) next(found, context)
    } else if (index !== undefined) {
      const item = found[index]
      if (item !== undefined && item !== null) next(item, context)
    } else for (const item of found) if (item !== null) next(item, context)
  }
}
