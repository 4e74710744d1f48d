/**
 * fixed[x] and pattern[x]: a value that is exactly so, and a value that has at least this.
 *
 * https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.pattern_x_
 */
import { Decimal, isObject, type Json } from '../fhir/index.js'

/** The same value; numbers by their value, the members of objects in any order. */
export function isFixed(value: Json, fixed: Json): boolean {
  if (Array.isArray(fixed))
    return Array.isArray(value) && value.length === fixed.length && fixed.every((each, i) => isFixed(value[i]!, each))
  if (isObject(fixed))
    return (
      isObject(value) &&
      Object.keys(value).length === Object.keys(fixed).length &&
      Object.entries(fixed).every(([key, each]) => value[key] !== undefined && isFixed(value[key], each))
    )
  return same(value, fixed)
}

/** Everything in the pattern is in the value; each item of a list in the pattern fits some item of the value's. */
export function fitsPattern(value: Json, pattern: Json): boolean {
  if (Array.isArray(pattern))
    return Array.isArray(value) && pattern.every((each) => value.some((item) => fitsPattern(item, each)))
  if (isObject(pattern))
    return (
      isObject(value) &&
      Object.entries(pattern).every(([key, each]) => value[key] !== undefined && fitsPattern(value[key], each))
    )
  return same(value, pattern)
}

const same = (a: Json, b: Json): boolean =>
  a instanceof Decimal || b instanceof Decimal ? Number(a) === Number(b) : a === b
