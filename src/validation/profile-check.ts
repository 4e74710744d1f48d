/**
 * Whether a resource is what a profile asks for: cardinalities, types, fixed values and patterns, slices, bindings,
 * invariants, extensions and the targets of references.
 *
 * https://hl7.org/fhir/R4/profiling.html
 *
 * Everything is reported at once, each with its place. The structure must be sound already (`structure.ts`).
 */
import {
  type Invariant,
  isObject,
  isResourceType,
  type Json,
  type JsonObject,
  parseReference,
  typeDefinition,
} from '../fhir/index.js'
import type { Scope } from './broken-invariants.js'
import { Findings } from './findings.js'
import { ask, compiled, type Rule } from './invariants.js'
import { fitsPattern, isFixed } from './pattern.js'
import { anyPrimitive, type Constraint, type Profile, type TypeRule } from './profile.js'
import { Slices } from './slices.js'

/** Whether a code is of a value set; undefined where that is not known here. */
export type Membership = (code: string, system: string | undefined) => boolean | undefined

/** What was gathered beforehand for one check: nothing is waited for while checking. */
export type Known = {
  profile(canonical: string): Profile | undefined
  valueSet(canonical: string): Membership | undefined
}

/** An element as it stands in a resource: its value, its type, and the extensions of a primitive. */
export type Item = { value: Json | undefined; attached?: JsonObject; type: string; index?: number; property: string }

/** Where references inside the resource lead. */
export type Surroundings = Scope & { resolve(reference: string): JsonObject | undefined }

const BASE = 'http://hl7.org/fhir/StructureDefinition/'

/** The type whose own definition a canonical is: nothing is asked beyond that. */
export const plainType = (canonical: string): string | undefined => {
  if (!canonical.startsWith(BASE)) return undefined
  const name = canonical.slice(BASE.length).replace(/\|.*$/, '')
  const definition = typeDefinition(name)
  return definition && definition.kind !== 'backbone' ? name : undefined
}

/** Ends a check whose only question is whether anything is wrong. */
const wrong = Symbol('wrong')

class FirstError extends Findings {
  override report(severity: 'error' | 'warning' | 'information'): void {
    if (severity === 'error') throw wrong
  }
}

/** Profiles may refer to themselves through what they refer to. */
const nestingMax = 16

export class ProfileCheck {
  private nesting = 0

  constructor(
    private readonly known: Known,
    private readonly findings: Findings,
    private readonly around: Surroundings,
  ) {}

  resource(profile: Profile, resource: JsonObject) {
    const { resourceType } = resource
    const isFit = resourceType === profile.type || isAbstract(profile.type)
    if (!isFit)
      return this.findings.error(
        'structure',
        `${profile.title} is a profile of ${profile.type}, and this is another resource`,
      )
    this.element(profile.root, { value: resource, type: String(resourceType), property: '' })
  }

  /** What a constraint asks of one element. */
  element(constraint: Constraint, item: Item): void {
    const { value, type } = item
    if (value !== undefined) this.value(constraint, value, type)
    const object = isObject(value) ? value : item.attached
    if (object && constraint.children.size > 0)
      for (const child of constraint.children.values()) this.child(child, object, isObject(value) ? type : 'Element')
  }

  private value(constraint: Constraint, value: Json, type: string): void {
    const { findings } = this
    const { fixed, pattern, maxLength, binding, invariants } = constraint
    if (fixed !== undefined && !isFixed(value, fixed))
      findings.error('value', `the value must be exactly ${shown(fixed)}`)
    if (pattern !== undefined && !fitsPattern(value, pattern))
      findings.error('value', `the value must have at least ${shown(pattern)}`)
    if (maxLength !== undefined && typeof value === 'string' && value.length > maxLength)
      findings.error('value', `the text may have at most ${maxLength} characters`)
    this.range(constraint, value)
    if (binding) this.bound(binding, value, type)
    if (invariants.length > 0 && (isObject(value) || typeof value === 'string'))
      for (const rule of rulesOf(constraint, type)) ask(rule, value, this.around, findings)
  }

  private range({ minValue, maxValue }: Constraint, value: Json): void {
    const low = numberIn(minValue)
    const high = numberIn(maxValue)
    const number = numberIn(value)
    if (number === undefined) return
    if (low !== undefined && number < low) this.findings.error('value', `the value must be ${low} or more`)
    if (high !== undefined && number > high) this.findings.error('value', `the value must be ${high} or less`)
  }

  private child(child: Constraint, object: JsonObject, type: string): void {
    const items = itemsOf(object, type, child.name)
    const { findings } = this
    findings.enter(child.name)
    this.count(child, items.length, child.name)
    for (const item of items) this.at(item, () => this.typed(child, item))
    if (child.slices.size > 0 || child.slicing) this.sliced(child, items)
    findings.leave()
  }

