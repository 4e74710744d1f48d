/**
 * FHIRPath Patch: changes to a resource as a list of operations in a Parameters resource.
 *
 * https://hl7.org/fhir/R4/fhirpatch.html
 *
 * The tree that is given stays as it is; what changes is copied. Operations that are not written as the specification
 * says are 400, those that do not fit the resource 422. An element that loses its last content goes with it, because
 * FHIR has no empty elements.
 */
import { isResourceType, type Property, type TypeDefinition, typeDefinition } from './definitions.js'
import { clientTimeoutMs, locate, type Step } from './fhirpath.js'
import { depthMax, type Json, type JsonObject } from './json.js'
import { patchOperationsMax } from './json-patch.js'
import { FhirError, invalid, tooCostly, unprocessable } from './outcome.js'
import { isObject, type Resource } from './resource.js'
import { depthOf } from './tree.js'

/**
 * The resource after the operations.
 *
 * @throws FhirError invalid for a malformed patch, unprocessable for one that does not fit, with the operation's place
 */
export function applyFhirPathPatch(resource: Resource, parameters: Resource): Resource {
  if (parameters.resourceType !== 'Parameters') throw invalid('a FHIRPath Patch is a Parameters resource')
  const operations = parameters['parameter'] ?? []
  if (!Array.isArray(operations)) throw invalid('Parameters.parameter is a list', 'Parameters.parameter')
  if (operations.length > patchOperationsMax)
    throw tooCostly(`a patch may have at most ${patchOperationsMax} operations; send the whole resource instead`)
  if (!isResourceType(resource.resourceType)) throw unprocessable('what is to be patched is not a resource of R4')
  const deadline = performance.now() + clientTimeoutMs
  let patched: JsonObject = resource
  for (let i = 0; i < operations.length; i++) {
    try {
      const find: Find = (path) => locate(path, patched, Math.max(1, Math.ceil(deadline - performance.now())))
      patched = apply(patched, readOperation(operations[i]!), find)
    } catch (error) {
      throw placed(error, `Parameters.parameter[${i}]`)
    }
  }
  return patched as Resource
}

type Find = (path: string) => (Step[] | undefined)[]

type Operation =
  | { type: 'add'; path: string; name: string; value: Value }
  | { type: 'insert'; path: string; value: Value; index: number }
  | { type: 'delete'; path: string }
  | { type: 'replace'; path: string; value: Value }
  | { type: 'move'; path: string; source: number; destination: number }

/** What is to be written: of a data type, a resource, or the named parts of an element that has no type of its own. */
type Value = ({ type: string } & Item) | { parts: { name: string; value: Value }[] }

/** One element of a list, or the only one: a primitive's id and extensions are its companion. */
type Item = { value?: Json; companion?: Json }

function placed(error: unknown, place: string): unknown {
  if (!(error instanceof FhirError)) return error
  const issues = error.issues.map((issue) => ({ ...issue, expression: [place] }))
  return new FhirError(error.status, issues, error.options)
}

function readOperation(operation: Json): Operation {
  if (!isObject(operation) || operation['name'] !== 'operation')
    throw invalid('each parameter of a FHIRPath Patch is called "operation"')
  const parts = partsByName(operation)
  const type = text(parts, 'type')
  const path = text(parts, 'path')
  const allow = (...names: string[]) => {
    for (const name of parts.keys())
      if (name !== 'type' && name !== 'path' && !names.includes(name))
        throw invalid(`the operation ${type} has no part "${name.slice(0, 64)}"`)
  }
  switch (type) {
    case 'add':
      allow('name', 'value')
      return { type, path, name: text(parts, 'name'), value: readValue(part(parts, 'value')) }
    case 'insert':
      allow('index', 'value')
      return { type, path, index: index(parts, 'index'), value: readValue(part(parts, 'value')) }
    case 'delete':
      allow()
      return { type, path }
    case 'replace':
      allow('value')
      return { type, path, value: readValue(part(parts, 'value')) }
    case 'move':
      allow('source', 'destination')
      return { type, path, source: index(parts, 'source'), destination: index(parts, 'destination') }
    default:
      throw invalid('the type of an operation is add, insert, delete, replace or move')
  }
}

