/**
 * What a dotted path finds in a document, arrays included.
 *
 * https://www.mongodb.com/docs/manual/tutorial/query-array-of-documents/
 */
import { field, isPlain } from './bson.mjs'

/** Stands for "there is nothing at this path". */
export const MISSING = Symbol('missing')

const NUMERIC = /^(0|[1-9]\d*)$/

/** @param {string} path */
export const partsOf = (path) => path.split('.')
export const isPosition = (part) => part !== undefined && NUMERIC.test(part)

/**
 * Whether some value at the path passes the test. An array at the end is tried as a whole and by its elements; an array on
 * the way is entered: its sub-documents, and the element a number in the path names.
 * @param {object} container
 * @param {string[]} parts
 * @param {number} at
 * @param {(value: unknown) => boolean} test
 * @param {boolean} [wholeOnly] an array at the end is tried as a whole only
 * @returns {boolean}
 */
export function someAt(container, parts, at, test, wholeOnly) {
  const value = field(container, parts[at])
  if (value === undefined) return test(MISSING)
  if (at === parts.length - 1) return someOf(value, test, wholeOnly)
  if (isPlain(value)) return someAt(value, parts, at + 1, test, wholeOnly)
  if (!Array.isArray(value)) return test(MISSING)
  return someWithin(value, parts, at + 1, test, wholeOnly)
}

function someOf(value, test, wholeOnly) {
  if (test(value)) return true
  if (wholeOnly || !Array.isArray(value)) return false
  for (const element of value) if (test(element)) return true
  return false
}

/** The same for the rest of a path within an array. */
function someWithin(values, parts, at, test, wholeOnly) {
  for (const element of values) if (isPlain(element) && someAt(element, parts, at, test, wholeOnly)) return true
  if (!isPosition(parts[at])) return false
  const element = values[Number(parts[at])]
  if (element === undefined) return false
  if (at < parts.length - 1) {
    if (isPlain(element)) return someAt(element, parts, at + 1, test, wholeOnly)
    return Array.isArray(element) && someWithin(element, parts, at + 1, test, wholeOnly)
  }
  // An array that is named by its place is looked at as a whole.
  return test(element)
}

/**
 * The place in the outermost array on the path where the test first passes: what `$` stands for in updates and projections.
 * @returns {number | undefined}
 */
export function placeOf(container, parts, test, wholeElements = false) {
  let value = container
  for (let at = 0; at < parts.length; at++) {
    value = field(value, parts[at])
    if (Array.isArray(value)) {
      const rest = parts.slice(at + 1)
      const found = value.findIndex((element) =>
        rest.length === 0 || wholeElements ? test(element) : isPlain(element) && someAt(element, rest, 0, test),
      )
      return found < 0 ? undefined : found
    }
    if (!isPlain(value)) return undefined
  }
  return undefined
}
