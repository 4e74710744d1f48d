import { describe, expect, test } from '@jest/globals'
import { type Expression, not } from './expression.js'
import { match, type Subject, type World } from './match.js'

const patient: Subject = {
  type: 'Patient',
  id: 'p',
  updated: 0,
  entries: [{ kind: 'token', param: 'active', code: 'true' }],
}
const observation: Subject = {
  type: 'Observation',
  id: 'o',
  updated: 0,
  entries: [
    { kind: 'reference', param: 'subject', type: 'Patient', id: 'p' },
    { kind: 'token', param: 'code', system: 's', code: 'c' },
  ],
}

/** Both resources, of which only those of `visible` may be found. */
const seeing = (...visible: string[]): World => ({
  resolve: ({ type, id }) => [patient, observation].find((each) => each.type === type && each.id === id),
  referring: (type) => (type === 'Observation' ? [observation] : []),
  reach: { of: (type) => ({ op: visible.includes(type) ? 'everything' : 'nothing' }) },
})

const active: Expression = { op: 'token', param: 'active', code: 'true' }
const chain: Expression = { op: 'chain', param: 'subject', types: ['Patient'], of: active }
const has: Expression = {
  op: 'has',
  type: 'Observation',
  param: 'subject',
  of: { op: 'token', param: 'code', code: 'c' },
}

describe('what is out of reach is as if it were not there', () => {
  test('at the end of a chain', () => {
    expect(match(observation, chain, seeing('Patient'))).toBe(true)
    expect(match(observation, chain, seeing('Observation'))).toBe(false)
    expect(match(observation, not(chain), seeing('Observation'))).toBe(true)
  })

  test('where it refers', () => {
    expect(match(patient, has, seeing('Observation'))).toBe(true)
    expect(match(patient, has, seeing('Patient'))).toBe(false)
    expect(match(patient, not(has), seeing('Patient'))).toBe(true)
  })

  test('inside a chain inside a _has', () => {
    const both: Expression = { op: 'has', type: 'Observation', param: 'subject', of: chain }
    expect(match(patient, both, seeing('Observation', 'Patient'))).toBe(true)
    expect(match(patient, both, seeing('Observation'))).toBe(false)
  })
})

test('what a reach leads to on its own way need not be within it', () => {
  const world = {
    ...seeing(),
    reach: { of: (type: string) => (type === 'Observation' ? chain : { op: 'nothing' as const }) },
  }
  expect(match(patient, has, world)).toBe(true)
  expect(match(observation, chain, world)).toBe(false)
})

test('without a world there is no other resource', () => {
  expect(match(observation, chain)).toBe(false)
  expect(match(patient, has)).toBe(false)
})

test('a chain leads only to the types it names', () =>
  expect(match(observation, { ...chain, types: ['Group'] }, seeing('Patient'))).toBe(false))

test.each<[Expression, boolean]>([
  [{ op: 'everything' }, true],
  [{ op: 'nothing' }, false],
  [{ op: 'typed', of: { Patient: active } }, true],
  [{ op: 'typed', of: { Observation: active } }, false],
  [{ op: 'typed', of: {} }, false],
  [{ op: 'ids', ids: ['p'] }, true],
  [{ op: 'ids', ids: ['q'] }, false],
  [{ op: 'missing', param: 'active' }, false],
  [{ op: 'missing', param: 'name' }, true],
  [{ op: 'token', param: 'active', system: '', code: 'true' }, true],
  [{ op: 'token', param: 'active', system: 's', code: 'true' }, false],
  // A test reads the entries of its own kind: another one under the same name says nothing.
  [{ op: 'string', param: 'active', how: 'starts', value: 'true' }, false],
  [{ op: 'interval', param: 'active', prefix: 'ne', lo: 0, hi: 0 }, false],
  [{ op: 'uri', param: 'active', how: 'exact', value: 'true' }, false],
  [{ op: 'near', param: 'active', latitude: 0, longitude: 0, km: 40_000 }, false],
  [{ op: 'text', param: '_text', words: ['true'] }, false],
  [{ op: 'interval', param: '_lastUpdated', prefix: 'eq', lo: -1, hi: 1 }, true],
])('%j is %s', (expression, expected) => expect(match(patient, expression)).toBe(expected))
