import { expect, test } from '@jest/globals'
import type { IndexEntry } from './expression.js'
import { compareKeys, sortKeyOf, sortKeys } from './sort-key.js'

const subject = (...entries: IndexEntry[]) => ({ id: 'x', updated: 5, entries })

test.each<[IndexEntry, string | number | undefined, string | number | undefined]>([
  [{ kind: 'string', param: 'p', value: 'Ünal' }, 'unal', 'unal'],
  [{ kind: 'token', param: 'p', system: 's', code: 'C' }, 'C', 'C'],
  [{ kind: 'token', param: 'p', system: 's' }, undefined, undefined],
  [{ kind: 'interval', param: 'p', lo: 1, hi: 2 }, 1, 2],
  [{ kind: 'quantity', param: 'p', lo: 1, hi: 2 }, 1, 2],
  [{ kind: 'quantity', param: 'p', lo: 1, hi: 2, canonical: { code: 'g', lo: 3, hi: 4 } }, 3, 4],
  [{ kind: 'reference', param: 'p', type: 'Patient', id: '1', version: '7' }, 'Patient/1', 'Patient/1'],
  [{ kind: 'uri', param: 'p', value: `${'é'.repeat(70)}` }, 'é'.repeat(64), 'é'.repeat(64)],
  [{ kind: 'uri', param: 'p', value: '😀'.repeat(70) }, '😀'.repeat(64), '😀'.repeat(64)],
])('%j sorts by %j ascending and %j descending', (entry, ascending, descending) => {
  expect(sortKeyOf(entry, false)).toBe(ascending)
  expect(sortKeyOf(entry, true)).toBe(descending)
})

test('ascending takes the smallest of several values, descending the largest, none is null', () => {
  const two = subject({ kind: 'interval', param: 'p', lo: 1, hi: 9 }, { kind: 'interval', param: 'p', lo: 0, hi: 3 })
  expect(sortKeys(two, [{ param: 'p', descending: false }])).toEqual([0])
  expect(sortKeys(two, [{ param: 'p', descending: true }])).toEqual([9])
  expect(sortKeys(two, [{ param: 'q', descending: true }])).toEqual([null])
  expect(
    sortKeys(two, [
      { param: '_id', descending: false },
      { param: '_lastUpdated', descending: true },
    ]),
  ).toEqual(['x', 5])
})

test('texts compare by code point, as their UTF-8 bytes do', () => {
  const texts = ['', 'a', 'ab', 'b', 'é', '\ud7ff', '\ue000', '\uffff', '😀', '😀a', '\u{10ffff}']
  const byBytes = [...texts].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  expect([...texts].reverse().sort(compareKeys)).toEqual(byBytes)
  expect(compareKeys(null, 'a')).toBeGreaterThan(0)
  expect(compareKeys(5, 'a')).toBeLessThan(0)
  expect(compareKeys(5, 40)).toBeLessThan(0)
})