function namedParts(holder: JsonObject): { name: string; part: JsonObject }[] {
  const parts = holder['part']
  if (!Array.isArray(parts)) throw invalid('a list of parts was expected')
  return parts.map((part) => {
    if (!isObject(part) || typeof part['name'] !== 'string') throw invalid('each part has a name')
    return { name: part['name'], part }
  })
}

function partsByName(holder: JsonObject): Map<string, JsonObject> {
  const parts = new Map<string, JsonObject>()
  for (const { name, part } of namedParts(holder)) {
    if (parts.has(name)) throw invalid(`the part "${name.slice(0, 64)}" is there twice`)
    parts.set(name, part)
  }
  return parts
}

function part(parts: Map<string, JsonObject>, name: string): JsonObject {
  const found = parts.get(name)
  if (!found) throw invalid(`the part "${name}" is missing`)
  return found
}

function text(parts: Map<string, JsonObject>, name: string): string {
  const value = readValue(part(parts, name))
  if (!('type' in value) || typeof value.value !== 'string') throw invalid(`the part "${name}" must be a string`)
  return value.value
}

function index(parts: Map<string, JsonObject>, name: string): number {
  const value = readValue(part(parts, name))
  const number = 'type' in value ? value.value : undefined
  if (typeof number !== 'number' || !Number.isInteger(number) || number < 0)
    throw invalid(`the part "${name}" must be an integer from 0`)
  return number
}

const parameterType = typeDefinition('Parameters.parameter')!

function readValue(part: JsonObject): Value {
  const values = new Map<string, Value>()
  for (const key in part) {
    const property = parameterType.properties.get(key.replace(/^_/, ''))
    if (key === 'part')
      values.set(key, { parts: namedParts(part).map(({ name, part }) => ({ name, value: readValue(part) })) })
    else if (key === 'resource') {
      const resource = part[key]
      if (!isObject(resource)) throw invalid('a resource was expected')
      values.set(key, { type: 'Resource', value: resource })
    } else if (property?.element.name === 'value') {
      const name = key.replace(/^_/, '')
      const item = itemOf(part[name], part[`_${name}`])
      if (item.companion !== undefined && typeDefinition(property.type.code)!.kind !== 'primitive')
        throw invalid(`a part has no element "${key.slice(0, 64)}"`)
      values.set(name, { type: property.type.code, ...item })
    } else if (key !== 'name' && key !== 'id' && key !== 'extension')
      throw invalid(`a part has no element "${key.slice(0, 64)}"`)
  }
  const [value, ...more] = values.values()
  if (!value || more.length) throw invalid('a part has one value, one resource or parts')
  return value
}

function apply(resource: JsonObject, operation: Operation, find: Find): JsonObject {
  const { path } = operation
  switch (operation.type) {
    case 'add': {
      const steps = single(find(path))
      return within(resource, steps, (object, type) => {
        const { name, item, element } = fitted(type, operation.name, operation.value, steps)
        const items = itemsOf(object, name)
        if (!element.many && variants(object, type, element.name).length)
          throw unprocessable('the element is there already; use replace')
        return withItems(object, name, [...items, item], element.many)
      })
    }
    case 'replace': {
      const steps = single(find(path))
      const { parent, last } = split(steps)
      return within(resource, parent, (object, type) => {
        const old = nameOf(object, type, last.property)
        const { name, item, element } = fitted(type, type.properties.get(old)!.element.name, operation.value, parent)
        const items = itemsOf(object, old).with(last.index ?? 0, item)
        return withItems(object, old, items, element.many, name)
      })
    }
    case 'delete': {
      const found = find(path)
      if (found.length === 0) return resource
      const { parent, last } = split(single(found))
      return within(resource, parent, (object, type) => {
        const name = nameOf(object, type, last.property)
        return withItems(object, name, itemsOf(object, name).toSpliced(last.index ?? 0, 1), isMany(type, name))
      })
    }
    case 'insert': {
      const { parent, property } = list(find, path)
      return within(resource, parent, (object, type) => {
        const { name, item, element } = fitted(type, property, operation.value, parent)
        const items = itemsOf(object, name)
        if (!element.many) throw unprocessable('the path does not select a list; use add or replace')
        if (operation.index > items.length) throw unprocessable(`the list has only ${items.length} elements`)
        return withItems(object, name, items.toSpliced(operation.index, 0, item), true)
      })
    }
    case 'move': {
      const { source, destination } = operation
      const { parent, property } = list(find, path)
      return within(resource, parent, (object, type) => {
        const name = nameOf(object, type, property)
        const items = itemsOf(object, name)
        if (source >= items.length || destination >= items.length)
          throw unprocessable(`the list has only ${items.length} elements`)
        const moved = items.toSpliced(source, 1).toSpliced(destination, 0, items[source]!)
        return withItems(object, name, moved, isMany(type, name))
      })
    }
  }
}

