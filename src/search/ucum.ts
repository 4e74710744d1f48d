/**
 * UCUM units as a factor and an offset to base units, looked up once for each code.
 *
 * http://unitsofmeasure.org/ucum.html
 *
 * The library is loaded when the first unit is met. Units on another than a linear scale (pH, dB) and arbitrary ones
 * ([IU]) have no canonical form and compare by their code.
 */

import { createRequire } from 'node:module'
import { detached } from '../fhir/index.js'

export const UCUM = 'http://unitsofmeasure.org'

/** `code` names the dimension in base units; `toBase` converts, rounded to twelve digits. */
export type CanonicalUnit = { code: string; toBase: (value: number) => number }

type Conversion = { status: string; magnitude?: number; unitToExp?: Record<string, number> }
type Ucum = { UcumLhcUtils: { getInstance(): { convertToBaseUnits(code: string, value: number): Conversion } } }

const require = createRequire(import.meta.url)
const known = new Map<string, CanonicalUnit | undefined>()
/** Codes come from clients: neither their number nor their length may grow without bound. */
const knownMax = 10_000
const codeLengthMax = 64

export function canonicalUnit(code: string): CanonicalUnit | undefined {
  if (known.has(code)) return known.get(code)
  const unit = code !== '' && code.length <= codeLengthMax ? lookUp(code) : undefined
  if (known.size >= knownMax) known.clear()
  known.set(detached(code), unit)
  return unit
}

function lookUp(code: string): CanonicalUnit | undefined {
  const { UcumLhcUtils } = require('@lhncbc/ucum-lhc') as Ucum
  const ucum = UcumLhcUtils.getInstance()
  const base = (value: number): Conversion => ucum.convertToBaseUnits(code, value)
  const one = base(1)
  if (one.status !== 'succeeded' || one.magnitude === undefined || !one.unitToExp) return undefined
  const offset = base(0).magnitude
  if (offset === undefined || !Number.isFinite(offset)) return undefined
  const factor = one.magnitude - offset
  const isLinear = [2, 1000].every((value) => {
    const { magnitude = Number.NaN } = base(value)
    return Math.abs(factor * value + offset - magnitude) <= Math.abs(magnitude) * 1e-9 && Number.isFinite(magnitude)
  })
  if (!isLinear || factor === 0) return undefined
  return {
    code:
      Object.entries(one.unitToExp)
        .map(([unit, exponent]) => (exponent === 1 ? unit : `${unit}${exponent}`))
        .sort()
        .join('.') || '1',
    toBase: (value) => finite(Number((value * factor + offset).toPrecision(12))),
  }
}

const finite = (value: number): number => Math.max(-Number.MAX_VALUE, Math.min(value, Number.MAX_VALUE))
