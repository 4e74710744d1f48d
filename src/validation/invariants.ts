/**
 * The invariants of the base specification: FHIRPath expressions that must hold at the elements which carry them.
 *
 * https://hl7.org/fhir/R4/conformance-rules.html#constraints
 *
 * An invariant must be true. One that is empty is violated too, except where the expression compares by order (dates
 * of different precision, quantities in different units cannot be) and in best practice, whose expressions forget
 * that what they look at may be absent. Invariants that structure.ts decides already are not asked again.
 */
import {
  clientTimeoutMs,
  compileFhirPath,
  type FhirPath,
  type Invariant,
  type Issue,
  isObject,
  isResourceType,
  type Json,
  type JsonObject,
  typeDefinition,
  withoutDecimals,
} from '../fhir/index.js'
import { brokenInvariants, type Scope } from './broken-invariants.js'
import { type Closure, closureOf, unsure } from './closures.js'
import { collect, type Findings } from './findings.js'
import { type Row, shapeOf } from './shape.js'

/** Violated invariants of a resource, its contained resources and its entries; those of best practice are warnings. */
export function invariantIssues(resource: Json): Issue[] {
  return collect((findings) => {
    for (const _ of checkInvariants(resource, findings));
  })
}

/** The same in steps, one for each element, so that a long check can let others go first. */
export function* checkInvariants(resource: Json, findings: Findings, budgetMs = budgetDefaultMs): Generator<void> {
  if (!isObject(resource)) return
  const root = withoutDecimals(resource) as JsonObject
  findings.enter(String(root['resourceType']))
  yield* new Invariants(findings, budgetMs).resource({ resource: root, rootResource: root, large: isLarge(root) })
  findings.leave()
}

/** How long the expressions on one large resource may take in all. */
const budgetDefaultMs = 2000

/** `test` is false where the invariant is violated. */
export type Rule = Invariant & { test(element: Json, scope: Scope): unknown }

class Invariants {
  private spentMs = 0
  private exhausted = false

  constructor(
    private readonly findings: Findings,
    private readonly budgetMs: number,
  ) {}

  *resource(scope: Scope): Generator<void> {
    const { resourceType } = scope.resource
    if (typeof resourceType === 'string' && isResourceType(resourceType))
      yield* this.element(resourceType, scope.resource, scope)
  }

  private *element(type: string, element: JsonObject, scope: Scope): Generator<void> {
    const rules = rulesOf(type)
    if (rules.length > 0) yield this.test(rules, element, scope)
    const { rows } = shapeOf(type)
    for (const key in element) {
      const row = rows.get(key)
      if (!row || row.sibling) continue
      const { findings } = this
      const own = row.invariants ? rulesAt(`${type}.${row.element}`, row) : []
      const value = element[key]!
      const isList = Array.isArray(value)
      const items: Json[] = isList ? value : [value]
      findings.enter(row.element)
      for (let i = 0; i < items.length; i++) {
        const item = items[i]!
        if (isList) findings.enter(i)
        // The engine cannot start at a number; the only invariant it would be asked of one, ras-1, is about ranges.
        if (own.length > 0 && (isObject(item) || typeof item === 'string')) yield this.test(own, item, scope)
        if (isObject(item)) {
          if (row.content === 'complex') yield* this.element(row.type, item, scope)
          else if (row.content === 'resource') yield* this.resource(inner(row.element, item, scope))
        }
        if (isList) findings.leave()
      }
      findings.leave()
    }
  }

  private test(rules: Rule[], element: Json, scope: Scope): void {
    for (const rule of rules) {
      if (this.exhausted) return
      const start = scope.large ? performance.now() : 0
      ask(rule, element, scope, this.findings)
      if (scope.large) this.spend(performance.now() - start)
    }
  }

  private spend(ms: number): void {
    this.spentMs += ms
    if (this.exhausted || this.spentMs <= this.budgetMs) return
    this.exhausted = true
    const diagnostics = 'the invariants from here on were not checked: the resource is too large; validate its parts'
    this.findings.report('information', 'incomplete', diagnostics)
  }
}

