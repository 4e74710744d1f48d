/**
 * Arithmetic on the four number types of BSON: the result has the wider type, exactly.
 *
 * https://www.mongodb.com/docs/manual/reference/operator/aggregation/#arithmetic-expression-operators
 */
import { Decimal128, Long } from 'bson'
import { doubleOf, numberOf, typeName } from './bson.mjs'
import { refuse, unsupported } from './errors.mjs'

const RANK = { int: 0, long: 1, double: 2, decimal: 3 }

export const isNumber = (value) => RANK[typeName(value)] !== undefined

const INT_MAX = 2n ** 31n
const LONG_MAX = 2n ** 63n

/** A 64-bit or 32-bit integer out of a whole result; wider than 64 bits becomes a double, or fails where that is the rule. */
function whole(value, rank, strict) {
  if (rank === 0 && value >= -INT_MAX && value < INT_MAX) return Number(value)
  if (value >= -LONG_MAX && value < LONG_MAX) return Long.fromBigInt(value)
  if (strict) refuse(2, 'Failed to apply operations to current value: the result does not fit 64 bits')
  return doubleOf(Number(value))
}

const bigOf = (value) => (typeof value === 'number' ? BigInt(value) : value.toBigInt())

function decimalText(value) {
  return value instanceof Decimal128
    ? value.toString()
    : typeName(value) === 'double'
      ? String(Number(numberOf(value).toPrecision(15)))
      : String(value)
}

function decimalParts(value) {
  const text = decimalText(value)
  const parts = /^(-?)(\d*)\.?(\d*)(?:E([+-]?\d+))?$/i.exec(text)
  if (!parts) return unsupported(`arithmetic with ${text}`)
  const [, sign, before, fraction, exponent = '0'] = parts
  const digits = BigInt(`${before}${fraction}`)
  return { digits: sign ? -digits : digits, exponent: Number(exponent) - fraction.length }
}

function decimal(digits, exponent) {
  const text = String(digits < 0n ? -digits : digits)
  if (text.length > 34) unsupported('decimal results of more than 34 digits')
  return Decimal128.fromString(`${digits}E${exponent}`)
}

const DECIMAL = {
  add: (a, b) => {
    const exponent = Math.min(a.exponent, b.exponent)
    const at = (x) => x.digits * 10n ** BigInt(x.exponent - exponent)
    return decimal(at(a) + at(b), exponent)
  },
  multiply: (a, b) => decimal(a.digits * b.digits, a.exponent + b.exponent),
}

/**
 * @param {'add' | 'multiply'} operation
 * @param {boolean} [strict] fail where 64 bits do not hold the result, as updates do
 */
export function calculate(operation, a, b, strict = false) {
  const rank = Math.max(RANK[typeName(a)], RANK[typeName(b)])
  if (rank === RANK.decimal) return DECIMAL[operation](decimalParts(a), decimalParts(b))
  if (rank === RANK.double) {
    const [x, y] = [numberOf(a), numberOf(b)]
    return doubleOf(operation === 'add' ? x + y : x * y)
  }
  const [x, y] = [bigOf(a), bigOf(b)]
  return whole(operation === 'add' ? x + y : x * y, rank, strict)
}

export const negate = (value) => calculate('multiply', value, -1)

/** Division is a double unless a decimal is in it. */
export function divide(a, b) {
  if (numberOf(b) === 0) refuse(2, "can't $divide by zero")
  if (typeName(a) === 'decimal' || typeName(b) === 'decimal') unsupported('the division of decimals')
  return doubleOf(numberOf(a) / numberOf(b))
}

export function modulo(a, b) {
  if (numberOf(b) === 0) refuse(16610, "can't $mod by zero")
  const rank = Math.max(RANK[typeName(a)], RANK[typeName(b)])
  if (rank === RANK.decimal) return unsupported('$mod of decimals')
  if (rank === RANK.double) return doubleOf(numberOf(a) % numberOf(b))
  return whole(bigOf(a) % bigOf(b), rank, false)
}

/** A function of doubles applied where an integer stays what it is. */
export function rounded(value, round) {
  const type = typeName(value)
  if (type === 'int' || type === 'long') return value
  if (type === 'decimal') return unsupported('rounding decimals')
  return doubleOf(round(numberOf(value)))
}
