/**
 * Values as strings that sort the way MongoDB sorts values, so that indexes, ranges, sorting and equality are one
 * comparison of strings.
 *
 * https://www.mongodb.com/docs/manual/reference/bson-type-comparison-order/
 *
 * Every character stands for one byte. No encoding is the beginning of another, so encodings can be put one after the
 * other, and the complement of each byte sorts the other way round. None ends with the byte 0xff, which marks the end of a
 * range. Numbers of all four types sort by their exact value:
 * the nearest double first, then what is left of it.
 */
import { Long } from 'bson'
import { Document, isPlain } from './bson.mjs'

const TYPE = {
  minKey: 0x10,
  undefined: 0x14,
  null: 0x18,
  number: 0x20,
  string: 0x30,
  object: 0x38,
  array: 0x40,
  binary: 0x48,
  objectId: 0x50,
  boolean: 0x58,
  date: 0x60,
  timestamp: 0x68,
  regex: 0x70,
  code: 0x78,
  codeWithScope: 0x7c,
  maxKey: 0xe0,
}

const letter = String.fromCharCode
const START = Object.fromEntries(Object.entries(TYPE).map(([name, byte]) => [name, letter(byte)]))

/** After everything that begins with a string: a character that no encoding holds. */
export const AFTER = '\u0100'
export const MIN_KEY = START.minKey
export const MAX_KEY = START.maxKey
export const NULL_KEY = START.null
/** What an index holds for an empty array. */
export const EMPTY_ARRAY_KEY = START.undefined

const double = new Float64Array(1)
const bytes = new Uint8Array(double.buffer)

/** Eight bytes that sort like doubles; NaN comes before all. */
function orderedDouble(value) {
  if (Number.isNaN(value)) return '\0\0\0\0\0\0\0\0'
  double[0] = value === 0 ? 0 : value
  const b = bytes
  return b[7] & 0x80
    ? letter(b[7] ^ 255, b[6] ^ 255, b[5] ^ 255, b[4] ^ 255, b[3] ^ 255, b[2] ^ 255, b[1] ^ 255, b[0] ^ 255)
    : letter(b[7] | 0x80, b[6], b[5], b[4], b[3], b[2], b[1], b[0])
}

const EXACT = '\x80'

/** A finite double as an integer times a power of ten. */
function decimalOf(value) {
  double[0] = value
  const high = new DataView(double.buffer).getUint32(4, true)
  const low = new DataView(double.buffer).getUint32(0, true)
  const biased = (high >>> 20) & 0x7ff
  const fraction = (BigInt(high & 0xfffff) << 32n) | BigInt(low)
  const mantissa = biased === 0 ? fraction : fraction | (1n << 52n)
  const power = (biased === 0 ? 1 : biased) - 1075
  const digits = power < 0 ? mantissa * 5n ** BigInt(-power) : mantissa << BigInt(power)
  return { digits: high >>> 31 ? -digits : digits, exponent: Math.min(power, 0) }
}

/** What an exact number has beyond its nearest double: sign, size and digits. */
function remainder(digits, exponent, nearest) {
  const other = decimalOf(nearest)
  const least = Math.min(exponent, other.exponent)
  const left = digits * 10n ** BigInt(exponent - least) - other.digits * 10n ** BigInt(other.exponent - least)
  if (left === 0n) return EXACT
  const text = String(left < 0n ? -left : left)
  const scale = least + text.length + 0x4000
  const encoded = `${letter(scale >> 8, scale & 255)}${text.replace(/0+$/, '')}\0`
  return left < 0n ? `\x40${inverted(encoded)}` : `\xc0${encoded}`
}

/** Parts of a Decimal128 that is finite. */
function partsOf(text) {
  const [, sign, whole, fraction = '', exponent = '0'] = /^(-?)(\d*)\.?(\d*)(?:E([+-]?\d+))?$/i.exec(text)
  const digits = BigInt(`${whole}${fraction}`)
  return { digits: sign ? -digits : digits, exponent: Number(exponent) - fraction.length }
}

function exactNumber(digits, exponent, nearest) {
  if (digits === 0n) return orderedDouble(0) + EXACT
  const clamped = Number.isFinite(nearest) ? nearest : Math.sign(nearest) * Number.MAX_VALUE
  return orderedDouble(clamped) + remainder(digits, exponent, clamped)
}

function decimalKey(value) {
  const text = value.toString()
  const nearest = Number(text)
  if (Number.isNaN(nearest) || text.endsWith('Infinity')) return START.number + orderedDouble(nearest) + EXACT
  if (Number.isSafeInteger(nearest) && !/[.E]/i.test(text)) return START.number + orderedDouble(nearest) + EXACT
  const { digits, exponent } = partsOf(text)
  return START.number + exactNumber(digits, exponent, nearest)
}

function longKey(value) {
  const nearest = value.toNumber()
  if (Number.isSafeInteger(nearest)) return START.number + orderedDouble(nearest) + EXACT
  return START.number + exactNumber(value.toBigInt(), 0, nearest)
}

const numberKey = (value) => START.number + orderedDouble(value) + EXACT
const SMALL = Array.from({ length: 1024 }, (_, i) => numberKey(i))

const PLAIN_TEXT = /^[\x02-\x7f]*$/

/** Text as its UTF-8 bytes with a null byte at the end; inside, the two least bytes are written as two. */
function text(value) {
  if (PLAIN_TEXT.test(value)) return `${value}\0`
  const utf8 = Buffer.from(value, 'utf8').toString('latin1')
  return `${utf8.replace(/[\0\x01]/g, (byte) => (byte === '\0' ? '\x01\x01' : '\x01\x02'))}\0`
}

