/**
 * A query filter read into a tree of predicates; whatever is not known is refused.
 *
 * https://www.mongodb.com/docs/manual/reference/operator/query/
 *
 * Equality, ranges and lists all become intervals of sort keys, so that the matcher and the planner's index bounds cannot
 * disagree.
 */
import { BSONRegExp } from 'bson'
import { isPlain, numberOf, typeName } from './bson.mjs'
import { refuse, unsupported } from './errors.mjs'
import { compileExpression } from './expression.mjs'
import { AFTER, KIND, keyOf, LEAST_NUMBER, MAX_KEY, MIN_KEY, NAN_KEY, NULL_KEY } from './keys.mjs'
import { partsOf } from './paths.mjs'
import { patternOf } from './pattern.mjs'

/**
 * All keys from `from` up to but not including `to`; a point holds exactly one value.
 * @typedef {{ from: string, to: string, point?: string }} Interval
 */

export const point = (key) => ({ from: key, to: key + AFTER, point: key })
export const EVERYTHING = { from: '', to: AFTER }

const TYPE_NUMBERS = {
  1: 'double',
  2: 'string',
  3: 'object',
  4: 'array',
  5: 'binData',
  7: 'objectId',
  8: 'bool',
  9: 'date',
  10: 'null',
  11: 'regex',
  13: 'javascript',
  14: 'symbol',
  15: 'javascriptWithScope',
  16: 'int',
  17: 'timestamp',
  18: 'long',
  19: 'decimal',
  '-1': 'minKey',
  127: 'maxKey',
}
const TYPE_NAMES = new Set([...Object.values(TYPE_NUMBERS), 'number'])

/**
 * @param {unknown} filter
 * @param {Record<string, unknown>} [variables] of a surrounding `let`
 */
export function parseFilter(filter, variables = {}) {
  if (!isPlain(filter)) refuse(9, "Expected field 'filter' to be of type object")
  const nodes = []
  for (const [name, value] of Object.entries(filter)) {
    if (name.startsWith('$')) nodes.push(...logical(name, value, variables))
    else nodes.push(...onPath(name, value, variables))
  }
  return nodes.length === 1 ? nodes[0] : { op: 'and', of: nodes }
}

function logical(name, value, variables) {
  switch (name) {
    case '$and':
    case '$or':
    case '$nor': {
      if (!Array.isArray(value)) refuse(2, `${name} must be an array`)
      if (value.length === 0) refuse(2, '$and/$or/$nor must be a nonempty array')
      const of = value.map((inner) =>
        isPlain(inner) ? parseFilter(inner, variables) : refuse(2, '$or/$and/$nor entries need to be full objects'),
      )
      return [{ op: name.slice(1), of }]
    }
    case '$expr':
      return [{ op: 'expr', run: compileExpression(value), variables }]
    case '$comment':
      return []
    case '$jsonSchema':
      return [{ op: 'schema', schema: value }]
    case '$where':
      return refuse(2, 'no globalScriptEngine in $where parsing')
    case '$text':
    case '$alwaysTrue':
    case '$alwaysFalse':
    case '$sampleRate':
      return unsupported(name)
    default:
      return refuse(2, `unknown top level operator: ${name}`)
  }
}

const isOperators = (value) => {
  if (!isPlain(value)) return false
  const [first] = Object.keys(value)
  return first?.startsWith('$') && first !== '$ref' && first !== '$id' && first !== '$db'
}

function onPath(path, value, variables) {
  if (!isOperators(value)) {
    if (value instanceof BSONRegExp) return [regexNode(path, value.pattern, value.options)]
    return [equality(path, value)]
  }
  const nodes = []
  for (const [operator, operand] of Object.entries(value)) {
    const node = operation(path, operator, operand, value, variables)
    if (node) nodes.push(node)
  }
  return nodes
}

const leaf = (path, intervals, more) => ({ op: 'in', path, parts: partsOf(path), intervals, ...more })

