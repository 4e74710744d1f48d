/**
 * Where the references inside a resource lead: to what it contains, and to the entries of the Bundle it is.
 *
 * https://hl7.org/fhir/R4/bundle.html#references
 */
import { isObject, type JsonObject, parseReference, type Resource, withoutDecimals } from '../fhir/index.js'
import type { Surroundings } from './profile-check.js'

export function surroundingsOf(resource: Resource, large: boolean): Surroundings {
  const root = withoutDecimals(resource) as JsonObject
  const contained = new Map<string, JsonObject>()
  const entries = new Map<string, JsonObject>()
  for (const each of objectsIn(root['contained'])) if (typeof each['id'] === 'string') contained.set(each['id'], each)
  if (resource.resourceType === 'Bundle')
    for (const { fullUrl, resource: entry } of objectsIn(root['entry'])) {
      if (!isObject(entry)) continue
      if (typeof fullUrl === 'string') entries.set(fullUrl, entry)
      if (typeof entry['id'] === 'string') entries.set(`${String(entry['resourceType'])}/${entry['id']}`, entry)
    }
  return {
    resource: root,
    rootResource: root,
    large,
    resolve(reference) {
      if (reference.startsWith('#')) return contained.get(reference.slice(1))
      const found = entries.get(reference)
      if (found) return found
      const parsed = parseReference(reference)
      return parsed && entries.get(`${parsed.type}/${parsed.id}`)
    },
  }
}

const objectsIn = (list: unknown): JsonObject[] => (Array.isArray(list) ? list.filter(isObject) : [])
