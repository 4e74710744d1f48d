/**
 * Aggregation expressions, compiled once to closures; operators that are not here are refused by name.
 *
 * https://www.mongodb.com/docs/manual/reference/operator/aggregation/
 */
import { Decimal128, Double, Long } from 'bson'
import { Document, doubleOf, encode, field, isPlain, numberOf, plainOf, typeName } from './bson.mjs'
import { refuse, unsupported } from './errors.mjs'
import { compare, equal, keyOf } from './keys.mjs'
import { calculate, divide, isNumber, modulo, negate, rounded } from './numbers.mjs'

/** Whether a value counts as true. */
export const truthy = (value) =>
  value !== undefined && value !== null && value !== false && !(isNumber(value) && numberOf(value) === 0)

const nothing = (value) => value === undefined || value === null

/**
 * @param {unknown} expression
 * @returns {(document: object, variables: Record<string, unknown>) => unknown}
 */
export function compileExpression(expression) {
  if (typeof expression === 'string' && expression.startsWith('$')) return reference(expression)
  if (Array.isArray(expression)) {
    const elements = expression.map(compileExpression)
    return (document, variables) => elements.map((element) => element(document, variables) ?? null)
  }
  if (!isPlain(expression)) return () => expression
  const names = Object.keys(expression)
  if (names[0]?.startsWith('$')) {
    if (names.length > 1) refuse(15983, 'An object representing an expression must have exactly one field')
    return operator(names[0], expression[names[0]])
  }
  const members = names.map((name) => [name, compileExpression(expression[name])])
  return (document, variables) => {
    const object = {}
    for (const [name, run] of members) {
      const value = run(document, variables)
      if (value !== undefined) object[name] = value
    }
    return object
  }
}

function reference(text) {
  if (text.startsWith('$$')) {
    const [name, ...parts] = text.slice(2).split('.')
    if (name === 'NOW') return () => new Date()
    if (name === 'REMOVE') return () => undefined
    return (document, variables) => {
      const value =
        name === 'ROOT' || name === 'CURRENT'
          ? (variables[name] ?? document)
          : Object.hasOwn(variables, name)
            ? variables[name]
            : refuse(17276, `Use of undefined variable: ${name}`)
      return valueAt(parts.length === 0 && value instanceof Document ? plainOf(value) : value, parts, 0)
    }
  }
  const parts = text.slice(1).split('.')
  if (parts.some((part) => part === '')) refuse(40353, "FieldPath must not end with a '.'.")
  return (document) => valueAt(document, parts, 0)
}

/** What an expression sees at a path: arrays on the way give an array of what their elements have. */
export function valueAt(value, parts, at) {
  for (let i = at; i < parts.length; i++) {
    if (Array.isArray(value)) return value.map((one) => valueAt(one, parts, i)).filter((one) => one !== undefined)
    if (!isPlain(value) && !(value instanceof Document)) return undefined
    value = field(value, parts[i])
  }
  return value
}

function operator(name, operand) {
  const special = Object.hasOwn(SPECIAL, name) ? SPECIAL[name] : undefined
  if (special) return special(operand)
  const simple = Object.hasOwn(SIMPLE, name) ? SIMPLE[name] : undefined
  if (!simple) refuse(168, `Unrecognized expression '${name}'`)
  const args = (Array.isArray(operand) ? operand : [operand]).map(compileExpression)
  const [least, most] = simple.count ?? [1, 1]
  if (args.length < least || args.length > most)
    refuse(16020, `Expression ${name} takes ${least} to ${most} arguments. ${args.length} were passed in.`)
  const { run } = simple
  return (document, variables) => run(...args.map((arg) => arg(document, variables)))
}

const many = [0, Number.POSITIVE_INFINITY]
const numbers = (name, values) => {
  const wrong = values.find((value) => !isNumber(value))
  if (wrong !== undefined) refuse(14, `${name} only supports numeric types, not ${typeName(wrong)}`)
  return values
}

const arrayOf = (name, value) =>
  Array.isArray(value)
    ? value
    : refuse(17124, `The argument to ${name} must be an array, but was of type: ${typeName(value)}`)

const textOf = (name, value) => {
  if (nothing(value)) return ''
  if (typeof value === 'string') return value
  return refuse(16034, `${name} only supports strings, not ${typeName(value)}`)
}

const comparing = (test) => ({ count: [2, 2], run: (a, b) => test(order(a, b)) })
/** Missing sorts before null in an expression, unlike in a query. */
const order = (a, b) =>
  a === undefined || b === undefined ? Number(a !== undefined) - Number(b !== undefined) : compare(a, b)