export function equality(path, value) {
  if (value instanceof BSONRegExp) return leaf(path, [point(keyOf(value))], { whole: false, nullish: false })
  return leaf(path, [point(keyOf(value))], { whole: Array.isArray(value), nullish: value === null, value })
}

/** The interval of values of one kind on one side of the operand. */
function comparison(path, operator, operand) {
  if (operand instanceof BSONRegExp) refuse(2, `Can't have RegEx as arg to predicate over field '${path}'.`)
  const key = keyOf(operand)
  const inclusive = operator === '$gte' || operator === '$lte'
  const whole = Array.isArray(operand)
  const greater = operator === '$gt' || operator === '$gte'
  if (key === NULL_KEY) return leaf(path, inclusive ? [point(key)] : [], { whole, nullish: inclusive })
  if (key === NAN_KEY) return leaf(path, inclusive ? [point(key)] : [], { whole, nullish: false })
  // MinKey and MaxKey are compared with values of every type; all others only with their own kind.
  if (key === MIN_KEY || key === MAX_KEY) {
    const from = greater ? (inclusive ? key : key + AFTER) : ''
    const to = greater ? AFTER : inclusive ? key + AFTER : key
    return leaf(path, from < to ? [{ from, to }] : [], { whole: true, nullish: from <= NULL_KEY && NULL_KEY < to })
  }
  const kind = key[0]
  const least = kind === KIND.number ? LEAST_NUMBER : kind
  const interval = greater
    ? { from: inclusive ? key : key + AFTER, to: kind + AFTER }
    : { from: least, to: inclusive ? key + AFTER : key }
  return leaf(path, interval.from < interval.to ? [interval] : [], { whole, nullish: false })
}

export function regexNode(path, pattern, options) {
  const regex = patternOf(pattern, options)
  return { op: 'regex', path, parts: partsOf(path), regex, key: keyOf(new BSONRegExp(pattern, regex.flags)) }
}

function list(path, operator, operand) {
  if (!Array.isArray(operand)) refuse(2, `${operator} needs an array`)
  if (operand.some(isOperators)) refuse(2, `cannot nest $ under ${operator}`)
  const plain = operand.filter((value) => !(value instanceof BSONRegExp))
  const keys = [...new Set(plain.map(keyOf))].sort()
  const node = leaf(path, keys.map(point), {
    whole: plain.some(Array.isArray),
    nullish: plain.includes(null),
    keys: new Set(keys),
  })
  const regexes = operand.filter((value) => value instanceof BSONRegExp)
  if (regexes.length === 0) return node
  return { op: 'or', of: [node, ...regexes.map((regex) => regexNode(path, regex.pattern, regex.options))] }
}

const negated = (node) => ({ op: 'not', of: node })

