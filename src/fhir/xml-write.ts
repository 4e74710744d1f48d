/**
 * Writes a resource in its XML representation.
 *
 * https://hl7.org/fhir/R4/xml.html
 *
 * Elements stand in the order of their definitions. What has no XML form (an unknown property, a list where one value
 * is defined, text where a number is) is refused rather than written as something that reads back differently.
 */
import { isResourceType, type Property, type TypeDefinition, typeDefinition } from './definitions.js'
import { Decimal, type Json, type JsonObject } from './json.js'
import { notAcceptable, structure } from './outcome.js'
import { isObject, type Resource } from './resource.js'
import { divProblem } from './xml-narrative.js'
import { escapeXml, fhirNamespace } from './xml-text.js'

/**
 * The XML document of a resource; `pretty` indents it.
 *
 * @throws FhirError structure for a tree that is not built as its definitions say, with the element
 * @throws FhirError notAcceptable for characters and narratives that XML cannot carry
 */
export function writeXml(resource: Resource, options: { pretty?: boolean } = {}): string {
  const line = options.pretty ? '\n' : ''
  return `<?xml version="1.0" encoding="UTF-8"?>${line}${resourceXml(resource, '', line, ` xmlns="${fhirNamespace}"`)}${line}`
}

function resourceXml(resource: Json, place: string, line: string, namespace = ''): string {
  const type = isObject(resource) ? resource['resourceType'] : undefined
  if (typeof type !== 'string' || !isResourceType(type))
    throw structure('a resource was expected here', place || undefined)
  const content = children(resource as JsonObject, typeDefinition(type)!, place || type, line)
  return content === '' ? `<${type}${namespace}/>` : `<${type}${namespace}>${content}${line}</${type}>`
}

function elementXml(name: string, value: Json, type: TypeDefinition, place: string, line: string): string {
  const inner = line && `${line}  `
  if (type.name === 'Resource') return `${line}<${name}>${inner}${resourceXml(value, place, inner)}${line}</${name}>`
  if (!isObject(value)) throw structure('an object was expected here', place)
  const attributes = attribute(value, 'id', place) + (type.name === 'Extension' ? attribute(value, 'url', place) : '')
  const content = children(value, type, place, line)
  return content === '' ? `${line}<${name}${attributes}/>` : `${line}<${name}${attributes}>${content}${line}</${name}>`
}

/** A primitive with what its sibling property holds: an id and extensions. */
function primitiveXml(
  name: string,
  value: Json | undefined,
  companion: Json | undefined,
  type: TypeDefinition,
  place: string,
  line: string,
): string {
  const hasCompanion = companion !== undefined && companion !== null
  if (type.name === 'xhtml' && !hasCompanion) return line + narrativeXml(value, place)
  if (value === undefined || value === null) {
    if (!hasCompanion) throw structure('null may stand only beside an extension', place)
  }
  if (hasCompanion && !isObject(companion)) throw structure('an object with id or extension was expected here', place)
  const attributes =
    (hasCompanion ? attribute(companion, 'id', place) : '') +
    (value === undefined || value === null ? '' : ` value="${primitiveText(value, type.name, place)}"`)
  const content = hasCompanion ? children(companion, elementType, place, line) : ''
  return content === '' ? `${line}<${name}${attributes}/>` : `${line}<${name}${attributes}>${content}${line}</${name}>`
}

const elementType = typeDefinition('Element')!

function narrativeXml(value: Json | undefined, place: string): string {
  if (typeof value !== 'string') throw structure('a string of XHTML was expected here', place)
  const problem = divProblem(value)
  if (problem !== undefined)
    throw notAcceptable(`the narrative cannot stand in XML (${problem}); ask for application/fhir+json`, place)
  return value
}

function attribute(object: JsonObject, name: string, place: string): string {
  const value = object[name]
  if (value === undefined) return ''
  if (typeof value !== 'string') throw structure('a string was expected here', `${place}.${name}`)
  return ` ${name}="${escapeXml(value)}"`
}

function primitiveText(value: Json, type: string, place: string): string {
  switch (type) {
    case 'boolean':
      if (typeof value === 'boolean') return String(value)
      throw structure('true or false was expected here', place)
    case 'integer':
    case 'positiveInt':
    case 'unsignedInt':
    case 'decimal':
      if (typeof value === 'number' || value instanceof Decimal) return String(value)
      throw structure('a number was expected here', place)
    default:
      if (typeof value === 'string') return escapeXml(value)
      throw structure('a string was expected here', place)
  }
}

/** The elements inside an object: all its properties but those that are attributes. */
function children(object: JsonObject, type: TypeDefinition, place: string, line: string): string {
  const inner = line && `${line}  `
  let text = ''
  for (const name of inOrder(object, type, place)) {
    const { element, type: elementType } = type.properties.get(name)!
    const definition = typeDefinition(elementType.code)!
    const value = object[name]
    const companion = object[`_${name}`]
    const at = `${place}.${name}`
    if (definition.kind !== 'primitive') {
      if (Array.isArray(value) !== (element.many === true)) throw wrongCount(element.many, at)
      if (!Array.isArray(value)) text += elementXml(name, value!, definition, at, inner)
      else for (let i = 0; i < value.length; i++) text += elementXml(name, value[i]!, definition, `${at}[${i}]`, inner)
    } else if (element.many) {
      const values = value ?? []
      const companions = companion ?? []
      if (!Array.isArray(values) || !Array.isArray(companions)) throw wrongCount(true, at)
      const length = Math.max(values.length, companions.length)
      for (let i = 0; i < length; i++)
        text += primitiveXml(name, values[i], companions[i], definition, `${at}[${i}]`, inner)
    } else {
      if (Array.isArray(value) || Array.isArray(companion)) throw wrongCount(false, at)
      text += primitiveXml(name, value, companion, definition, at, inner)
    }
  }
  return text
}

const wrongCount = (many: boolean | undefined, place: string) =>
  structure(many ? 'a list was expected here' : 'one value was expected here, not a list', place)

/** The names of the properties in the order of the definition; `_birthDate` counts as birthDate. */
function inOrder(object: JsonObject, type: TypeDefinition, place: string): string[] {
  const places = placesOf(type)
  const names: string[] = []
  let last = -1
  let isSorted = true
  for (const key in object) {
    if (object[key] === undefined || isAttribute(key, type)) continue
    const name = key.startsWith('_') ? key.slice(1) : key
    const at = places.get(name)
    if (at === undefined || (key !== name && !isPrimitive(type.properties.get(name)!)))
      throw structure(`${type.name} has no element "${key.slice(0, 64)}"`, place)
    if (key !== name && object[name] !== undefined) continue
    if (at < last) isSorted = false
    last = at
    names.push(name)
  }
  return isSorted ? names : names.sort((a, b) => places.get(a)! - places.get(b)!)
}

const isPrimitive = ({ type }: Property): boolean => typeDefinition(type.code)!.kind === 'primitive'

/** The id of an element and the url of an extension are attributes; a resource's type is the name of its element. */
const isAttribute = (key: string, { kind, name }: TypeDefinition): boolean =>
  kind === 'resource' ? key === 'resourceType' : key === 'id' || (key === 'url' && name === 'Extension')

const placesByType = new Map<string, Map<string, number>>()

function placesOf({ name, properties }: TypeDefinition): Map<string, number> {
  let places = placesByType.get(name)
  if (!places) {
    places = new Map([...properties.keys()].map((property, index) => [property, index]))
    placesByType.set(name, places)
  }
  return places
}
