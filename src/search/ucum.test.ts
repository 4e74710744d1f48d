import { expect, test } from '@jest/globals'
import { canonicalUnit } from './ucum.js'

test.each([
  ['mg', 5.4, 'g', 0.0054],
  ['mg/dL', 100, 'g.m-3', 1000],
  ['Cel', 37, 'K', 310.15],
  ['[degF]', 98.6, 'K', 310.15],
  ['mm[Hg]', 1, 'g.m-1.s-2', 133322],
  ['{copies}/mL', 50, 'm-3', 50_000_000],
  ['/uL', 0.05, 'm-3', 50_000_000],
  ['10*3/uL', 1, 'm-3', 1e12],
  ['%', 5, '1', 0.05],
  ['km', 1e307, 'm', Number.MAX_VALUE],
])('%s: %d is %s %d', (code, value, base, converted) => {
  const unit = canonicalUnit(code)
  expect(unit?.code).toBe(base)
  expect(unit?.toBase(value)).toBe(converted)
})

test.each(['', '[IU]', '[pH]', 'B[SPL]', 'garbage!!', 'm'.repeat(65), '('.repeat(60), '__proto__'])(
  '%s has no canonical form',
  (code) => expect(canonicalUnit(code)).toBeUndefined(),
)
