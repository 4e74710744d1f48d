/**
 * The labels of a Meta as sets: profiles by URL, tags and security labels by system and code.
 *
 * https://hl7.org/fhir/R4/resource-operation-meta-add.html
 */
import { invalid, isObject, type Json, type JsonObject } from '../fhir/index.js'

const sets = ['profile', 'security', 'tag'] as const

/** What makes two labels the same: version and display are ignored. */
const identity = (label: Json): string =>
  isObject(label) ? JSON.stringify([label['system'] ?? null, label['code'] ?? null]) : JSON.stringify(label)

/** Only the labels of `meta`, which a client has sent. */
export function labelsOf(meta: Json | undefined): JsonObject {
  if (!isObject(meta)) throw invalid('send the labels as a parameter "meta" with a valueMeta', 'meta')
  const labels: JsonObject = {}
  for (const set of sets) {
    const given = meta[set]
    if (given === undefined) continue
    const wellFormed = (label: Json) => (set === 'profile' ? typeof label === 'string' : isObject(label))
    if (!Array.isArray(given) || !given.every(wellFormed))
      throw invalid(`meta.${set} must be a list of ${set === 'profile' ? 'URLs' : 'Codings'}`, `meta.${set}`)
    labels[set] = given
  }
  return labels
}

/** `meta` with those labels that it does not have yet. */
export function addLabels(meta: JsonObject, labels: JsonObject): JsonObject {
  return change(meta, labels, (had, given) => {
    const known = new Set(had.map(identity))
    return [...had, ...given.filter((label) => known.size !== known.add(identity(label)).size)]
  })
}

/** `meta` without those labels; it is no error if it never had them. */
export function dropLabels(meta: JsonObject, labels: JsonObject): JsonObject {
  return change(meta, labels, (had, given) => {
    const unwanted = new Set(given.map(identity))
    return had.filter((label) => !unwanted.has(identity(label)))
  })
}

function change(meta: JsonObject, labels: JsonObject, merge: (had: Json[], given: Json[]) => Json[]): JsonObject {
  const changed = { ...meta }
  for (const set of sets) {
    const given = labels[set]
    if (!Array.isArray(given)) continue
    const had = meta[set]
    const merged = merge(Array.isArray(had) ? had : [], given)
    if (merged.length) changed[set] = merged
    else delete changed[set]
  }
  return changed
}
