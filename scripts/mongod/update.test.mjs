/**
 * Update operators, mostly with the manual's own examples.
 *
 * https://www.mongodb.com/docs/manual/reference/operator/update/
 */
import { expect, test } from '@jest/globals'
import { Decimal128, Double, Long } from 'bson'
import { documentFrom } from './bson.mjs'
import { parseFilter } from './filter.mjs'
import { applied, parseUpdate, upsertBase } from './update.mjs'

const NOW = new Date(0)

function updated(before, update, { filter = {}, ...options } = {}) {
  const stored = documentFrom(before)
  const after = documentFrom(applied(parseUpdate(update, options), stored, { filter: parseFilter(filter), now: NOW }))
  // What was there is never changed.
  expect(stored.toObject()).toEqual(documentFrom(before).toObject())
  return after.toObject()
}

test.each([
  ['$set makes what is missing', { _id: 1 }, { $set: { 'a.b.c': 1 } }, { _id: 1, a: { b: { c: 1 } } }],
  ['$set fills an array', { _id: 1, a: [1] }, { $set: { 'a.3': 2 } }, { _id: 1, a: [1, null, null, 2] }],
  [
    'new members come in the order of their names',
    { _id: 1 },
    { $set: { z: 1, b: 2 }, $inc: { m: 3 } },
    { _id: 1, b: 2, m: 3, z: 1 },
  ],
  [
    '$unset leaves a hole in an array',
    { _id: 1, a: [1, 2], b: 1 },
    { $unset: { 'a.0': '', b: '' } },
    { _id: 1, a: [null, 2] },
  ],
  [
    '$inc keeps the type',
    { _id: 1, n: 1, d: new Double(1) },
    { $inc: { n: 1, d: 1 } },
    { _id: 1, n: 2, d: new Double(2) },
  ],
  ['$inc widens', { _id: 1, n: 2147483647 }, { $inc: { n: 1 } }, { _id: 1, n: Long.fromNumber(2147483648) }],
  [
    '$inc of a decimal',
    { _id: 1, n: 1 },
    { $inc: { n: Decimal128.fromString('0.10') } },
    { _id: 1, n: Decimal128.fromString('1.10') },
  ],
  ['$mul of nothing', { _id: 1 }, { $mul: { n: 5 } }, { _id: 1, n: 0 }],
  ['$min and $max', { _id: 1, a: 5, b: 5 }, { $min: { a: 3 }, $max: { b: 3 } }, { _id: 1, a: 3, b: 5 }],
  ['$rename moves', { _id: 1, a: { b: 1 } }, { $rename: { 'a.b': 'c' } }, { _id: 1, a: {}, c: 1 }],
  ['$currentDate', { _id: 1 }, { $currentDate: { at: true } }, { _id: 1, at: NOW }],
  [
    '$push at a place',
    { _id: 1, a: [1, 2] },
    { $push: { a: { $each: [8, 9], $position: 1 } } },
    { _id: 1, a: [1, 8, 9, 2] },
  ],
  [
    '$push sorts and cuts',
    { _id: 1, a: [5, 1] },
    { $push: { a: { $each: [3], $sort: -1, $slice: 2 } } },
    { _id: 1, a: [5, 3] },
  ],
  [
    '$addToSet knows equal numbers',
    { _id: 1, a: [1] },
    { $addToSet: { a: { $each: [new Double(1), 2] } } },
    { _id: 1, a: [1, 2] },
  ],
  ['$pull by condition', { _id: 1, a: [1, 5, 9] }, { $pull: { a: { $gte: 5 } } }, { _id: 1, a: [1] }],
  [
    '$pull of sub-documents',
    { _id: 1, a: [{ x: 1 }, { x: 2, y: 1 }] },
    { $pull: { a: { x: 2 } } },
    { _id: 1, a: [{ x: 1 }] },
  ],
  ['$pullAll', { _id: 1, a: [1, 2, 1] }, { $pullAll: { a: [1] } }, { _id: 1, a: [2] }],
  ['$pop at both ends', { _id: 1, a: [1, 2], b: [1, 2] }, { $pop: { a: 1, b: -1 } }, { _id: 1, a: [1], b: [2] }],
  [
    'every element',
    { _id: 1, a: [{ n: 1 }, { n: 2 }] },
    { $inc: { 'a.$[].n': 1 } },
    { _id: 1, a: [{ n: 2 }, { n: 3 }] },
  ],
  ['a pipeline', { _id: 1, n: 2 }, [{ $set: { m: { $add: ['$n', 1] } } }, { $unset: 'n' }], { _id: 1, m: 3 }],
  ['a replacement keeps the _id', { _id: 1, n: 2 }, { m: 3 }, { _id: 1, m: 3 }],
])('%s', (_name, before, update, after) => expect(updated(before, update)).toEqual(after))

test('the element that matched, and those a filter chooses', () => {
  const before = {
    _id: 1,
    a: [
      { k: 1, n: 0 },
      { k: 2, n: 0 },
    ],
  }
  expect(updated(before, { $set: { 'a.$.n': 9 } }, { filter: { 'a.k': 2 } }).a[1]).toEqual({ k: 2, n: 9 })
  expect(updated(before, { $set: { 'a.$.n': 9 } }, { filter: { a: { $elemMatch: { k: 2 } } } }).a[1].n).toBe(9)
  expect(updated(before, { $set: { 'a.$[e].n': 9 } }, { arrayFilters: [{ 'e.k': { $lt: 2 } }] }).a[0].n).toBe(9)
})

test.each([
  ['two changes of one member', { $set: { a: 1 }, $inc: { a: 1 } }, 40],
  ['a change above another', { $set: { a: 1, 'a.b': 1 } }, 40],
  ['another _id', { $set: { _id: 2 } }, 66],
  ['a member of a number', { $set: { 'n.x': 1 } }, 28],
  ['adding to text', { $inc: { text: 1 } }, 14],
  ['pushing to a number', { $push: { n: 1 } }, 2],
  ['an unknown modifier', { $nope: { a: 1 } }, 9],
  ['an empty part of a path', { $set: { 'a..b': 1 } }, 56],
  ['a filter nobody uses', { $set: { a: 1 } }, 9, { arrayFilters: [{ e: 1 }] }],
  ['an element nobody matched', { $set: { 'list.$': 1 } }, 2],
])('%s is refused', (_name, update, code, options = {}) => {
  const run = () => updated({ _id: 1, n: 1, text: 'x', list: [] }, update, options)
  expect(run).toThrow(expect.objectContaining({ code }))
})

test('an upsert starts from what must be equal', () => {
  expect(
    upsertBase({ _id: 1, a: { $eq: 2 }, 'b.c': 3, d: { $gt: 4 }, $and: [{ e: 5 }, { f: { $in: [6] } }] }, false),
  ).toEqual({
    _id: 1,
    a: 2,
    b: { c: 3 },
    e: 5,
    f: 6,
  })
  expect(upsertBase({ _id: 1, a: 2 }, true)).toEqual({ _id: 1 })
})
