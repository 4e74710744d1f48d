/**
 * A profile made ready for checking: the differentials of its StructureDefinition and of all it is derived from, as a
 * tree of what they add to R4's own definition of the type.
 *
 * https://hl7.org/fhir/R4/profiling.html
 *
 * Only what a profile says stands in the tree. What R4 says of the type is the structural check's business, so that a
 * resource is never asked twice.
 */
import {
  detached,
  type Invariant,
  isObject,
  type Json,
  type JsonObject,
  type Resource,
  typeDefinition,
} from '../fhir/index.js'

/** What one element, or one slice of it, has to be. What is absent is as the base has it. */
export type Constraint = {
  /** The element's name; value[x] is `value`. */
  name: string
  min?: number
  /** Infinity for `*`. */
  max?: number
  types?: TypeRule[]
  fixed?: Json
  pattern?: Json
  maxLength?: number
  /** As FHIR writes them: a primitive, or a Quantity. */
  minValue?: Json
  maxValue?: Json
  binding?: { strength: BindingStrength; valueSet: string }
  invariants: Invariant[]
  slicing?: Slicing
  slices: Map<string, Constraint>
  children: Map<string, Constraint>
}

export type BindingStrength = 'required' | 'extensible' | 'preferred' | 'example'

/** A type the element may have; `profiles` and `targets` are canonicals of which one is enough. */
export type TypeRule = { code: string; profiles: string[]; targets: string[] }

export type Slicing = {
  discriminators: { type: 'value' | 'pattern' | 'exists' | 'type' | 'profile'; path: string }[]
  ordered: boolean
  rules: 'open' | 'closed' | 'openAtEnd'
}

export type Profile = {
  url: string
  version?: string
  /** What people call it. */
  title: string
  type: string
  root: Constraint
  /** Of an extension: whether it may change the meaning of what it stands in. */
  modifier: boolean
  /** Where an extension may stand; empty for other profiles. */
  contexts: { type: string; expression: string }[]
}

/** Elements of a profile and slices of an element; more would keep others waiting. */
const elementsMax = 5_000

/**
 * @param base the profile this one is derived from; absent where that is R4's own definition of the type
 * @throws Error with a sentence for who wrote the profile
 */
export function profileOf(definition: Resource, base: Profile | undefined): Profile {
  const { url, version, title, name } = definition
  const type = textOf(definition['type'])
  if (typeof url !== 'string' || type === undefined || !typeDefinition(type))
    throw new Error('a profile needs a url, and a type that R4 has')
  const elements = listOf(definition['differential'], 'element')
  if (elements.length > elementsMax) throw new Error(`a profile may have at most ${elementsMax} elements`)
  const root = base ? copied(base.root) : constraint(type)
  const ids = new Ids()
  for (const element of elements) {
    const id = ids.of(element)
    if (id === undefined) throw new Error('each element of a differential needs a path')
    merge(find(root, type, id), element)
  }
  return {
    url: detached(url),
    ...(typeof version === 'string' && { version: detached(version) }),
    title: detached(textOf(title) ?? textOf(name) ?? url),
    type,
    root,
    modifier: elements.find(({ path }) => path === type)?.['isModifier'] === true || base?.modifier === true,
    contexts: listOf(definition, 'context').map((context) => ({
      type: textOf(context['type']) ?? '',
      expression: textOf(context['expression']) ?? '',
    })),
  }
}

const constraint = (name: string): Constraint => ({ name, invariants: [], slices: new Map(), children: new Map() })

function copied(from: Constraint): Constraint {
  const copies = (map: Map<string, Constraint>) => new Map([...map].map(([key, each]) => [key, copied(each)]))
  return {
    ...from,
    invariants: [...from.invariants],
    slices: copies(from.slices),
    children: copies(from.children),
  }
}

/**
 * The ids of elements, `Observation.component:pdc.value[x]`. Where a differential has none they follow from the paths:
 * an element below a path that was sliced last belongs to that slice.
 */
class Ids {
  private readonly slices = new Map<string, string>()

  of(element: JsonObject): string | undefined {
    const path = textOf(element['path'])
    if (path === undefined) return undefined
    const id = textOf(element['id'])
    const sliceName = textOf(element['sliceName'])
    if (id !== undefined && id.replace(/:[^.]*/g, '') === path) return id
    for (const known of [...this.slices.keys()]) if (known.startsWith(path)) this.slices.delete(known)
    if (sliceName !== undefined) this.slices.set(path, sliceName)
    let at = ''
    return path
      .split('.')
      .map((step) => {
        at = at === '' ? step : `${at}.${step}`
        const slice = this.slices.get(at)
        return slice === undefined ? step : `${step}:${slice}`
      })
      .join('.')
  }
}

/** The constraint an id names; made on the way where nothing was said before. */
function find(root: Constraint, type: string, id: string): Constraint {
  let at = root
  let owner: string | undefined = type
  for (const step of id.split('.').slice(1)) {
    const [name = '', ...slices] = step.split(':')
    const place = placed(name.replace('[x]', ''), owner)
    at = childOf(at, place.name)
    if (place.slice !== undefined) at = sliceOf(at, place.slice, place.slice)
    // Slices of a slice are written sliceName/resliceName.
    for (const slice of slices.join(':').split('/').filter(Boolean)) at = sliceOf(at, slice, slice, owner)
    owner = at.types?.length === 1 ? at.types[0]!.code : typeOf(owner, place.name)
  }
  return at
}