function single(found: (Step[] | undefined)[]): Step[] {
  const [steps, ...more] = found
  if (found.length === 0) throw unprocessable('the path selects nothing in the resource; read it again')
  if (more.length) throw unprocessable('the path selects more than one element')
  if (!steps) throw unprocessable('the path does not select an element of the resource')
  return steps
}

function split(steps: Step[]): { parent: Step[]; last: Step } {
  const last = steps.at(-1)
  if (!last) throw unprocessable('the path selects the resource itself; name an element of it')
  return { parent: steps.slice(0, -1), last }
}

/** The list a path names as a whole; one that is not there yet is the last name of the path in what stands before. */
function list(find: Find, path: string): { parent: Step[]; property: string } {
  const found = find(path)
  if (found.length === 0) {
    const [, before, property] = /^(?:(.+)\.)?\s*`?([A-Za-z][A-Za-z0-9]*)`?\s*$/s.exec(path) ?? []
    if (property === undefined) throw unprocessable('the path selects nothing in the resource; read it again')
    return { parent: before === undefined ? [] : single(find(before)), property }
  }
  const all = found.map((steps) => split(single([steps])))
  const [{ parent, last }] = all as [(typeof all)[0]]
  const isWhole = all.every(
    (each, place) =>
      each.last.property === last.property && each.last.index === place && sameSteps(each.parent, parent),
  )
  if (!isWhole) throw unprocessable('the path must select one list, from its first element on')
  return { parent, property: last.property }
}

const sameSteps = (a: Step[], b: Step[]): boolean =>
  a.length === b.length && a.every(({ property, index }, i) => property === b[i]!.property && index === b[i]!.index)

type Change = (object: JsonObject, type: TypeDefinition) => JsonObject

/** The resource with the object at the end of the steps changed. */
function within(resource: JsonObject, steps: Step[], change: Change): JsonObject {
  return changed(resource, typeDefinition(String(resource['resourceType']))!, steps, change)
}

function changed(object: JsonObject, type: TypeDefinition, steps: Step[], change: Change): JsonObject {
  const [step, ...rest] = steps
  if (!step) return change(object, type)
  const name = nameOf(object, type, step.property)
  const definition = typeDefinition(type.properties.get(name)!.type.code)!
  const items = itemsOf(object, name)
  const at = step.index ?? 0
  const item = items[at]!
  const isPrimitive = definition.kind === 'primitive'
  const inner = isPrimitive ? (item.companion ?? {}) : item.value
  if (!isObject(inner)) throw unprocessable('the path does not select an element of the resource')
  const innerType = isPrimitive
    ? typeDefinition('Element')!
    : definition.name === 'Resource'
      ? typeDefinition(String(inner['resourceType']))
      : definition
  if (!innerType) throw unprocessable('the path does not select an element of the resource')
  const after = changed(inner, innerType, rest, change)
  const written = Object.keys(after).length ? after : undefined
  const { value } = item
  const replaced = isPrimitive ? itemOf(value, written) : itemOf(written, undefined)
  return withItems(object, name, items.with(at, replaced), isMany(type, name))
}

const isMany = (type: TypeDefinition, name: string): boolean => type.properties.get(name)!.element.many === true

/** The name of the JSON property for an element's name: `valueQuantity`, where an object has that, for `value`. */
function nameOf(object: JsonObject, type: TypeDefinition, name: string): string {
  const property = type.properties.get(name)
  const found = property ? name : variants(object, type, name)[0]
  if (found === undefined) throw unprocessable('the path does not select an element of the resource')
  return found
}