/** What the keys of all texts with this beginning begin with. */
export const textBeginning = (prefix) => START.string + text(prefix).slice(0, -1)

function bigEndian(value, length) {
  let out = ''
  for (let shift = (length - 1) * 8; shift >= 0; shift -= 8) out += letter(Math.floor(value / 2 ** shift) & 255)
  return out
}

/** Members one after the other: type first, then name, then value, as MongoDB compares sub-documents. */
function objectKey(value) {
  let out = START.object
  for (const name of Object.keys(value)) {
    if (value[name] === undefined) continue
    const member = keyOf(value[name])
    out += member[0] + text(name) + member
  }
  return `${out}\0`
}

function arrayKey(values) {
  let out = START.array
  for (const value of values) out += keyOf(value)
  return `${out}\0`
}

/**
 * The sort key of a value.
 * @param {unknown} value undefined stands for a missing member and sorts as null
 * @returns {string}
 */
export function keyOf(value) {
  switch (typeof value) {
    case 'string':
      return START.string + text(value)
    case 'number':
      return SMALL[value] !== undefined ? SMALL[value] : numberKey(value)
    case 'boolean':
      return START.boolean + (value ? '\x02' : '\x01')
    case 'undefined':
      return NULL_KEY
    case 'bigint':
      return longKey(Long.fromBigInt(value))
    default:
  }
  if (value === null) return NULL_KEY
  if (Array.isArray(value)) return arrayKey(value)
  if (value instanceof Date) return START.date + orderedDouble(value.getTime())
  if (isPlain(value)) return objectKey(value)
  if (value instanceof Document) return objectKey(value.toObject())
  switch (value._bsontype) {
    case 'Double':
    case 'Int32':
      return numberKey(value.value)
    case 'Long':
      return longKey(value)
    case 'Decimal128':
      return decimalKey(value)
    case 'ObjectId':
      return START.objectId + Buffer.from(value.id).toString('latin1')
    case 'Binary': {
      const content = value.value()
      return `${START.binary}${bigEndian(content.length, 4)}${letter(value.sub_type)}${Buffer.from(content).toString('latin1')}`
    }
    case 'Timestamp':
      return `${START.timestamp}${bigEndian(value.high >>> 0, 4)}${bigEndian(value.low >>> 0, 4)}`
    case 'BSONRegExp':
      return START.regex + text(value.pattern) + text(value.options)
    case 'BSONSymbol':
      return START.string + text(value.value)
    case 'Code':
      return value.scope
        ? START.codeWithScope + text(value.code) + objectKey(value.scope)
        : START.code + text(value.code)
    case 'MinKey':
      return MIN_KEY
    case 'MaxKey':
      return MAX_KEY
    default:
      throw new TypeError(`no order for ${Object.prototype.toString.call(value)}`)
  }
}

/** Whether two values are the same to a query: numbers of different types by their value. */
export const equal = (a, b) => a === b || keyOf(a) === keyOf(b)

/** The order of two values: negative, zero or positive. */
export function compare(a, b) {
  const left = keyOf(a)
  const right = keyOf(b)
  return left < right ? -1 : left > right ? 1 : 0
}

/** The smallest number a range may hold: NaN lies outside. */
export const LEAST_NUMBER = START.number + orderedDouble(Number.NEGATIVE_INFINITY)
export const NAN_KEY = START.number + orderedDouble(Number.NaN) + EXACT
export const KIND = START

const COMPLEMENT = Array.from({ length: 256 }, (_, i) => letter(255 - i))

/** The complement: what sorted upwards sorts downwards. */
export function inverted(key) {
  let out = ''
  for (let i = 0; i < key.length; i++) out += COMPLEMENT[key.charCodeAt(i)]
  return out
}

/**
 * Where the encoding that begins at `at` ends.
 * @param {string} key
 * @param {number} at
 * @param {boolean} down whether it is a complement
 */
export function endOf(key, at, down) {
  const flip = down ? 255 : 0
  const byte = (i) => key.charCodeAt(i) ^ flip
  const textEnd = (from) => {
    let i = from
    while (byte(i) !== 0) i++
    return i + 1
  }
  const valueEnd = (from) => {
    switch (byte(from)) {
      case TYPE.number: {
        const mark = byte(from + 9)
        if (mark === 0x80) return from + 10
        // The digits of a negative remainder are complements once more.
        const end = mark === 0xc0 ? 0 : 255
        let i = from + 12
        while (byte(i) !== end) i++
        return i + 1
      }
      case TYPE.string:
      case TYPE.code:
        return textEnd(from + 1)
      case TYPE.object: {
        let i = from + 1
        while (byte(i) !== 0) i = valueEnd(textEnd(i + 1))
        return i + 1
      }
      case TYPE.array: {
        let i = from + 1
        while (byte(i) !== 0) i = valueEnd(i)
        return i + 1
      }
      case TYPE.binary: {
        const length = [1, 2, 3, 4].reduce((sum, i) => sum * 256 + byte(from + i), 0)
        return from + 6 + length
      }
      case TYPE.objectId:
        return from + 13
      case TYPE.boolean:
        return from + 2
      case TYPE.date:
      case TYPE.timestamp:
        return from + 9
      case TYPE.regex:
        return textEnd(textEnd(from + 1))
      case TYPE.codeWithScope: {
        let i = textEnd(from + 1) + 1
        while (byte(i) !== 0) i = valueEnd(textEnd(i + 1))
        return i + 1
      }
      default:
        return from + 1
    }
  }
  return valueEnd(at)
}