/** `valueQuantity` is short for the slice of value[x] that is a Quantity. */
function placed(name: string, owner: string | undefined): { name: string; slice?: string } {
  const property = owner === undefined ? undefined : typeDefinition(owner)?.properties.get(name)
  return property?.element.choice ? { name: property.element.name, slice: name } : { name }
}

/** The type of an element that has but one. */
function typeOf(owner: string | undefined, name: string): string | undefined {
  const element = owner === undefined ? undefined : typeDefinition(owner)?.elements.find((each) => each.name === name)
  return element?.types.length === 1 ? element.types[0]!.code : undefined
}

function childOf(parent: Constraint, name: string): Constraint {
  let child = parent.children.get(name)
  if (!child) {
    child = constraint(detached(name))
    parent.children.set(child.name, child)
  }
  return child
}

function sliceOf(sliced: Constraint, slice: string, property: string, owner?: string): Constraint {
  let found = sliced.slices.get(slice)
  if (!found) {
    found = constraint(sliced.name)
    sliced.slices.set(detached(slice), found)
    const type = choiceType(property, sliced.name, owner)
    if (type !== undefined) {
      found.types = [{ code: type, profiles: [], targets: [] }]
      sliced.slicing ??= { discriminators: [{ type: 'type', path: '$this' }], ordered: false, rules: 'open' }
    }
  }
  return found
}

/** The type that the name of a slice of value[x] stands for. */
function choiceType(property: string, name: string, owner: string | undefined): string | undefined {
  const known = owner === undefined ? undefined : typeDefinition(owner)?.properties.get(property)
  if (known) return known.element.choice ? known.type.code : undefined
  if (!property.startsWith(name) || property.length === name.length) return undefined
  const code = property.slice(name.length)
  return [code, code[0]!.toLowerCase() + code.slice(1)].find((each) => typeDefinition(each) !== undefined)
}

function merge(into: Constraint, element: JsonObject): void {
  const { min, max, type, maxLength, binding, slicing } = element
  if (typeof min === 'number') into.min = min
  if (typeof max === 'string') into.max = max === '*' ? Number.POSITIVE_INFINITY : Number(max)
  if (typeof maxLength === 'number') into.maxLength = maxLength
  if (Array.isArray(type)) into.types = type.flatMap((each) => (isObject(each) ? ruleOf(each) : []))
  for (const key in element) {
    const value = element[key]!
    if (/^fixed[A-Z]/.test(key)) into.fixed = value
    else if (/^pattern[A-Z]/.test(key)) into.pattern = value
    else if (/^maxValue[A-Z]/.test(key)) into.maxValue = value
    else if (/^minValue[A-Z]/.test(key)) into.minValue = value
  }
  if (isObject(binding) && typeof binding['valueSet'] === 'string')
    into.binding = { strength: binding['strength'] as BindingStrength, valueSet: binding['valueSet'] }
  if (isObject(slicing)) into.slicing = slicingOf(slicing)
  for (const rule of listOf(element, 'constraint')) {
    const { key, severity, human, expression } = rule
    if (typeof key !== 'string' || typeof expression !== 'string') continue
    if (into.invariants.some((known) => known.key === key)) continue
    const warns = severity === 'warning' || isBestPractice(rule)
    into.invariants.push({ key, severity: warns ? 'warning' : 'error', human: textOf(human) ?? key, expression })
  }
}

/** https://hl7.org/fhir/R4/extension-elementdefinition-bestpractice.html */
const isBestPractice = (rule: JsonObject): boolean =>
  listOf(rule, 'extension').some(
    ({ url, valueBoolean }) =>
      url === 'http://hl7.org/fhir/StructureDefinition/elementdefinition-bestpractice' && valueBoolean === true,
  )

/** Stands for the types of FHIRPath. */
export const anyPrimitive = 'System'

function ruleOf({ code, profile, targetProfile }: JsonObject): TypeRule[] {
  if (typeof code !== 'string') return []
  // FHIRPath's own types stand for the plain attributes that R4 writes as elements: id, url.
  const name = code.startsWith('http://hl7.org/fhirpath/System.') ? anyPrimitive : code
  return [{ code: name, profiles: textsOf(profile), targets: textsOf(targetProfile) }]
}

function slicingOf(slicing: JsonObject): Slicing {
  const rules = slicing['rules']
  return {
    discriminators: listOf(slicing, 'discriminator').map(({ type, path }) => ({
      type: type as Slicing['discriminators'][number]['type'],
      path: textOf(path) ?? '$this',
    })),
    ordered: slicing['ordered'] === true,
    rules: rules === 'closed' || rules === 'openAtEnd' ? rules : 'open',
  }
}

const textOf = (value: Json | undefined): string | undefined => (typeof value === 'string' ? value : undefined)

const textsOf = (value: Json | undefined): string[] =>
  Array.isArray(value) ? value.filter((each): each is string => typeof each === 'string') : []

function listOf(value: Json | undefined, name: string): JsonObject[] {
  const list = isObject(value) ? value[name] : undefined
  return Array.isArray(list) ? list.filter(isObject) : []
}