/** The properties of an object that hold an element: more than one name is possible for value[x] alone. */
function variants(object: JsonObject, type: TypeDefinition, elementName: string): string[] {
  return Object.keys(object)
    .map((key) => (key.startsWith('_') ? key.slice(1) : key))
    .filter((name) => type.properties.get(name)?.element.name === elementName)
}

const itemOf = (value: Json | undefined, companion: Json | undefined): Item => ({
  ...(value !== undefined && value !== null && { value }),
  ...(companion !== undefined && companion !== null && { companion }),
})

function itemsOf(object: JsonObject, name: string): Item[] {
  const value = object[name]
  const companion = object[`_${name}`]
  if (!Array.isArray(value) && !Array.isArray(companion))
    return value === undefined && companion === undefined ? [] : [itemOf(value, companion)]
  const values = Array.isArray(value) ? value : []
  const companions = Array.isArray(companion) ? companion : []
  return Array.from({ length: Math.max(values.length, companions.length) }, (_, i) => itemOf(values[i], companions[i]))
}

/** The object with these items as one of its elements, where the element stood; without the element if none are left. */
function withItems(object: JsonObject, name: string, items: Item[], many = false, newName = name): JsonObject {
  const kept = items.filter(({ value, companion }) => value !== undefined || companion !== undefined)
  const written: [string, Json][] = []
  if (kept.some(({ value }) => value !== undefined))
    written.push([newName, many ? kept.map(({ value }) => value ?? null) : kept[0]!.value!])
  if (kept.some(({ companion }) => companion !== undefined))
    written.push([`_${newName}`, many ? kept.map(({ companion }) => companion ?? null) : kept[0]!.companion!])
  const entries: [string, Json][] = []
  for (const [key, member] of Object.entries(object))
    if (key !== name && key !== `_${name}`) entries.push([key, member])
    else entries.push(...written.splice(0))
  return Object.fromEntries([...entries, ...written])
}

/**
 * The value as an item for an element of the object at the end of the steps, and the name it gets there:
 * `valueQuantity` for `value`.
 */
function fitted(
  type: TypeDefinition,
  name: string,
  value: Value,
  steps: Step[],
): { name: string; item: Item; element: Property['element'] } {
  const suffixed = 'type' in value ? `${name}${value.type[0]!.toUpperCase()}${value.type.slice(1)}` : name
  const exact = type.properties.get(name)
  const property = exact ?? type.properties.get(suffixed)
  if (!property || (!exact && property.element.name !== name))
    throw unprocessable(`${type.name} has no element "${name.slice(0, 64)}" of this type`)
  const item = fittedItem(property, value)
  // Each step is an object, and a list around it at most.
  if (2 + 2 * steps.length + Math.max(depthOf(item.value ?? null), depthOf(item.companion ?? null)) > depthMax)
    throw unprocessable(`more than ${depthMax} levels`)
  return { name: exact ? name : suffixed, item, element: property.element }
}

function fittedItem({ type }: Property, value: Value): Item {
  if ('type' in value) {
    if (!fits(value.type, type.code)) throw unprocessable(`a ${type.code} was expected, not a ${value.type}`)
    return itemOf(value.value, value.companion)
  }
  const definition = typeDefinition(type.code)!
  if (definition.kind !== 'complex' && definition.kind !== 'backbone')
    throw unprocessable(`a ${type.code} was expected, not parts`)
  let object: JsonObject = {}
  for (const part of value.parts) {
    const { name, item, element } = fitted(definition, part.name, part.value, [])
    const items = itemsOf(object, name)
    if (!element.many && items.length) throw invalid(`the part "${part.name.slice(0, 64)}" may be there once`)
    object = withItems(object, name, [...items, item], element.many)
  }
  return itemOf(object, undefined)
}

/**
 * Whether a value of one type may stand where the other is defined. Types that specialise one another (code and
 * string, Age and Quantity) are written alike, and so is a date where a dateTime may be; validation judges the content.
 */
function fits(given: string, defined: string): boolean {
  return (
    given === defined ||
    (given === 'date' && defined === 'dateTime') ||
    inherits(given, defined) ||
    inherits(defined, given) ||
    (given === 'string' && defined === 'xhtml')
  )
}

function inherits(name: string, ancestor: string): boolean {
  const base = typeDefinition(name)?.base
  return base !== undefined && base !== 'Element' && (base === ancestor || inherits(base, ancestor))
}
