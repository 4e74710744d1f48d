/**
 * Number search: what numbers become in the index, and the interval a searched number stands for.
 *
 * https://hl7.org/fhir/R4/search.html#number
 */
import { Decimal, invalid, isObject, type Json } from '../fhir/index.js'
import type { Emit } from './entries.js'
import type { IntervalTest, Prefix } from './expression.js'

/** The open ends of an interval of numbers. */
export const numberMin = -Number.MAX_VALUE
export const numberMax = Number.MAX_VALUE

/** A JSON number, whatever digits it was written with. */
export function toNumber(value: Json | undefined): number | undefined {
  if (typeof value === 'number') return value
  return value instanceof Decimal ? Number(value.text) : undefined
}

const double = new Float64Array(1)
const bits = new BigInt64Array(double.buffer)

/** The next smaller double: [a, b) is [a, before(b)]. */
export function before(value: number): number {
  if (value === 0) return -Number.MIN_VALUE
  double[0] = value
  bits[0] = bits[0]! + (value > 0 ? -1n : 1n)
  return Math.max(double[0], numberMin)
}

/** The next greater double. */
export const following = (value: number): number => -before(-value)

export function numberEmitter(param: string, type: string): Emit | undefined {
  switch (type) {
    case 'integer':
    case 'positiveInt':
    case 'unsignedInt':
    case 'decimal':
      return (value, { entries }) => {
        const number = toNumber(value)
        if (number !== undefined) entries.push({ kind: 'interval', param, lo: number, hi: number })
      }
    case 'Range':
      return (value, { entries }) => {
        const interval = rangeOf(value)
        if (interval) entries.push({ kind: 'interval', param, ...interval })
      }
    default:
      return undefined
  }
}

/** What lies between low and high; an end that is not stated is open. */
export function rangeOf(value: Json): { lo: number; hi: number } | undefined {
  if (!isObject(value)) return undefined
  const lo = isObject(value['low']) ? toNumber(value['low']['value']) : undefined
  const hi = isObject(value['high']) ? toNumber(value['high']['value']) : undefined
  return lo === undefined && hi === undefined ? undefined : { lo: lo ?? numberMin, hi: hi ?? numberMax }
}

const literal = /^[+-]?(?:\d{1,40}(?:\.(\d{0,40}))?|\.(\d{1,40}))(?:[eE]([+-]?\d{1,3}))?$/

/** A searched number: as written, and what its significant digits cover. */
export type Written = { value: number; lo: number; hi: number; wholeNumber: boolean }

/** @throws FhirError naming the parameter */
export function readNumber(text: string, name: string): Written {
  const match = literal.exec(text)
  const value = Number(text)
  if (!match || !Number.isFinite(value)) throw invalid(`"${name}" takes a number such as 100, 5.40 or 1e2`, name)
  const fraction = match[1] ?? match[2] ?? ''
  // The specification reads 1e2 as [95, 105), as if it were 1.0e2.
  const oneDigit = match[3] !== undefined && /^[+-]?\d[eE]/.test(text) ? 1 : 0
  const half = 0.5 * 10 ** (Number(match[3] ?? 0) - fraction.length - oneDigit)
  return {
    value,
    lo: tidy(value - half),
    hi: before(tidy(value + half)),
    wholeNumber: match[3] === undefined && /^0*$/.test(fraction),
  }
}

/** Takes the noise of binary arithmetic off: 5.4 - 0.05 is 5.35, not 5.3500000000000005. */
const tidy = (value: number): number => Number(value.toPrecision(15))

/**
 * The interval for a prefix. `exact` is for elements that hold whole numbers: there 100 means 100, not [99.5, 100.5).
 *
 * `gt` and its like take the number as written; `ap` a tenth of the value to either side.
 */
export function intervalFor(prefix: Prefix, written: Written, exact: boolean): { lo: number; hi: number } {
  const { value, lo, hi } = written
  if (prefix === 'ap') {
    const tenth = Math.abs(value) / 10
    return { lo: Math.min(lo, tidy(value - tenth)), hi: Math.max(hi, tidy(value + tenth)) }
  }
  return (prefix === 'eq' || prefix === 'ne') && !(exact && written.wholeNumber) ? { lo, hi } : { lo: value, hi: value }
}

const prefixed = /^(eq|ne|gt|lt|ge|le|sa|eb|ap)(?=[0-9+\-.])/

/** The prefix of a number, date or quantity; `eq` where there is none. */
export function readPrefix(text: string): { prefix: Prefix; rest: string } {
  const match = prefixed.exec(text)
  return match ? { prefix: match[1] as Prefix, rest: text.slice(2) } : { prefix: 'eq', rest: text }
}

export function numberTest(param: string, text: string, name: string, exact: boolean): IntervalTest {
  const { prefix, rest } = readPrefix(text)
  return { op: 'interval', param, prefix, ...intervalFor(prefix, readNumber(rest, name), exact) }
}
