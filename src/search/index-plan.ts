/**
 * What to look at in a resource of a type to index it, compiled once from the search parameters in force.
 *
 * https://hl7.org/fhir/R4/searchparameter.html
 *
 * Rules are kept by the first property they follow, so that a resource costs what is in it and not what could be.
 */
import { clientTimeoutMs, compileTypedFhirPath, detached, FhirError, type Json, type Typed } from '../fhir/index.js'
import { type Emit, emitter, type Sink } from './entries.js'
import type { IndexEntry } from './expression.js'
import { Beyond } from './fhirpath-syntax.js'
import { internalRules } from './internal.js'
import type { ActiveParam, SearchParams } from './params.js'
import { type Compiled, compile, type Path, walk } from './paths.js'

type Rule = Emit

export type IndexPlan = { byProperty: Map<string, Rule[]>; always: Rule[] }

const plans = new WeakMap<SearchParams, Map<string, IndexPlan>>()

export function indexPlan(searchParams: SearchParams, type: string): IndexPlan {
  let byType = plans.get(searchParams)
  if (!byType) {
    byType = new Map()
    plans.set(searchParams, byType)
  }
  let plan = byType.get(type)
  if (!plan) {
    const kept = detached(type)
    plan = makePlan(searchParams, kept)
    byType.set(kept, plan)
  }
  return plan
}

/** The store has these as columns. */
const columns = new Set(['_id', '_lastUpdated'])

function makePlan(searchParams: SearchParams, type: string): IndexPlan {
  const plan: IndexPlan = { byProperty: new Map(), always: [] }
  for (const param of searchParams.of(type)) {
    if (param.expression === undefined || columns.has(param.code)) continue
    const compiled = compiledExpression(param.expression, type)
    if (compiled.kind === 'unreadable') continue
    if (compiled.kind === 'paths') {
      for (const path of compiled.paths) {
        const emit =
          param.type === 'composite'
            ? compositeEmitter(searchParams, param, type, path.type)
            : emitter(param, path.type, path.element)
        if (emit) addRule(plan, path, emit)
      }
    } else if (compiled.kind === 'boolean') {
      const emit = emitter(param, 'boolean')
      const { of } = compiled
      if (emit)
        plan.always.push((resource, sink) => {
          const result = of(resource, sink.root)
          if (result !== undefined) emit(result, sink)
        })
    } else plan.always.push(fallbackRule(param, compiled.evaluate))
  }
  for (const { property, rule } of internalRules(type)) addByProperty(plan, property, rule)
  return plan
}

function addRule(plan: IndexPlan, path: Path, emit: Emit): void {
  const rule = walk(path, emit)
  const first = path.steps[0]
  if (!first || !('get' in first)) plan.always.push(rule)
  else addByProperty(plan, first.get, rule)
}

function addByProperty(plan: IndexPlan, property: string, rule: Rule): void {
  const rules = plan.byProperty.get(property)
  if (rules) rules.push(rule)
  else plan.byProperty.set(property, [rule])
}

/** What the engine cannot evaluate on a resource, or not in time, is not found in it; the resource is stored all the same. */
function fallbackRule(param: ActiveParam, evaluate: Evaluate): Rule {
  const emitters = new Map<string, Emit | undefined>()
  return (resource, sink) => {
    let found: Typed[]
    try {
      found = evaluate(resource)
    } catch (error) {
      if (error instanceof FhirError) return
      throw error
    }
    for (const { value, type } of found) {
      if (!emitters.has(type)) emitters.set(type, emitter(param, type))
      emitters.get(type)?.(value, sink)
    }
  }
}

type Evaluate = (resource: Json) => Typed[]

/** Beyond our part of FHIRPath the engine evaluates; what it cannot read finds nothing. */
type Expressed = Compiled | { kind: 'fallback'; evaluate: Evaluate } | { kind: 'unreadable' }

const expressions = new Map<string, Expressed>()
/** Expressions come from uploaded search parameters too, so what is remembered of them is bounded. */
const expressionsMax = 20_000

function compiledExpression(expression: string, type: string): Expressed {
  const key = `${type} ${expression}`
  let compiled = expressions.get(key)
  if (!compiled) {
    if (expressions.size >= expressionsMax) expressions.clear()
    compiled = express(expression, type)
    expressions.set(detached(key), compiled)
  }
  return compiled
}

function express(expression: string, type: string): Expressed {
  try {
    return compile(expression, type)
  } catch (error) {
    if (!(error instanceof Beyond)) throw error
  }
  try {
    return { kind: 'fallback', evaluate: compileTypedFhirPath(expression, { timeoutMs: clientTimeoutMs }) }
  } catch (error) {
    if (error instanceof FhirError) return { kind: 'unreadable' }
    throw error
  }
}

/** The FHIR types a parameter's expression yields in a type; undefined where only a resource can tell. */
export function typesYielded(param: ActiveParam, type: string): readonly string[] | undefined {
  if (param.expression === undefined) return []
  const compiled = compiledExpression(param.expression, type)
  if (compiled.kind === 'paths') return compiled.paths.map((path) => path.type)
  return compiled.kind === 'boolean' ? ['boolean'] : undefined
}

/** One entry for each element the composite stands on, where every component has a value. */
function compositeEmitter(searchParams: SearchParams, param: ActiveParam, type: string, at: string): Emit | undefined {
  const components = (param.component ?? []).map(({ definition, expression }, i) => {
    const component = searchParams.byUrl(definition)
    return component && componentReader({ ...component, code: `$${i}` }, expression, type, at)
  })
  if (components.length === 0 || components.some((component) => component === undefined)) return undefined
  const readers = components as ComponentReader[]
  return (value, sink) => {
    const found: IndexEntry[][] = []
    for (const read of readers) {
      const entries = read(value, sink)
      if (entries.length === 0) return
      found.push(entries)
    }
    sink.entries.push({ kind: 'composite', param: param.code, components: found })
  }
}

type ComponentReader = (value: Json, sink: Sink) => IndexEntry[]

function componentReader(
  param: ActiveParam,
  expression: string,
  type: string,
  at: string,
): ComponentReader | undefined {
  let compiled: Compiled
  try {
    compiled = compile(expression, at, type)
  } catch (error) {
    if (error instanceof Beyond) return undefined
    throw error
  }
  if (compiled.kind !== 'paths') return undefined
  const rules = compiled.paths.flatMap((path) => {
    const emit = emitter(param, path.type, path.element)
    return emit ? [walk(path, emit)] : []
  })
  return (value, sink) => {
    const own: Sink = { ...sink, entries: [] }
    for (const rule of rules) rule(value, own)
    return own.entries.filter((entry) => entry.param === param.code)
  }
}
