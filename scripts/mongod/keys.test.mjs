/**
 * The order of values as MongoDB has it.
 *
 * https://www.mongodb.com/docs/manual/reference/bson-type-comparison-order/
 */
import { describe, expect, test } from '@jest/globals'
import { Binary, BSONRegExp, Code, Decimal128, Double, Long, MaxKey, MinKey, ObjectId, Timestamp } from 'bson'
import { compare, endOf, equal, inverted, keyOf } from './keys.mjs'

const decimal = (text) => Decimal128.fromString(text)

/** Each sorts before the next. */
const ASCENDING = [
  new MinKey(),
  null,
  Number.NaN,
  Number.NEGATIVE_INFINITY,
  decimal('-1E+400'),
  -Number.MAX_VALUE,
  decimal('-9007199254740993'),
  -9007199254740992,
  -1,
  -0.1,
  decimal('-0.1'),
  decimal('-1E-6000'),
  0,
  decimal('1E-6000'),
  Number.MIN_VALUE,
  decimal('0.1'),
  0.1,
  1,
  1.5,
  2,
  9007199254740992,
  Long.fromString('9007199254740993'),
  Long.MAX_VALUE,
  2 ** 63,
  Number.MAX_VALUE,
  decimal('1E+400'),
  Number.POSITIVE_INFINITY,
  '',
  '\0',
  '\0a',
  '\x01',
  'A',
  'a',
  'a\0',
  'a\x01',
  'ab',
  'b',
  'é',
  '\uffff',
  '😀',
  {},
  { a: 1 },
  { a: 1, b: 1 },
  { b: 1 },
  { a: 'x' },
  [],
  [1],
  [1, 2],
  [2],
  ['a'],
  new Binary(Buffer.from([])),
  new Binary(Buffer.from([1])),
  new Binary(Buffer.from([255])),
  new Binary(Buffer.from([1]), 4),
  new Binary(Buffer.from([0, 0])),
  new ObjectId('000000000000000000000001'),
  new ObjectId('ffffffffffffffffffffffff'),
  false,
  true,
  new Date(-5),
  new Date(0),
  new Date(5),
  new Timestamp({ t: 1, i: 2 }),
  new Timestamp({ t: 4294967295, i: 1 }),
  new BSONRegExp('a', ''),
  new BSONRegExp('a', 'i'),
  new Code('f'),
  new MaxKey(),
]

test('values of every type are in order', () => {
  for (let i = 0; i < ASCENDING.length; i++)
    for (let j = 0; j < ASCENDING.length; j++)
      if (Math.sign(compare(ASCENDING[i], ASCENDING[j])) !== Math.sign(i - j)) throw new Error(`${i} and ${j}`)
  expect(ASCENDING.length).toBeGreaterThan(60)
})

describe('numbers are equal by value', () => {
  test.each([
    [5, decimal('5.00'), true],
    [5, new Double(5), true],
    [5, Long.fromNumber(5), true],
    [0, -0, true],
    [decimal('-0'), 0, true],
    [decimal('1E+2'), 100, true],
    [0.1, decimal('0.1'), false],
    [0.5, decimal('0.50'), true],
    [Number.NaN, decimal('NaN'), true],
    [Number.POSITIVE_INFINITY, decimal('Infinity'), true],
    [1, '1', false],
    [1, true, false],
  ])('%s and %s: %s', (a, b, same) => expect(equal(a, b)).toBe(same))
})

test('a key is found again among others, upwards and downwards', () => {
  for (const a of ASCENDING)
    for (const b of ASCENDING) {
      const keys = keyOf(a) + inverted(keyOf(b)) + keyOf(a)
      const first = endOf(keys, 0, false)
      const second = endOf(keys, first, true)
      expect(keys.slice(0, first)).toBe(keyOf(a))
      expect(keys.slice(first, second)).toBe(inverted(keyOf(b)))
    }
})
