/**
 * The links of a resource: its References, and the elements and attributes that hold the address of another resource.
 *
 * https://hl7.org/fhir/R4/http.html#trules
 *
 * Driven by the definitions, because `reference` is a uri in DetectedIssue and a Reference in Consent, and because the
 * value of an Identifier is a string and no link even where it reads `urn:uuid:…`. Canonicals are not replaced, as R4 says.
 */
import { detached, isObject, type Json, type JsonObject, type Resource, typeDefinition } from '../fhir/index.js'

/** What each link becomes; the same text leaves it as it is. `uri` also sees href and src in the narrative. */
export type Links = { reference(text: string): string; uri?: (text: string) => string }

type Step = 'reference' | 'uri' | 'xhtml' | 'resource' | Plan
type Plan = Map<string, Step>

/**
 * The resource with every link replaced; what did not change is shared with the one given. Resources inside a Bundle
 * or Parameters resource are left alone: their links are read against that Bundle.
 */
export function mapLinks(resource: Resource, links: Links): Resource {
  return mapObject(resource, planOf(resource.resourceType), links) as Resource
}

const plans = new Map<string, Plan>()
const uriTypes = new Set(['uri', 'url', 'oid', 'uuid'])

/** Which properties of a type lead to links. Made once a type; a type may contain itself. */
function planOf(type: string): Plan {
  let plan = plans.get(type)
  if (!plan) {
    plan = new Map()
    plans.set(detached(type), plan)
    for (const [name, { type: value }] of typeDefinition(type)?.properties ?? []) {
      const step = stepOf(name, value.code)
      if (step) plan.set(name, step)
      else if (name !== 'id') plan.set(`_${name}`, planOf('Element'))
    }
  }
  return plan
}

function stepOf(name: string, code: string): Step | undefined {
  if (code === 'Reference') return 'reference'
  if (code === 'xhtml') return 'xhtml'
  if (code === 'Resource') return name === 'contained' ? 'resource' : undefined
  if (uriTypes.has(code)) return 'uri'
  return typeDefinition(code)?.kind === 'primitive' ? undefined : planOf(code)
}

function mapObject(object: JsonObject, plan: Plan, links: Links): JsonObject {
  let changed: JsonObject | undefined
  for (const key in object) {
    const step = plan.get(key)
    if (step === undefined) continue
    const before = object[key]!
    const after = mapValue(before, step, links)
    if (after === before) continue
    changed ??= { ...object }
    changed[key] = after
  }
  return changed ?? object
}

function mapValue(value: Json, step: Step, links: Links): Json {
  if (Array.isArray(value)) {
    let changed: Json[] | undefined
    for (let i = 0; i < value.length; i++) {
      const after = mapValue(value[i]!, step, links)
      if (after === value[i]) continue
      changed ??= [...value]
      changed[i] = after
    }
    return changed ?? value
  }
  if (typeof value === 'string') {
    if (!links.uri || (step !== 'uri' && step !== 'xhtml')) return value
    return step === 'uri' ? links.uri(value) : mapNarrative(value, links.uri)
  }
  if (!isObject(value)) return value
  switch (step) {
    case 'reference':
      return mapReference(value, links)
    case 'resource':
      return typeof value['resourceType'] === 'string' ? mapObject(value, planOf(value['resourceType']), links) : value
    case 'uri':
    case 'xhtml':
      return value
    default:
      return mapObject(value, step, links)
  }
}

function mapReference(value: JsonObject, links: Links): JsonObject {
  const mapped = mapObject(value, planOf('Reference'), links)
  const text = mapped['reference']
  if (typeof text !== 'string') return mapped
  const after = links.reference(text)
  return after === text ? mapped : { ...mapped, reference: after }
}

const linkAttribute = /(\s(?:href|src)\s*=\s*)("[^"]*"|'[^']*')/g

function mapNarrative(div: string, uri: (text: string) => string): string {
  if (!div.includes('href') && !div.includes('src')) return div
  return div.replace(linkAttribute, (whole, before: string, quoted: string) => {
    const text = quoted.slice(1, -1)
    const after = uri(text)
    return after === text ? whole : `${before}${quoted[0]}${after}${quoted[0]}`
  })
}