  private at(item: Item, check: () => void): void {
    if (item.index !== undefined) this.findings.enter(item.index)
    check()
    if (item.index !== undefined) this.findings.leave()
  }

  private count({ min = 0, max = Number.POSITIVE_INFINITY }: Constraint, count: number, what: string): void {
    if (count < min)
      this.findings.error('required', count === 0 ? `${what} is required; add it` : `${what} is needed ${min} times`)
    if (count > max)
      this.findings.error('structure', max === 0 ? `${what} is not allowed here` : `${what} may be there ${max} times`)
  }

  private typed(constraint: Constraint, item: Item): void {
    if (constraint.types) this.types(constraint.types, item)
    this.element(constraint, item)
  }

  private types(rules: readonly TypeRule[], item: Item) {
    const { value, type } = item
    const fitting = rules.filter(({ code }) => isOf(item, code))
    if (fitting.length === 0)
      return this.findings.error('structure', `the type must be ${listed(rules.map(({ code }) => code))}`)
    if (fitting.every(({ profiles }) => profiles.length > 0) && value !== undefined)
      this.oneOf(
        fitting.flatMap(({ profiles }) => profiles),
        item,
      )
    const targets = fitting.flatMap(({ targets }) => targets)
    if (targets.length > 0 && (type === 'Reference' || type === 'canonical') && isObject(value))
      this.target(targets, value)
  }

  /** The element conforms to one of the profiles; the reasons are told where there is only one. */
  private oneOf(canonicals: readonly string[], item: Item): void {
    const profiles = canonicals.flatMap((each) => this.known.profile(each) ?? [])
    if (profiles.length < canonicals.length && canonicals.some((each) => plainType(each) !== undefined)) return
    if (profiles.length < canonicals.length)
      this.findings.report('information', 'incomplete', 'a profile that this element should have is not known here')
    else if (profiles.length === 1) this.deeper(() => this.element(profiles[0]!.root, item))
    else if (!profiles.some(({ root }) => this.conforms(root, item)))
      this.findings.error('structure', `it must be ${listed(profiles.map(({ title }) => title))}`)
  }

  private deeper(check: () => void): void {
    if (this.nesting >= nestingMax) return
    this.nesting++
    check()
    this.nesting--
  }

  /** Whether an element is what a constraint asks for; says nothing. */
  conforms(constraint: Constraint, item: Item): boolean {
    if (this.nesting >= nestingMax) return true
    const check = new ProfileCheck(this.known, new FirstError(), this.around)
    check.nesting = this.nesting + 1
    try {
      check.element(constraint, item)
      return true
    } catch (error) {
      if (error !== wrong) throw error
      return false
    }
  }

  /** The resource a reference leads to, where it is at hand. */
  resolved(reference: string): JsonObject | undefined {
    return this.around.resolve(reference)
  }

  private target(targets: readonly string[], value: JsonObject) {
    const { reference, type } = value
    if (typeof reference !== 'string') return
    const found = this.around.resolve(reference)
    const name =
      (found?.['resourceType'] as string | undefined) ?? parseReference(reference)?.type ?? (type as string | undefined)
    if (name === undefined) return
    const candidates = targets.filter((each) => {
      const plain = plainType(each)
      if (plain !== undefined) return plain === name || isAbstract(plain)
      const profile = this.known.profile(each)
      return profile === undefined || profile.type === name || isAbstract(profile.type)
    })
    if (candidates.length === 0) return this.findings.error('value', 'the reference is to another type than allowed')
    if (!found || candidates.some((each) => plainType(each) !== undefined)) return
    const profiles = candidates.flatMap((each) => this.known.profile(each) ?? [])
    if (profiles.length < candidates.length) return
    const item = { value: found, type: name, property: '' }
    if (!profiles.some(({ root }) => this.conforms(root, item)))
      this.findings.error('value', `what the reference leads to is not ${listed(profiles.map(({ title }) => title))}`)
  }

  private sliced(child: Constraint, items: readonly Item[]): void {
    const { findings } = this
    const slices = new Slices(child, this, this.known)
    const counts = new Map<string, number>()
    let last = -1
    let unmatched = false
    const names = [...child.slices.keys()]
    for (const item of items) {
      const name = slices.of(item)
      if (name === undefined) {
        unmatched = true
        if (child.slicing?.rules === 'closed')
          this.at(item, () =>
            findings.error('structure', `it fits none of ${listed(names)}, and others are not allowed`),
          )
        continue
      }
      if (unmatched && child.slicing?.rules === 'openAtEnd')
        this.at(item, () => findings.error('structure', `${name} must come before what fits no slice`))
      const place = names.indexOf(name)
      if (child.slicing?.ordered && place < last)
        this.at(item, () => findings.error('structure', `${name} must come before ${names[last]}`))
      last = Math.max(last, place)
      counts.set(name, (counts.get(name) ?? 0) + 1)
    }
    for (const [name, slice] of child.slices) {
      // That the element itself is missing was said already.
      if (items.length === 0 && child.min) continue
      this.count(slice, counts.get(name) ?? 0, `${child.name}:${name}`)
      const own = items.filter((item) => slices.of(item) === name)
      for (const item of own) this.at(item, () => this.typed(slice, item))
      if (slice.slices.size > 0) this.sliced(slice, own)
    }
  }