/** The accumulators that are also expressions look into a single array. */
const spread = (values) => (values.length === 1 && Array.isArray(values[0]) ? values[0] : values)

export function sumOf(values) {
  return values.filter(isNumber).reduce((sum, value) => calculate('add', sum, value), 0)
}

export function averageOf(values) {
  const counted = values.filter(isNumber)
  if (counted.length === 0) return null
  return divide(sumOf(counted), counted.length)
}

export function extreme(values, sign) {
  let best
  for (const value of values) {
    if (nothing(value)) continue
    if (best === undefined || compare(value, best) * sign > 0) best = value
  }
  return best ?? null
}

const SIMPLE = {
  $add: {
    count: many,
    run: (...values) => {
      if (values.some(nothing)) return null
      const date = values.find((value) => value instanceof Date)
      const sum = numbers(
        '$add',
        values.filter((value) => value !== date),
      ).reduce((a, b) => calculate('add', a, b), 0)
      return date ? new Date(date.getTime() + numberOf(sum)) : sum
    },
  },
  $subtract: {
    count: [2, 2],
    run: (a, b) => {
      if (nothing(a) || nothing(b)) return null
      if (a instanceof Date && b instanceof Date) return Long.fromNumber(a.getTime() - b.getTime())
      if (a instanceof Date) return new Date(a.getTime() - numberOf(numbers('$subtract', [b])[0]))
      numbers('$subtract', [a, b])
      return calculate('add', a, negate(b))
    },
  },
  $multiply: {
    count: many,
    run: (...values) =>
      values.some(nothing) ? null : numbers('$multiply', values).reduce((a, b) => calculate('multiply', a, b), 1),
  },
  $divide: {
    count: [2, 2],
    run: (a, b) => (nothing(a) || nothing(b) ? null : divide(...numbers('$divide', [a, b]))),
  },
  $mod: { count: [2, 2], run: (a, b) => (nothing(a) || nothing(b) ? null : modulo(...numbers('$mod', [a, b]))) },
  $abs: { run: (a) => (nothing(a) ? null : numberOf(numbers('$abs', [a])[0]) < 0 ? negate(a) : a) },
  $ceil: { run: (a) => (nothing(a) ? null : rounded(numbers('$ceil', [a])[0], Math.ceil)) },
  $floor: { run: (a) => (nothing(a) ? null : rounded(numbers('$floor', [a])[0], Math.floor)) },
  $eq: comparing((order) => order === 0),
  $ne: comparing((order) => order !== 0),
  $gt: comparing((order) => order > 0),
  $gte: comparing((order) => order >= 0),
  $lt: comparing((order) => order < 0),
  $lte: comparing((order) => order <= 0),
  $cmp: comparing((order) => order),
  $not: { run: (a) => !truthy(a) },
  $in: {
    count: [2, 2],
    run: (a, values) => {
      if (!Array.isArray(values)) refuse(40081, '$in requires an array as a second argument')
      return values.some((value) => equal(value, a))
    },
  },
  $size: { run: (a) => arrayOf('$size', a).length },
  $isArray: { run: (a) => Array.isArray(a) },
  $arrayElemAt: {
    count: [2, 2],
    run: (a, at) => (nothing(a) || nothing(at) ? null : arrayOf('$arrayElemAt', a).at(numberOf(at))),
  },
  $first: { run: (a) => (nothing(a) ? null : arrayOf('$first', a)[0]) },
  $last: { run: (a) => (nothing(a) ? null : arrayOf('$last', a).at(-1)) },
  $concatArrays: {
    count: many,
    run: (...arrays) => (arrays.some(nothing) ? null : arrays.flatMap((array) => arrayOf('$concatArrays', array))),
  },
  $slice: {
    count: [2, 3],
    run: (a, at, count) => {
      if (nothing(a)) return null
      const values = arrayOf('$slice', a)
      const first = numberOf(at)
      if (count !== undefined) {
        const start = first < 0 ? Math.max(0, values.length + first) : first
        return values.slice(start, start + numberOf(count))
      }
      return first < 0 ? values.slice(first) : values.slice(0, first)
    },
  },
  $setUnion: {
    count: many,
    run: (...arrays) => (arrays.some(nothing) ? null : distinct(arrays.flatMap((a) => arrayOf('$setUnion', a)))),
  },
  $setIntersection: {
    count: many,
    run: (...arrays) => {
      if (arrays.some(nothing)) return null
      const [first = [], ...others] = arrays.map(
        (a) => new Map(arrayOf('$setIntersection', a).map((v) => [keyOf(v), v])),
      )
      return distinct([...first].filter(([key]) => others.every((other) => other.has(key))).map(([, value]) => value))
    },
  },
  $setIsSubset: {
    count: [2, 2],
    run: (a, b) => {
      const keys = new Set(arrayOf('$setIsSubset', b).map(keyOf))
      return arrayOf('$setIsSubset', a).every((value) => keys.has(keyOf(value)))
    },
  },
  $concat: {
    count: many,
    run: (...texts) => (texts.some(nothing) ? null : texts.map((text) => textOf('$concat', text)).join('')),
  },
  $toLower: { run: (a) => textOf('$toLower', a).replace(/[A-Z]/g, (letter) => letter.toLowerCase()) },
  $toUpper: { run: (a) => textOf('$toUpper', a).replace(/[a-z]/g, (letter) => letter.toUpperCase()) },
  $strLenCP: { run: (a) => [...textOf('$strLenCP', a)].length },
  $strLenBytes: { run: (a) => Buffer.byteLength(textOf('$strLenBytes', a)) },
  $split: {
    count: [2, 2],
    run: (a, by) => (nothing(a) || nothing(by) ? null : textOf('$split', a).split(textOf('$split', by))),
  },
  $substrCP: {
    count: [3, 3],
    run: (a, at, length) => [...textOf('$substrCP', a)].slice(numberOf(at), numberOf(at) + numberOf(length)).join(''),
  },
  $sum: { count: many, run: (...values) => sumOf(spread(values)) },
  $avg: { count: many, run: (...values) => averageOf(spread(values)) },
  $max: { count: many, run: (...values) => extreme(spread(values), 1) },
  $min: { count: many, run: (...values) => extreme(spread(values), -1) },
  $type: { run: (a) => typeName(a) },
  $isNumber: { run: (a) => isNumber(a) },
  $bsonSize: { run: (a) => (nothing(a) ? null : encode(a).length) },
  $binarySize: {
    run: (a) => (nothing(a) ? null : typeof a === 'string' ? Buffer.byteLength(a) : a.value().length),
  },
  $mergeObjects: {
    count: many,
    run: (...objects) => Object.assign({}, ...objects.filter((object) => !nothing(object)).map(plainOf)),
  },
  $objectToArray: {
    run: (a) => (nothing(a) ? null : Object.entries(plainOf(a)).map(([k, v]) => ({ k, v }))),
  },
  $arrayToObject: {
    run: (a) => {
      if (nothing(a)) return null
      const pairs = arrayOf('$arrayToObject', a).map((pair) => (Array.isArray(pair) ? pair : [pair.k, pair.v]))
      return Object.fromEntries(pairs)
    },
  },
  $toString: {
    run: (a) => {
      if (nothing(a)) return null
      if (a instanceof Date) return a.toISOString()
      if (a?._bsontype === 'ObjectId') return a.toHexString()
      if (typeof a === 'string') return a
      if (typeof a === 'boolean' || isNumber(a)) return String(a instanceof Double ? a.value : a)
      return refuse(241, `Unsupported conversion from ${typeName(a)} to string in $convert with no onError value`)
    },
  },
  $toLong: {
    run: (a) => {
      if (nothing(a)) return null
      if (a instanceof Date) return Long.fromNumber(a.getTime())
      if (isNumber(a)) return Long.fromNumber(Math.trunc(numberOf(a)))
      if (typeof a === 'string' && /^[+-]?\d+$/.test(a)) return Long.fromString(a)
      return refuse(241, `Unsupported conversion from ${typeName(a)} to long in $convert with no onError value`)
    },
  },
  $toInt: {
    run: (a) => {
      if (nothing(a)) return null
      const number = typeof a === 'string' && /^[+-]?\d+$/.test(a) ? Number(a) : numberOf(a)
      if (number === undefined || (Math.trunc(number) | 0) !== Math.trunc(number))
        refuse(241, `Failed to convert ${typeName(a)} to int in $convert with no onError value`)
      return Math.trunc(number)
    },
  },
  $toDouble: {
    run: (a) => {
      if (nothing(a)) return null
      const number =
        typeof a === 'string' && a.trim() !== '' ? Number(a) : a instanceof Date ? a.getTime() : numberOf(a)
      if (number === undefined || Number.isNaN(number)) refuse(241, `Failed to convert ${typeName(a)} to double`)
      return doubleOf(number)
    },
  },
  $toDecimal: {
    run: (a) => {
      if (nothing(a)) return null
      if (a instanceof Decimal128) return a
      if (typeof a !== 'string' && !isNumber(a)) refuse(241, `Unsupported conversion from ${typeName(a)} to decimal`)
      return Decimal128.fromString(String(a instanceof Double ? a.value : a))
    },
  },
}

