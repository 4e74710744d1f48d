/**
 * Whether a document matches a filter.
 *
 * https://www.mongodb.com/docs/manual/tutorial/query-documents/
 */
import { BSONRegExp, BSONSymbol } from 'bson'
import { isPlain, numberOf, typeName } from './bson.mjs'
import { truthy } from './expression.mjs'
import { keyOf } from './keys.mjs'
import { MISSING, placeOf, someAt } from './paths.mjs'
import { satisfies } from './schema.mjs'

/**
 * @param {object} node from parseFilter
 * @returns {(document: object) => boolean}
 */
export function matcher(node) {
  switch (node.op) {
    case 'and': {
      const all = node.of.map(matcher)
      if (all.length === 1) return all[0]
      return (document) => {
        for (const one of all) if (!one(document)) return false
        return true
      }
    }
    case 'or': {
      const any = node.of.map(matcher)
      return (document) => any.some((one) => one(document))
    }
    case 'nor': {
      const any = node.of.map(matcher)
      return (document) => !any.some((one) => one(document))
    }
    case 'not': {
      const inner = matcher(node.of)
      return (document) => !inner(document)
    }
    case 'never':
      return () => false
    case 'expr':
      return (document) => truthy(node.run(document, { ...node.variables, ROOT: document, CURRENT: document }))
    case 'schema':
      return (document) => satisfies(document, node.schema)
    default: {
      const test = valueTest(node)
      const { parts } = node
      const wholeOnly = node.op === 'size' || node.op === 'elemObject' || node.op === 'elemValue'
      return (document) => someAt(document, parts, 0, test, wholeOnly)
    }
  }
}

/** The test of a single value at the node's path. */
function valueTest(node) {
  switch (node.op) {
    case 'in':
      return intervalTest(node)
    case 'exists':
      return (value) => value !== MISSING
    case 'regex':
      return (value) =>
        typeof value === 'string'
          ? node.regex.test(value)
          : value instanceof BSONSymbol
            ? node.regex.test(value.value)
            : value instanceof BSONRegExp && keyOf(value) === node.key
    case 'type':
      return (value) => {
        if (value === MISSING) return false
        const name = typeName(value)
        return node.types.has(name) || (node.types.has('number') && numberOf(value) !== undefined)
      }
    case 'size':
      return (value) => Array.isArray(value) && value.length === node.size
    case 'mod':
      return (value) => {
        const number = value === MISSING ? undefined : numberOf(value)
        return number !== undefined && Number.isFinite(number) && Math.trunc(number) % node.divisor === node.remainder
      }
    case 'elemObject': {
      const inner = matcher(node.of)
      return (value) => Array.isArray(value) && value.some((element) => isEmbedded(element) && inner(asObject(element)))
    }
    case 'elemValue': {
      const tests = node.of.map(elementTest)
      return (value) => Array.isArray(value) && value.some((element) => tests.every((test) => test(element)))
    }
    default:
      throw new TypeError(`no matcher for ${node.op}`)
  }
}

/** An array within an array is an object whose members are called 0, 1, 2. */
const isEmbedded = (value) => isPlain(value) || Array.isArray(value)
const asObject = (value) => (Array.isArray(value) ? { ...value } : value)

/** Within `$elemMatch` an operator looks at the element itself. */
function elementTest(node) {
  switch (node.op) {
    case 'not': {
      const inner = elementTest(node.of)
      return (value) => !inner(value)
    }
    case 'and': {
      const all = node.of.map(elementTest)
      return (value) => all.every((test) => test(value))
    }
    case 'or': {
      const any = node.of.map(elementTest)
      return (value) => any.some((test) => test(value))
    }
    case 'never':
      return () => false
    default:
      return valueTest(node)
  }
}

function intervalTest({ intervals, whole, nullish, keys }) {
  const only = intervals.length === 1 ? intervals[0] : undefined
  const inside =
    keys !== undefined
      ? (key) => keys.has(key)
      : only?.point !== undefined
        ? (key) => key === only.point
        : (key) => intervals.some(({ from, to }) => key >= from && key < to)
  return (value) => {
    if (value === MISSING) return nullish
    if (Array.isArray(value) && !whole) return false
    return inside(keyOf(value))
  }
}

/** The place in an array that made the document match: what `$` means in an update or a projection. */
export function positionOf(node, document) {
  switch (node.op) {
    case 'and': {
      let found
      for (const inner of node.of) found = positionOf(inner, document) ?? found
      return found
    }
    case 'or':
      for (const inner of node.of) if (matcher(inner)(document)) return positionOf(inner, document)
      return undefined
    case 'elemObject': {
      const inner = matcher(node.of)
      return placeOf(document, node.parts, (element) => isEmbedded(element) && inner(asObject(element)), true)
    }
    case 'elemValue': {
      const tests = node.of.map(elementTest)
      return placeOf(document, node.parts, (element) => tests.every((test) => test(element)), true)
    }
    case 'in':
    case 'exists':
    case 'regex':
    case 'type':
    case 'mod':
      return placeOf(document, node.parts, valueTest(node))
    default:
      return undefined
  }
}