  private bound({ strength, valueSet }: NonNullable<Constraint['binding']>, value: Json, type: string): void {
    if (strength === 'preferred' || strength === 'example') return
    const member = this.known.valueSet(valueSet)
    if (!member) {
      if (strength === 'required')
        this.findings.report('information', 'incomplete', `the value set ${valueSet} is not known here`)
      return
    }
    const verdict = membershipOf(value, type, member)
    if (verdict === true || verdict === undefined) return
    if (strength === 'required')
      this.findings.error('code-invalid', `no code is in the required value set; use one of ${valueSet}`)
    else if (verdict === 'other')
      this.findings.report('warning', 'code-invalid', `no code is in ${valueSet}; use one of it where one fits`)
  }
}

/** `other`: there is a code, and it is another; `false`: there is none; undefined: it is not known. */
function membershipOf(value: Json, type: string, member: Membership): boolean | 'other' | undefined {
  if (typeof value === 'string') return member(value, undefined) ?? undefined
  if (!isObject(value)) return undefined
  if (type === 'CodeableConcept') {
    const { coding } = value
    if (!Array.isArray(coding) || coding.length === 0) return false
    const each = coding.filter(isObject).map((coded) => codedIn(coded, member))
    if (each.includes(true)) return true
    return each.includes(undefined) ? undefined : 'other'
  }
  const found = codedIn(value, member)
  return found === false ? 'other' : found
}

function codedIn({ code, system }: JsonObject, member: Membership): boolean | undefined {
  if (typeof code !== 'string') return false
  return member(code, typeof system === 'string' ? system : '')
}

const rules = new WeakMap<Invariant[], Map<string, Rule[]>>()

/** The invariants of a constraint, compiled for the type they are asked of when they are first asked. */
function rulesOf({ invariants }: Constraint, type: string): Rule[] {
  let byType = rules.get(invariants)
  if (!byType) {
    byType = new Map()
    rules.set(invariants, byType)
  }
  let found = byType.get(type)
  if (!found) {
    found = compiled(invariants, type)
    byType.set(type, found)
  }
  return found
}

/** The elements of a name, with the type that the definition of the owner gives them. */
export function itemsOf(object: JsonObject, owner: string, name: string): Item[] {
  const definition = typeDefinition(owner)?.elements.find((element) => element.name === name)
  if (!definition) return []
  const items: Item[] = []
  for (const { code } of definition.types) {
    const property = definition.choice ? name + code[0]!.toUpperCase() + code.slice(1) : name
    const value = object[property]
    const beside = object[`_${property}`]
    if (value === undefined && beside === undefined) continue
    if (definition.many) {
      const values = Array.isArray(value) ? value : []
      const attached = Array.isArray(beside) ? beside : []
      for (let index = 0; index < Math.max(values.length, attached.length); index++)
        items.push(itemOf(values[index] ?? undefined, attached[index], code, property, index))
    } else items.push(itemOf(value, beside, code, property, undefined))
  }
  return items
}

function itemOf(
  value: Json | undefined,
  attached: Json | undefined,
  code: string,
  property: string,
  index: number | undefined,
): Item {
  const type = typeDefinition(code)?.kind === 'resource' && isObject(value) ? String(value['resourceType']) : code
  return {
    value,
    type,
    property,
    ...(isObject(attached) && { attached }),
    ...(index !== undefined && { index }),
  }
}

export const isAbstract = (type: string): boolean => typeDefinition(type)?.abstract === true

export const isOf = ({ type }: Item, code: string): boolean =>
  type === code ||
  (isResourceType(type) && isAbstract(code)) ||
  (code === anyPrimitive && typeDefinition(type)?.kind === 'primitive')

const numberIn = (value: Json | undefined): number | undefined => {
  if (value === undefined || value === null) return undefined
  if (isObject(value)) return numberIn(value['value'])
  const number = typeof value === 'string' || typeof value === 'boolean' ? Number.NaN : Number(value)
  return Number.isNaN(number) ? undefined : number
}

/** A value of a profile, which is nobody's data. */
const shown = (value: Json): string => {
  const text = JSON.stringify(value)
  return text.length > 200 ? `${text.slice(0, 200)}…` : text
}

const listed = (names: readonly string[]): string => {
  const unique = [...new Set(names)]
  return unique.length > 8 ? `${unique.slice(0, 8).join(', ')} or another` : unique.join(' or ')
}