function distinct(values) {
  const byKey = new Map()
  for (const value of values) if (!byKey.has(keyOf(value))) byKey.set(keyOf(value), value)
  return [...byKey].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value)
}

const only = (name, operand, allowed, required) => {
  if (!isPlain(operand)) refuse(9, `${name} only supports an object as its argument`)
  for (const key of Object.keys(operand))
    if (!allowed.includes(key)) refuse(9, `Unrecognized parameter to ${name}: ${key}`)
  for (const key of required) if (operand[key] === undefined) refuse(9, `Missing '${key}' parameter to ${name}`)
  return operand
}

/** Operators that do not evaluate all of their operands, or bind variables. */
const SPECIAL = {
  $literal: (operand) => () => operand,
  $and: (operand) => {
    const all = [operand].flat().map(compileExpression)
    return (document, variables) => all.every((one) => truthy(one(document, variables)))
  },
  $or: (operand) => {
    const any = [operand].flat().map(compileExpression)
    return (document, variables) => any.some((one) => truthy(one(document, variables)))
  },
  $cond: (operand) => {
    const named = ['if', 'then', 'else']
    if (Array.isArray(operand) && operand.length !== 3)
      refuse(16020, `Expression $cond takes exactly 3 arguments. ${operand.length} were passed in.`)
    const parts = Array.isArray(operand) ? operand : named.map((name) => only('$cond', operand, named, named)[name])
    const [test, yes, no] = parts.map(compileExpression)
    return (document, variables) => (truthy(test(document, variables)) ? yes : no)(document, variables)
  },
  $ifNull: (operand) => {
    const options = operand.map(compileExpression)
    return (document, variables) => {
      let value
      for (const option of options) {
        value = option(document, variables)
        if (!nothing(value)) return value
      }
      return value
    }
  },
  $switch: (operand) => {
    const { branches, default: otherwise } = only('$switch', operand, ['branches', 'default'], ['branches'])
    const cases = branches.map((branch) => [compileExpression(branch.case), compileExpression(branch.then)])
    const last = otherwise === undefined ? undefined : compileExpression(otherwise)
    return (document, variables) => {
      const found = cases.find(([test]) => truthy(test(document, variables)))
      if (found) return found[1](document, variables)
      if (!last) refuse(40066, '$switch could not find a matching branch for an input, and no default was specified.')
      return last(document, variables)
    }
  },
  $let: (operand) => {
    const { vars, in: body } = only('$let', operand, ['vars', 'in'], ['vars', 'in'])
    const bound = Object.entries(vars).map(([name, value]) => [name, compileExpression(value)])
    const run = compileExpression(body)
    return (document, variables) => {
      const inner = Object.fromEntries(bound.map(([name, value]) => [name, value(document, variables)]))
      return run(document, { ...variables, ...inner })
    }
  },
  $map: (operand) => {
    const { input, as = 'this', in: body } = only('$map', operand, ['input', 'as', 'in'], ['input', 'in'])
    const [values, run] = [compileExpression(input), compileExpression(body)]
    return (document, variables) => {
      const found = values(document, variables)
      if (nothing(found)) return null
      return arrayOf('$map', found).map((value) => run(document, { ...variables, [as]: value }) ?? null)
    }
  },
  $filter: (operand) => {
    const { input, as = 'this', cond } = only('$filter', operand, ['input', 'as', 'cond'], ['input', 'cond'])
    const [values, test] = [compileExpression(input), compileExpression(cond)]
    return (document, variables) => {
      const found = values(document, variables)
      if (nothing(found)) return null
      return arrayOf('$filter', found).filter((value) => truthy(test(document, { ...variables, [as]: value })))
    }
  },
  $reduce: (operand) => {
    const required = ['input', 'initialValue', 'in']
    const { input, initialValue, in: body } = only('$reduce', operand, required, required)
    const [values, first, run] = [input, initialValue, body].map(compileExpression)
    return (document, variables) => {
      const found = values(document, variables)
      if (nothing(found)) return null
      return arrayOf('$reduce', found).reduce(
        (value, one) => run(document, { ...variables, value, this: one }),
        first(document, variables),
      )
    }
  },
  $getField: (operand) => {
    const { field: name, input } = typeof operand === 'string' ? { field: operand, input: '$$CURRENT' } : operand
    if (typeof name !== 'string') unsupported('$getField with a computed name')
    const run = compileExpression(input ?? '$$CURRENT')
    return (document, variables) => valueAt(run(document, variables), [name], 0)
  },
}
