/**
 * FHIRPath on our trees: the one place that knows the engine, which is loaded when it is first asked.
 *
 * https://hl7.org/fhir/R4/fhirpath.html
 *
 * The engine never reaches the network: `resolve()` finds contained resources, and of any other reference it knows
 * the type and the id alone. Expressions written by clients get a time limit, because no rule about their text could
 * tell the ones that never end (`repeat($this + 1)`, a pattern that backtracks) from the rest.
 */
import { createRequire } from 'node:module'
import { type Context, createContext, Script } from 'node:vm'
import type { ResourceNode } from 'fhirpath'
import type { Json, JsonObject } from './json.js'
import { FhirError, invalid, tooCostly } from './outcome.js'
import { parseReference } from './reference.js'
import { isObject } from './resource.js'
import { withoutDecimals } from './tree.js'

/**
 * `base` is the path of the element that will be given (`Patient.contact`), when it is not a resource; `timeoutMs`
 * limits one evaluation and the reading of the expression, at a cost of some 60 µs.
 */
export type FhirPathOptions = { base?: string; timeoutMs?: number }

/** Evaluates on a tree. `variables` are those the expression calls `%name`, above all `resource` and `rootResource`. */
export type FhirPath = (input: Json, variables?: Record<string, unknown>) => unknown[]

/** The way to an element from the top of its tree; `index` is its place in a list. */
export type Step = { property: string; index?: number }

/** R4's own longest expression, clinical-date, has 1,600 characters. */
export const expressionMax = 4096

/** Time enough for hundreds of expressions on a large resource, and little to wait for the others. */
export const clientTimeoutMs = 250

/**
 * The expression, ready to be evaluated many times; results are plain values, dates and quantities as text.
 *
 * @throws FhirError invalid if it cannot be read; the function throws FhirError if it cannot be evaluated
 */
export function compileFhirPath(expression: string, options: FhirPathOptions = {}): FhirPath {
  const evaluate = compiled(expression, options)
  return (input, variables) => evaluate(input, variables).flatMap(plainValue)
}

/** A result and its type: `Quantity`, `string`; FHIR's own primitives and FHIRPath's are called alike. */
export type Typed = { value: Json; type: string }

/** As compileFhirPath, each result with its type: what search parameters are indexed by. */
export function compileTypedFhirPath(
  expression: string,
  options: FhirPathOptions = {},
): (input: Json, variables?: Record<string, unknown>) => Typed[] {
  const evaluate = compiled(expression, options)
  return (input, variables) => {
    const found = evaluate(input, variables)
    const types = load().engine.types(found)
    return found.flatMap((node, i) => {
      const [namespace = '', name = ''] = (types[i] ?? '').split('.')
      const type = namespace === 'System' ? name[0]!.toLowerCase() + name.slice(1) : name
      return plainValue(node).map((value) => ({ value: value as Json, type }))
    })
  }
}

/**
 * The places of the elements an expression selects in a tree; undefined for a result that is no element of it.
 */
export function locate(expression: string, input: Json, timeoutMs: number): (Step[] | undefined)[] {
  const root = withoutDecimals(input)
  return compiled(expression, { timeoutMs })(input).map((node) => stepsTo(node, root))
}

type Evaluate = (input: Json, variables?: Record<string, unknown>) => unknown[]

function compiled(expression: string, { base = '', timeoutMs }: FhirPathOptions): Evaluate {
  if (expression.length > expressionMax)
    throw tooCostly(`a FHIRPath expression may have at most ${expressionMax} characters`)
  const evaluate = cached(expression, base, timeoutMs)
  const constants = constantsOf(expression)
  return (input, variables) => {
    const known: Record<string, unknown> = { ...constants, resource: input, rootResource: input, ...variables }
    for (const name in known) known[name] = withoutDecimals(known[name] as Json)
    return limited(timeoutMs, unevaluable, () => evaluate(withoutDecimals(input), known))
  }
}

