/**
 * Questions about a tree of JSON as a whole.
 *
 * https://hl7.org/fhir/R4/json.html
 */
import { Decimal, type Json } from './json.js'
import { isObject } from './resource.js'

/** How many objects and lists lie within one another: 0 for a string, 1 for `{}`. */
export function depthOf(value: Json): number {
  if (!Array.isArray(value) && !isObject(value)) return 0
  let deepest = 0
  for (const item of Array.isArray(value) ? value : Object.values(value)) deepest = Math.max(deepest, depthOf(item))
  return deepest + 1
}

const plain = new WeakMap<object, Json>()

/** The same tree with numbers for decimals, for what cannot cope with them; the tree itself where it has none. */
export function withoutDecimals(value: Json): Json {
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Decimal) return value.valueOf()
  const known = plain.get(value)
  if (known !== undefined) return known
  const made = hasDecimal(value) ? copied(value) : value
  plain.set(value, made)
  return made
}

function hasDecimal(value: Json): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (value instanceof Decimal) return true
  if (Array.isArray(value)) return value.some(hasDecimal)
  for (const key in value) if (hasDecimal(value[key]!)) return true
  return false
}

function copied(value: Json): Json {
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Decimal) return value.valueOf()
  if (Array.isArray(value)) return value.map(copied)
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, copied(member)]))
}
