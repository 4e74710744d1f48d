/**
 * Quantity search: numbers with units, compared in UCUM base units where both sides have a UCUM code.
 *
 * https://hl7.org/fhir/R4/search.html#quantity
 */
import { invalid, isObject, type Json, type JsonObject } from '../fhir/index.js'
import type { Emit } from './entries.js'
import { splitEscaped, unescaped } from './escapes.js'
import type { IndexEntry, QuantityTest } from './expression.js'
import {
  before,
  following,
  intervalFor,
  numberMax,
  numberMin,
  rangeOf,
  readNumber,
  readPrefix,
  toNumber,
} from './numbers.js'
import { type CanonicalUnit, canonicalUnit, UCUM } from './ucum.js'

/** https://hl7.org/fhir/R4/datatypes.html#Money */
const CURRENCY = 'urn:iso:std:iso:4217'

type Interval = { lo: number; hi: number }
type Unit = { system?: string; code?: string; unit?: string }

export function quantityEmitter(param: string, type: string): Emit | undefined {
  const read = readers[type]
  return (
    read &&
    ((value, { entries }) => {
      if (!isObject(value)) return
      const entry = read(param, value)
      if (entry) entries.push(entry)
    })
  )
}

const readers: Record<string, (param: string, value: JsonObject) => IndexEntry | undefined> = {
  Quantity: quantity,
  SimpleQuantity: quantity,
  MoneyQuantity: quantity,
  Age: quantity,
  Duration: quantity,
  Distance: quantity,
  Count: quantity,
  Money: (param, value) => {
    const number = toNumber(value['value'])
    const { currency } = value
    if (number === undefined) return undefined
    const unit = typeof currency === 'string' ? { system: CURRENCY, code: currency } : {}
    return entry(param, { lo: number, hi: number }, unit)
  },
  Range: (param, value) => {
    const interval = rangeOf(value)
    const end = isObject(value['low']) ? value['low'] : value['high']
    return interval && isObject(end) ? entry(param, interval, unitOf(end)) : undefined
  },
  SampledData: (param, value) => {
    const interval = sampled(value)
    return interval && isObject(value['origin']) ? entry(param, interval, unitOf(value['origin'])) : undefined
  },
}

/** A comparator opens the interval: `<5` is everything below five. */
function quantity(param: string, value: JsonObject): IndexEntry | undefined {
  const number = toNumber(value['value'])
  if (number === undefined) return undefined
  return entry(param, widened(value['comparator'], number), unitOf(value))
}

function widened(comparator: Json | undefined, number: number): Interval {
  switch (comparator) {
    case '<':
      return { lo: numberMin, hi: before(number) }
    case '<=':
      return { lo: numberMin, hi: number }
    case '>':
      return { lo: following(number), hi: numberMax }
    case '>=':
      return { lo: number, hi: numberMax }
    default:
      return { lo: number, hi: number }
  }
}

/** From the smallest to the largest sample; E, L and U stand for an error and for what is beyond the limits. */
function sampled(value: JsonObject): Interval | undefined {
  const { origin, factor, lowerLimit, upperLimit, data } = value
  const base = isObject(origin) ? toNumber(origin['value']) : undefined
  if (base === undefined || typeof data !== 'string') return undefined
  const scale = toNumber(factor) ?? 1
  let lo = Number.POSITIVE_INFINITY
  let hi = Number.NEGATIVE_INFINITY
  const include = (number: number | undefined) => {
    if (number === undefined || !Number.isFinite(number)) return
    lo = Math.min(lo, number)
    hi = Math.max(hi, number)
  }
  for (const sample of data.split(' ')) {
    if (sample === '' || sample === 'E') continue
    if (sample === 'L') include(toNumber(lowerLimit))
    else if (sample === 'U') include(toNumber(upperLimit))
    else include(base + Number(sample) * scale)
  }
  return lo <= hi ? { lo, hi } : undefined
}

function unitOf(value: JsonObject): Unit {
  const { system, code, unit } = value
  return {
    ...(typeof system === 'string' && { system }),
    ...(typeof code === 'string' && { code }),
    ...(typeof unit === 'string' && { unit }),
  }
}

function entry(param: string, { lo, hi }: Interval, unit: Unit): IndexEntry {
  const base = unit.system === UCUM && unit.code !== undefined ? canonicalUnit(unit.code) : undefined
  const canonical = base && canonicalInterval(base, { lo, hi })
  return { kind: 'quantity', param, lo, hi, ...unit, ...(canonical && { canonical }) }
}

/**
 * The interval in base units. Conversion leaves noise in the last digits, which is rounded away on both sides of a
 * comparison; an end that excludes a number (`before`) excludes it again after the conversion.
 */
function canonicalInterval({ code, toBase }: CanonicalUnit, { lo, hi }: Interval): Interval & { code: string } {
  const low = convert(lo, following, before)
  return { code, lo: low, hi: hi === lo ? low : convert(hi, before, following) }

  function convert(end: number, exclude: (value: number) => number, include: (value: number) => number): number {
    if (end === numberMin || end === numberMax) return end
    const bound = include(end)
    return hasFewDigits(end) || !hasFewDigits(bound) ? toBase(end) : exclude(toBase(bound))
  }
}

/** Whether the number is one a person wrote, rather than the neighbour of one. */
const hasFewDigits = (value: number): boolean => Number(value.toPrecision(15)) === value

/**
 * `[prefix]number`, `[prefix]number|system|code` or `[prefix]number||unit`, still escaped.
 *
 * @throws FhirError naming the parameter
 */
export function quantityTest(param: string, text: string, name: string): QuantityTest {
  const parts = splitEscaped(text, '|')
  if (parts.length !== 1 && parts.length !== 3)
    throw invalid(`"${name}" takes number, number|system|code or number||unit`, name)
  const { prefix, rest } = readPrefix(unescaped(parts[0]!))
  const interval = intervalFor(prefix, readNumber(rest, name), false)
  const [system, code] = [unescaped(parts[1] ?? ''), unescaped(parts[2] ?? '')]
  if (system !== '' && code === '')
    throw invalid(`"${name}" names a system without a code; write number|system|code`, name)
  if (code === '') return { op: 'quantity', param, prefix, ...interval, unit: { kind: 'any' } }
  if (system === '') return { op: 'quantity', param, prefix, ...interval, unit: { kind: 'text', text: code } }
  const base = system === UCUM ? canonicalUnit(code) : undefined
  if (!base) return { op: 'quantity', param, prefix, ...interval, unit: { kind: 'coded', system, code } }
  const { code: canonical, ...converted } = canonicalInterval(base, interval)
  return { op: 'quantity', param, prefix, ...converted, unit: { kind: 'canonical', code: canonical } }
}