/** https://hl7.org/fhir/R4/fhirpath.html#variables; `%ucum` is the engine's own. */
function constantsOf(expression: string): Record<string, string> {
  const constants: Record<string, string> = { sct: 'http://snomed.info/sct', loinc: 'http://loinc.org' }
  for (const [, kind, name] of expression.matchAll(/%[`'"](vs|ext)-([A-Za-z0-9\-.]+)[`'"]/g))
    constants[`${kind}-${name}`] = `http://hl7.org/fhir/${kind === 'vs' ? 'ValueSet' : 'StructureDefinition'}/${name}`
  return constants
}

type Engine = typeof import('fhirpath')

let loaded: { engine: Engine; model: Parameters<Engine['compile']>[1] } | undefined

/** Loading takes about 90 ms, which a server that starts need not spend. */
function load() {
  if (!loaded) {
    const require = createRequire(import.meta.url)
    loaded = { engine: require('fhirpath'), model: require('fhirpath/fhir-context/r4') }
  }
  return loaded
}

type Compiled = (input: unknown, variables: Record<string, unknown>) => unknown[]

const cacheSize = 2000
const cache = new Map<string, Compiled>()

/** Compiling takes 0.2 to 1 ms, so the expressions used last are kept. */
function cached(expression: string, base: string, timeoutMs: number | undefined): Compiled {
  const key = `${base} ${expression}`
  let evaluate = cache.get(key)
  if (evaluate) cache.delete(key)
  else {
    const { engine, model } = load() // Outside of the limit, which loading would exceed.
    const readable = withDelimitedDiv(expression)
    const path = base === '' ? readable : { base, expression: readable }
    const options = { resolveInternalTypes: false, traceFn: () => {}, userInvocationTable: { resolve } }
    evaluate = limited(timeoutMs, unreadable, () => engine.compile(path, model, options))
  }
  cache.set(key, evaluate)
  if (cache.size > cacheSize) cache.delete(cache.keys().next().value!)
  return evaluate
}

/** `Narrative.div` has the name of an operator; after a dot it can only be the element, and HL7 writes it bare. */
function withDelimitedDiv(expression: string): string {
  if (!expression.includes('.div')) return expression
  return expression.replace(/'(?:\\.|[^'\\])*'|`(?:\\.|[^`\\])*`|\.div\b/g, (found) =>
    found === '.div' ? '.`div`' : found,
  )
}

let sandbox: Context | undefined
const runs = new Script('run()')

/** What the engine throws is the fault of the expression or of the resource, never ours: it becomes a FhirError. */
function limited<T>(timeoutMs: number | undefined, failed: (error: unknown) => FhirError, run: () => T): T {
  try {
    return quietly(() => {
      if (timeoutMs === undefined) return run()
      sandbox ??= createContext()
      sandbox['run'] = run
      return runs.runInContext(sandbox, { timeout: timeoutMs }) as T
    })
  } catch (error) {
    if (error instanceof FhirError) throw error
    if (error instanceof RangeError || (error as { code?: string }).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT')
      throw tooCostly('the FHIRPath expression takes too long; write it simpler')
    throw failed(error)
  }
}

/** The engine warns on the console, quoting values of the resource; a wrong number of arguments is an error to us. */
function quietly<T>(run: () => T): T {
  const { warn } = console
  console.warn = (message: unknown) => {
    if (String(message).includes('wrong arity')) throw new Error(String(message))
  }
  try {
    return run()
  } finally {
    console.warn = warn
  }
}

/** The engine's errors are not kept as causes: they quote the expression and the resource, which may name a patient. */
function unreadable(error: unknown): FhirError {
  const place = /line: (\d+); column: (\d+)/.exec((error as Error).message)
  return invalid(`the FHIRPath expression cannot be read${place ? ` at line ${place[1]}, column ${place[2]}` : ''}`)
}

function unevaluable(error: unknown): FhirError {
  const { message } = error as Error
  const unknown = /^Not implemented: (\w{1,64})$/.exec(message)?.[1]
  if (unknown !== undefined) return invalid(`there is no function ${unknown}() here`)
  const miscalled = /^(\w{1,64}) wrong arity/.exec(message)?.[1]
  if (miscalled !== undefined) return invalid(`the function ${miscalled}() has another number of arguments`)
  return invalid('the FHIRPath expression cannot be evaluated here')
}

const isNode = (value: unknown): value is ResourceNode =>
  typeof value === 'object' && value !== null && 'parentResNode' in value

/** None for an element that has extensions only, one value for any other. */
function plainValue(node: unknown): unknown[] {
  const value = load().engine.util.valData(node)
  if (value === null || value === undefined) return []
  if (typeof value === 'bigint') return [Number(value)]
  const isOfEngine = typeof value === 'object' && !Array.isArray(value) && !isObject(value as Json)
  return [isOfEngine ? (value as { toJSON(): unknown }).toJSON() : value]
}

function stepsTo(node: unknown, root: Json): Step[] | undefined {
  if (!isNode(node)) return undefined
  const steps: Step[] = []
  let at = node
  while (at.parentResNode) {
    if (typeof at.propName !== 'string') return undefined
    steps.unshift({ property: at.propName, ...(typeof at.index === 'number' && { index: at.index }) })
    at = at.parentResNode
  }
  return at.data === root ? steps : undefined
}

/** https://hl7.org/fhir/R4/fhirpath.html#functions, of what is at hand. */
const resolve = {
  internalStructures: true,
  arity: { 0: [] },
  fn: (items: unknown[]): unknown[] => items.flatMap(resolved),
}

function resolved(item: unknown): unknown[] {
  const value: unknown = isNode(item) ? item.data : item
  const reference =
    typeof value === 'string' ? value : isObject(value as Json) ? (value as JsonObject)['reference'] : undefined
  if (typeof reference !== 'string') return []
  if (reference.startsWith('#')) return isNode(item) ? contained(item, reference.slice(1)) : []
  const parsed = parseReference(reference)
  if (!parsed) return []
  const known = { resourceType: parsed.type, id: parsed.id }
  return [isNode(item) ? newNode(item, known) : known]
}

/** The contained resource with an id, or what contains it for `#`: a node that knows its place in the tree. */
function contained(node: ResourceNode, id: string): unknown[] {
  let container: ResourceNode | null = node
  while (container && !Array.isArray(container.data?.contained)) container = container.parentResNode
  if (!container) return []
  if (id === '') return [container]
  const list: Json[] = container.data.contained
  const index = list.findIndex((each) => isObject(each) && each['id'] === id)
  if (index < 0) return []
  return [newNode(node, list[index], container, `${container.path}.contained`, null, null, 'contained', index)]
}

/** A node that the engine takes for its own; it gives no other way to one than the class of another. */
function newNode(like: ResourceNode, data: unknown, ...more: unknown[]): unknown {
  const { makeResNode } = like.constructor as unknown as { makeResNode: (...parts: unknown[]) => unknown }
  return makeResNode((like as unknown as { ctx: unknown }).ctx, data, ...more)
}