/** Reports where an invariant does not hold of an element. */
export function ask({ key, severity, human, test }: Rule, element: Json, scope: Scope, findings: Findings): void {
  const result = attempt(() => test(element, scope))
  if (result === undecided)
    findings.report('information', 'incomplete', `the invariant ${key} could not be evaluated here`)
  else if (result === false) findings.report(severity, 'invariant', `${human} (${key})`)
}

function inner(element: string, resource: JsonObject, scope: Scope): Scope {
  if (element === 'contained') return { ...scope, resource }
  const { rootResource, large } = scope
  const bundle = rootResource['resourceType'] === 'Bundle' ? { bundle: rootResource } : {}
  return { resource, rootResource: resource, large, ...bundle }
}

/** Of this many values on, a single expression may take a quarter of a second. */
const largeFrom = 20_000

export function isLarge(resource: JsonObject): boolean {
  let values = 0
  const count = (value: Json): boolean => {
    if (++values >= largeFrom) return true
    if (Array.isArray(value)) return value.some(count)
    if (isObject(value)) for (const key in value) if (count(value[key]!)) return true
    return false
  }
  return count(resource)
}

const undecided = Symbol('undecided')

/** The engine throws where an expression does not fit the data; that is no fault of the client's. */
function attempt(test: () => unknown): unknown {
  try {
    return test()
  } catch {
    return undecided
  }
}

const byType = new Map<string, Rule[]>()
const byElement = new Map<string, Rule[]>()

/** The rules of a type and of the types it is derived from. */
function rulesOf(type: string): Rule[] {
  let rules = byType.get(type)
  if (!rules) {
    rules = []
    for (let name: string | undefined = type; name !== undefined; name = typeDefinition(name)?.base)
      rules.push(...compiled(typeDefinition(name)?.invariants ?? [], type))
    byType.set(type, rules)
  }
  return rules
}

function rulesAt(path: string, { type, invariants = [] }: Row): Rule[] {
  const base = typeDefinition(type)?.kind === 'primitive' ? path : type
  const key = `${path}:${type}`
  let rules = byElement.get(key)
  if (!rules) {
    rules = compiled(invariants, base)
    byElement.set(key, rules)
  }
  return rules
}

/** Decided by the structural check, which needs no FHIRPath for them. */
const structural = new Set(['ele-1', 'ext-1', 'dom-2', 'ref-1', 'txt-1', 'txt-2'])

/** Invariants made ready to be asked of the elements at `base`, a type or a path such as `Patient.contact`. */
export function compiled(invariants: Invariant[], base: string): Rule[] {
  return invariants
    .filter(({ key }) => !structural.has(key))
    .map((invariant) => {
      const instead = brokenInvariants[invariant.key]?.instead ?? invariant.expression
      if (typeof instead === 'function') return { ...invariant, test: instead }
      const whenEmpty = invariant.severity === 'warning' || /[<>]/.test(instead)
      return { ...invariant, test: expressionTest(base, instead, whenEmpty) }
    })
}

/**
 * Compiled when first asked for: most types are never met. The engine is asked where our own function is not sure. Its
 * time limit, which costs more than most expressions, is for large resources only; what exceeds it is told as not
 * evaluated.
 */
function expressionTest(base: string, expression: string, whenEmpty: boolean): Rule['test'] {
  let closure: Closure | undefined | null = null
  let unlimited: FhirPath | undefined
  let limited: FhirPath | undefined
  return (element, { resource, rootResource, large }) => {
    if (closure === null) closure = closureOf(expression, base)
    if (closure)
      try {
        return closure(element, { resource, rootResource }) ?? whenEmpty
      } catch (error) {
        if (error !== unsure) throw error
      }
    if (large) limited ??= compileFhirPath(expression, { base, timeoutMs: clientTimeoutMs })
    else unlimited ??= compileFhirPath(expression, { base })
    const result = (large ? limited : unlimited)!(element, { resource, rootResource })
    return result.length === 1 ? result[0] : whenEmpty
  }
}