function operation(path, operator, operand, whole, variables) {
  switch (operator) {
    case '$eq':
      return equality(path, operand)
    case '$ne':
      if (operand instanceof BSONRegExp) refuse(2, "Can't have regex as arg to $ne.")
      return negated(equality(path, operand))
    case '$gt':
    case '$gte':
    case '$lt':
    case '$lte':
      return comparison(path, operator, operand)
    case '$in':
      return list(path, operator, operand)
    case '$nin':
      return negated(list(path, operator, operand))
    case '$not':
      if (operand instanceof BSONRegExp) return negated(regexNode(path, operand.pattern, operand.options))
      if (!isPlain(operand)) refuse(2, '$not needs a regex or a document')
      if (Object.keys(operand).length === 0) refuse(2, '$not cannot be empty')
      if (!isOperators(operand)) refuse(2, `unknown operator: ${Object.keys(operand)[0]}`)
      return negated({ op: 'and', of: onPath(path, operand, variables) })
    case '$exists': {
      const exists = { op: 'exists', path, parts: partsOf(path) }
      const wanted = typeof operand === 'boolean' ? operand : operand !== null && numberOf(operand) !== 0
      return wanted ? exists : negated(exists)
    }
    case '$type': {
      const types = (Array.isArray(operand) ? operand : [operand]).map(typeOperand)
      if (types.length === 0) refuse(9, `${path} must match at least one type`)
      return { op: 'type', path, parts: partsOf(path), types: new Set(types) }
    }
    case '$size': {
      const size = numberOf(operand)
      if (size === undefined) refuse(2, '$size needs a number')
      if (!Number.isInteger(size)) refuse(2, '$size must be a whole number')
      if (size < 0) refuse(2, '$size may not be negative')
      return { op: 'size', path, parts: partsOf(path), size }
    }
    case '$mod': {
      if (!Array.isArray(operand)) refuse(2, 'malformed mod, needs to be an array')
      const [divisor, remainder] = operand.map((value) => Math.trunc(numberOf(value) ?? Number.NaN))
      if (operand.length !== 2 || Number.isNaN(divisor) || Number.isNaN(remainder))
        refuse(2, 'malformed mod, wrong number or type of elements')
      if (divisor === 0) refuse(2, 'divisor cannot be 0')
      return { op: 'mod', path, parts: partsOf(path), divisor, remainder }
    }
    case '$regex': {
      const options = whole.$options ?? ''
      if (operand instanceof BSONRegExp) return regexNode(path, operand.pattern, whole.$options ?? operand.options)
      if (typeof operand !== 'string') refuse(2, '$regex has to be a string')
      if (typeof options !== 'string') refuse(2, '$options has to be a string')
      return regexNode(path, operand, options)
    }
    case '$options':
      if (whole.$regex === undefined) refuse(2, '$options needs a $regex')
      return undefined
    case '$elemMatch':
      return elements(path, operand, variables)
    case '$all':
      return all(path, operand, variables)
    case '$comment':
      return undefined
    case '$bitsAllSet':
    case '$bitsAllClear':
    case '$bitsAnySet':
    case '$bitsAnyClear':
    case '$geoWithin':
    case '$geoIntersects':
    case '$near':
    case '$nearSphere':
      return unsupported(operator)
    default:
      return refuse(2, `unknown operator: ${operator}`)
  }
}

function typeOperand(operand) {
  if (typeof operand === 'string')
    return TYPE_NAMES.has(operand) ? operand : refuse(2, `Unknown type name alias: ${operand}`)
  const number = numberOf(operand)
  return TYPE_NUMBERS[number] ?? refuse(2, `Invalid numerical type code: ${number ?? typeName(operand)}`)
}

const LOGICAL = new Set(['$and', '$or', '$nor', '$where', '$expr'])

function elements(path, operand, variables) {
  if (!isPlain(operand)) refuse(2, '$elemMatch needs an Object')
  const parts = partsOf(path)
  if (isOperators(operand) && !LOGICAL.has(Object.keys(operand)[0]))
    return { op: 'elemValue', path, parts, of: onPath('', operand, variables) }
  return { op: 'elemObject', path, parts, of: parseFilter(operand, variables) }
}

function all(path, operand, variables) {
  if (!Array.isArray(operand)) refuse(2, '$all needs an array')
  if (operand.length === 0) return { op: 'never' }
  const withElements = operand.some((value) => isPlain(value) && Object.keys(value)[0] === '$elemMatch')
  const of = operand.map((value) => {
    if (withElements) {
      if (!isPlain(value) || Object.keys(value)[0] !== '$elemMatch') refuse(2, '$all/$elemMatch has to be consistent')
      return elements(path, value.$elemMatch, variables)
    }
    if (isOperators(value)) refuse(2, 'no $ expressions in $all')
    return value instanceof BSONRegExp ? regexNode(path, value.pattern, value.options) : equality(path, value)
  })
  return of.length === 1 ? of[0] : { op: 'and', of }
}
