/**
 * Sort orders: a specification checked, and a document's place in it as one string.
 *
 * https://www.mongodb.com/docs/manual/reference/method/cursor.sort/
 */
import { isPlain, numberOf } from './bson.mjs'
import { refuse, unsupported } from './errors.mjs'
import { keysOf } from './index.mjs'

/**
 * @param {unknown} specification
 * @returns {{ fields: { path: string, parts: string[], down: boolean }[], natural?: 1 | -1 }}
 */
export function parseSort(specification) {
  if (specification === undefined || specification === null) return { fields: [] }
  if (!isPlain(specification)) refuse(14, "Expected field 'sort' to be of type object")
  const entries = Object.entries(specification)
  if (specification.$natural !== undefined) {
    if (entries.length > 1) refuse(2, '$natural sort cannot be combined with other sorts')
    return { fields: [], natural: numberOf(specification.$natural) < 0 ? -1 : 1 }
  }
  const fields = entries.map(([path, direction]) => {
    if (isPlain(direction)) unsupported('sorting by $meta')
    const number = numberOf(direction)
    if (number === undefined) refuse(15974, `Illegal key in $sort specification: ${path}: ${JSON.stringify(direction)}`)
    if (number !== 1 && number !== -1)
      refuse(15975, '$sort key ordering must be 1 (for ascending) or -1 (for descending)')
    if (path === '' || path.endsWith('.')) refuse(40353, "FieldPath must not end with a '.'.")
    return { path, parts: path.split('.'), down: number < 0 }
  })
  return { fields }
}

const SORTING = { complaint: 'cannot sort with keys that are parallel arrays', code: 2 }

/** The least of a document's keys: of an array that is its first element in the order asked for. */
export function sortKeyOf(document, fields) {
  const keys = keysOf(document, fields, SORTING)
  let least = keys[0]
  for (let i = 1; i < keys.length; i++) if (keys[i] < least) least = keys[i]
  return least
}

/** Documents in order; equal ones stay as they came. */
export function sorted(documents, fields) {
  if (fields.length === 0) return documents
  const keyed = documents.map((document, at) => ({ document, key: sortKeyOf(document, fields), at }))
  keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.at - b.at))
  return keyed.map(({ document }) => document)
}
