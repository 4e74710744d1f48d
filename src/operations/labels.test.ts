import { expect, test } from '@jest/globals'
import { addLabels, dropLabels, labelsOf } from './labels.js'

const a = { system: 'urn:t', code: 'a' }
const b = { system: 'urn:t', code: 'b' }

test('labels are sets by system and code; version and display are ignored', () => {
  const had = { versionId: '1', tag: [{ ...a, display: 'A' }] }
  expect(addLabels(had, { tag: [{ ...a, display: 'other', version: '2' }, b, b], profile: ['p', 'p'] })).toEqual({
    versionId: '1',
    tag: [{ ...a, display: 'A' }, b],
    profile: ['p'],
  })
  expect(addLabels(had, { tag: [{ code: 'a' }] })['tag']).toHaveLength(2)
})

test('what is dropped need not be there; an empty set is left out', () => {
  expect(
    dropLabels({ tag: [{ ...a, display: 'A' }], security: [b] }, { tag: [a], security: [a], profile: ['p'] }),
  ).toEqual({
    security: [b],
  })
})

test.each([[undefined], ['x'], [[]], [{ tag: a }], [{ tag: ['a'] }], [{ profile: [1] }]])(
  '%j are no labels',
  (meta) => {
    expect(() => labelsOf(meta as never)).toThrow()
  },
)
