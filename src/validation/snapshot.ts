/**
 * The snapshot of a profile: every element of its type with what the differentials say, and the elements they add.
 *
 * https://hl7.org/fhir/R4/profiling.html#snapshot
 *
 * It is made of the tables, so that it has the members a check needs (cardinality, types, bindings, fixed values,
 * invariants, slicing) and of texts only those that the profile writes itself.
 */
import {
  type ElementDefinition,
  isObject,
  type Json,
  type JsonObject,
  type Resource,
  typeDefinition,
} from '../fhir/index.js'

/** An element with what stands below it; `children` are made when something is said of one of them. */
type Element = { name: string; said: JsonObject; children?: Element[]; slices: Element[] }

const core = 'http://hl7.org/fhir/StructureDefinition/'

/**
 * The definition with its snapshot. `bases` are the profiles it is derived from, the nearest first.
 *
 * @throws Error with a sentence for who wrote the profile
 */
export function withSnapshot(definition: Resource, bases: readonly Resource[] = []): Resource {
  const { type } = definition
  if (typeof type !== 'string' || !typeDefinition(type)) throw new Error('a profile needs a type that R4 has')
  const root: Element = { name: type, said: { min: 0, max: '*', ...invariantsOf(type) }, slices: [] }
  root.children = childrenOf(type)
  for (const each of [...bases].reverse()) apply(root, each)
  apply(root, definition)
  return { ...definition, snapshot: { element: [...listed(root, type, type)] } }
}

function apply(root: Element, { differential }: Resource): void {
  const elements = isObject(differential) ? differential['element'] : undefined
  if (!Array.isArray(elements)) return
  for (const element of elements) {
    if (!isObject(element)) continue
    const id = element['id'] ?? element['path']
    if (typeof id !== 'string') throw new Error('each element of a differential needs an id')
    merge(find(root, id), element)
  }
}

function find(root: Element, id: string): Element {
  let at = root
  for (const step of id.split('.').slice(1)) {
    const [name = '', slice] = step.split(':')
    at.children ??= childrenOf(typeOf(at))
    let child = at.children.find((each) => each.name === name)
    let sliceName = slice
    if (!child) {
      // valueQuantity is short for the slice of value[x] that is a Quantity.
      child = at.children.find((each) => each.name.endsWith('[x]') && name.startsWith(each.name.slice(0, -3)))
      sliceName ??= name
    }
    if (!child) throw new Error(`${id} is no element of the type`)
    at = sliceName === undefined ? child : sliceOf(child, sliceName)
  }
  return at
}

function sliceOf(sliced: Element, name: string): Element {
  const known = sliced.slices.find(({ said }) => said['sliceName'] === name)
  if (known) return known
  const { slicing: _, ...said } = sliced.said
  const slice: Element = { name: sliced.name, said: { ...said, sliceName: name, min: 0 }, slices: [] }
  if (sliced.children) slice.children = sliced.children.map(copied)
  if (sliced.name.endsWith('[x]')) {
    const stem = sliced.name.slice(0, -3)
    const types = sliced.said['type']
    const own = Array.isArray(types)
      ? types.filter((each) => isObject(each) && `${stem}${capitalized(String(each['code']))}` === name)
      : []
    if (own.length > 0) slice.said = { ...slice.said, type: own }
    sliced.said = {
      slicing: { discriminator: [{ type: 'type', path: '$this' }], ordered: false, rules: 'open' },
      ...sliced.said,
    }
  }
  sliced.slices.push(slice)
  return slice
}

const copied = (element: Element): Element => ({
  ...element,
  slices: element.slices.map(copied),
  ...(element.children && { children: element.children.map(copied) }),
})

function merge(into: Element, element: JsonObject): void {
  const { id: _id, path: _path, constraint, ...said } = element
  const before = into.said['constraint']
  const all = [...(Array.isArray(before) ? before : []), ...(Array.isArray(constraint) ? constraint : [])]
  into.said = { ...into.said, ...said, ...(all.length > 0 && { constraint: all }) }
}

/** What an element is made of: a part of its own, or its type where that is one. */
function typeOf({ said, name }: Element): string {
  const { contentReference, type } = said
  if (typeof contentReference === 'string') return contentReference.slice(1)
  const types = Array.isArray(type) ? type.filter(isObject) : []
  const [first] = types
  const own = said['made'] ?? first?.['code']
  if (types.length !== 1 || typeof own !== 'string' || !typeDefinition(own))
    throw new Error(`of ${name}, which may have several types, nothing can be said of its parts`)
  return own
}

function childrenOf(type: string): Element[] {
  return typeDefinition(type)!.elements.map((element) => elementOf(element, type))
}

function elementOf(element: ElementDefinition, owner: string): Element {
  const { name, choice, min = 0, many, max, types, binding, modifier, summary, invariants } = element
  const part = types.length === 1 && typeDefinition(types[0]!.code)?.kind === 'backbone' ? types[0]!.code : undefined
  // A part that is defined elsewhere (Questionnaire.item.item) is referred to, not listed again.
  const isOwn = part === `${owner}.${name}`
  const made: Element = {
    name: choice ? `${name}[x]` : name,
    said: {
      min,
      max: max === 0 ? '0' : many ? '*' : '1',
      ...(part === undefined
        ? { type: types.map(typeRule) }
        : isOwn
          ? { type: [{ code: partType(part) }], made: part }
          : { contentReference: `#${part}` }),
      ...(modifier && { isModifier: true }),
      ...(summary && { isSummary: true }),
      ...(binding !== undefined && { binding: { strength: 'required', valueSet: binding } }),
      ...(invariants && { constraint: invariants as unknown as Json }),
    },
    slices: [],
  }
  if (part !== undefined && isOwn) made.children = childrenOf(part)
  return made
}

const partType = (part: string): string => (typeDefinition(part)?.base === 'Element' ? 'Element' : 'BackboneElement')

const typeRule = ({ code, targets }: { code: string; targets?: string[] }): JsonObject => ({
  code,
  ...(targets && { targetProfile: targets.map((each) => `${core}${each}`) }),
})

function invariantsOf(type: string): JsonObject {
  const own = typeDefinition(type)?.invariants
  return own ? { constraint: own as unknown as Json } : {}
}

function* listed(element: Element, id: string, path: string): Generator<JsonObject> {
  const { made: _, ...said } = element.said
  yield { id, path, ...said }
  for (const child of element.children ?? []) yield* listed(child, `${id}.${child.name}`, `${path}.${child.name}`)
  for (const slice of element.slices) yield* listed(slice, `${id}:${String(slice.said['sliceName'])}`, path)
}

const capitalized = (text: string): string => text[0]!.toUpperCase() + text.slice(1)
