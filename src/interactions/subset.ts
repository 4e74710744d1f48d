/**
 * `_summary` and `_elements`: a part of a resource, which says that it is one.
 *
 * https://hl7.org/fhir/R4/search.html#summary
 *
 * What is mandatory stays in, so that the part is still a valid resource; modifier elements stay in, so that nobody
 * takes a refuted diagnosis for a diagnosis.
 */
import {
  type ElementDefinition,
  isObject,
  type Json,
  type JsonObject,
  parseJson,
  type Resource,
  typeDefinition,
  writeJson,
} from '../fhir/index.js'
import type { Match, Stored } from '../store/index.js'

export type Summary = 'true' | 'text' | 'data' | 'count' | 'false'

/** Elements are names at the root, `name`, or for one type, `Patient.name`. */
export type Subset = { summary?: Summary; elements?: readonly string[] }

/** Whether anything is left out at all. */
export const isSubset = ({ summary, elements }: Subset): boolean =>
  elements !== undefined || (summary !== undefined && summary !== 'false' && summary !== 'count')

/** The bytes of the part of a stored resource. */
export function subsetBytes(stored: Pick<Stored, 'body'>, subset: Subset, mode: Match['mode'] = 'match'): Buffer {
  return Buffer.from(writeJson(subsetOf(parseJson(stored.body) as Resource, subset, mode)))
}

/**
 * The part of a resource, marked as SUBSETTED. `_elements` without a type are meant for what was searched, and leave
 * included resources whole.
 */
export function subsetOf(resource: Resource, { summary, elements }: Subset, mode: Match['mode'] = 'match'): Resource {
  const type = resource.resourceType
  const named = elements && elementsOf(type, elements, mode)
  if (named)
    return subsetted(pick(resource, type, (element) => element.min || element.modifier || named.has(element.name)))
  switch (summary) {
    case 'text':
      return subsetted(pick(resource, type, (element) => element.name === 'text' || element.min))
    case 'data':
      return subsetted(pick(resource, type, (element) => element.name !== 'text'))
    case 'true':
      return subsetted(summaryOf(resource, type) as Resource)
    default:
      return resource
  }
}

/** The names of `_elements` that are about this type; undefined if none is. */
function elementsOf(type: string, elements: readonly string[], mode: Match['mode']): Set<string> | undefined {
  const names = new Set<string>()
  for (const element of elements) {
    const dot = element.indexOf('.')
    if (dot < 0 ? mode === 'match' : element.slice(0, dot) === type) names.add(element.slice(dot + 1))
  }
  return names.size ? names : undefined
}

const always = new Set(['resourceType', 'id', 'meta'])

function pick(resource: Resource, type: string, keep: (element: ElementDefinition) => unknown): Resource {
  const part: JsonObject = {}
  for (const key in resource) {
    const element = elementOf(type, key)
    if (always.has(key) || (element && keep(element))) part[key] = resource[key]!
  }
  return part as Resource
}

/** `valueQuantity` and `_birthDate` belong to the elements value[x] and birthDate. */
const elementOf = (type: string, key: string): ElementDefinition | undefined =>
  typeDefinition(type)?.properties.get(key.startsWith('_') ? key.slice(1) : key)?.element

/**
 * The elements that the definitions mark as summary. Inside an element that is in the summary a backbone element is
 * reduced in the same way, a datatype is whole.
 */
function summaryOf(object: JsonObject, type: string): JsonObject {
  const definition = typeDefinition(type)
  const part: JsonObject = {}
  for (const key in object) {
    if (always.has(key)) {
      part[key] = object[key]!
      continue
    }
    const property = definition?.properties.get(key.startsWith('_') ? key.slice(1) : key)
    if (!property?.element.summary && !property?.element.min && !property?.element.modifier) continue
    const backbone = typeDefinition(property.type.code)?.kind === 'backbone'
    part[key] = backbone ? inEach(object[key]!, (item) => summaryOf(item, property.type.code)) : object[key]!
  }
  return part
}

function inEach(value: Json, reduce: (item: JsonObject) => JsonObject): Json {
  if (Array.isArray(value)) return value.map((item) => inEach(item, reduce))
  return isObject(value) ? reduce(value) : value
}

const subsettedTag = { system: 'http://terminology.hl7.org/CodeSystem/v3-ObservationValue', code: 'SUBSETTED' }

/** The resource with the mark that it is not all there is. */
export function subsetted(resource: Resource): Resource {
  const meta = isObject(resource['meta']) ? resource['meta'] : {}
  const tags = Array.isArray(meta['tag']) ? meta['tag'] : []
  const { resourceType, id, meta: _, ...rest } = resource
  return {
    resourceType,
    ...(id !== undefined && { id }),
    meta: { ...meta, tag: [...tags, { ...subsettedTag }] },
    ...rest,
  }
}
