/**
 * Aggregation expressions, mostly with the manual's own examples.
 *
 * https://www.mongodb.com/docs/manual/reference/operator/aggregation/
 */
import { expect, test } from '@jest/globals'
import { Decimal128, Double, Long } from 'bson'
import { documentFrom } from './bson.mjs'
import { compileExpression } from './expression.mjs'

const DOCUMENT = documentFrom({
  _id: 1,
  n: 5,
  half: 2.5,
  long: Long.fromString('9007199254740993'),
  text: 'Abc',
  nothing: null,
  list: [3, 1, 2],
  items: [{ a: 1, b: 'x' }, { a: 2 }, 7],
  inner: { a: 1, b: 2 },
  at: new Date(1000),
})

/** MongoDB calls a member `then`, which the linter takes for a promise. */
const choice = (before, value, after = {}) =>
  Object.fromEntries([...Object.entries(before), ['then', value], ...Object.entries(after)])

test.each([
  ['a path', '$inner.a', 1],
  ['a path through an array', '$items.a', [1, 2]],
  ['a missing path', '$inner.c', undefined],
  ['a literal', { $literal: '$n' }, '$n'],
  ['an object', { x: '$n', y: '$missing' }, { x: 5 }],
  ['an array', ['$n', '$missing'], [5, null]],
  ['$add', { $add: ['$n', '$half'] }, 7.5],
  ['$add to whole doubles', { $add: ['$half', 2.5] }, new Double(5)],
  ['$add beyond 32 bits', { $add: [2147483647, 1] }, Long.fromNumber(2147483648)],
  ['$add beyond doubles', { $add: ['$long', 1] }, Long.fromString('9007199254740994')],
  ['$add of decimals', { $add: [Decimal128.fromString('0.10'), 1] }, Decimal128.fromString('1.10')],
  ['$add to a date', { $add: ['$at', 500] }, new Date(1500)],
  ['$add of nothing', { $add: ['$n', '$nothing'] }, null],
  ['$subtract of dates', { $subtract: ['$at', new Date(400)] }, Long.fromNumber(600)],
  ['$multiply', { $multiply: ['$n', 3] }, 15],
  ['$divide', { $divide: ['$n', 2] }, 2.5],
  ['$mod', { $mod: ['$n', 3] }, 2],
  ['$abs', { $abs: -3 }, 3],
  ['$floor', { $floor: '$half' }, new Double(2)],
  ['$eq by value', { $eq: ['$n', Decimal128.fromString('5.0')] }, true],
  ['$gt across types', { $gt: ['$text', '$n'] }, true],
  ['$lt of the missing and null', { $lt: ['$missing', null] }, true],
  ['$cmp', { $cmp: ['$n', 9] }, -1],
  ['$and', { $and: ['$n', { $not: ['$nothing'] }] }, true],
  ['$or of zeros', { $or: [0, '$missing', null] }, false],
  ['$cond in both forms', [{ $cond: [true, 1, 2] }, { $cond: choice({ if: 0 }, 1, { else: 2 }) }], [1, 2]],
  ['$ifNull', { $ifNull: ['$missing', '$nothing', 'last'] }, 'last'],
  ['$switch', { $switch: { branches: [choice({ case: { $eq: ['$n', 5] } }, 'five')], default: 'other' } }, 'five'],
  ['$let', { $let: { vars: { x: { $add: ['$n', 1] } }, in: { $multiply: ['$$x', '$$x'] } } }, 36],
  ['$map', { $map: { input: '$list', as: 'one', in: { $add: ['$$one', 1] } } }, [4, 2, 3]],
  ['$filter', { $filter: { input: '$list', cond: { $gt: ['$$this', 1] } } }, [3, 2]],
  ['$reduce', { $reduce: { input: '$list', initialValue: 0, in: { $add: ['$$value', '$$this'] } } }, 6],
  ['$in', { $in: [2, '$list'] }, true],
  ['$size', { $size: '$list' }, 3],
  ['$arrayElemAt from the end', { $arrayElemAt: ['$list', -1] }, 2],
  ['$slice', { $slice: ['$list', 1, 5] }, [1, 2]],
  ['$concatArrays', { $concatArrays: ['$list', [9]] }, [3, 1, 2, 9]],
  ['$setUnion', { $setUnion: ['$list', [2, 4]] }, [1, 2, 3, 4]],
  ['$setIntersection', { $setIntersection: ['$list', [2, 4, 3]] }, [2, 3]],
  ['$concat', { $concat: ['$text', '!'] }, 'Abc!'],
  ['$toLower of ASCII only', { $toLower: 'ÀB' }, 'Àb'],
  ['$substrCP', { $substrCP: ['😀bc', 1, 1] }, 'b'],
  ['$strLenBytes', { $strLenBytes: 'é' }, 2],
  ['$split', { $split: ['a|b', '|'] }, ['a', 'b']],
  ['$sum of an array', { $sum: '$list' }, 6],
  ['$avg', { $avg: '$list' }, new Double(2)],
  ['$max of what is there', { $max: ['$missing', 3, null, 2] }, 3],
  [
    '$type',
    [{ $type: '$n' }, { $type: '$half' }, { $type: '$missing' }, { $type: '$long' }],
    ['int', 'double', 'missing', 'long'],
  ],
  ['$mergeObjects', { $mergeObjects: ['$inner', { b: 3 }] }, { a: 1, b: 3 }],
  [
    '$objectToArray',
    { $objectToArray: '$inner' },
    [
      { k: 'a', v: 1 },
      { k: 'b', v: 2 },
    ],
  ],
  ['$toLong', { $toLong: '12' }, Long.fromNumber(12)],
  ['$toString', { $toString: '$at' }, '1970-01-01T00:00:01.000Z'],
])('%s', (_name, expression, expected) => {
  const scope = { ROOT: DOCUMENT, CURRENT: DOCUMENT }
  expect(compileExpression(expression)(DOCUMENT, scope)).toEqual(expected)
})

test.each([
  ['an unknown operator', { $nope: 1 }, 168],
  ['two operators', { $add: [], $subtract: [] }, 15983],
  ['an unknown variable', '$$nope', 17276],
  ['text in arithmetic', { $add: ['$text', 1] }, 14],
  ['a wrong number of arguments', { $divide: [1] }, 16020],
  ['a division by zero', { $divide: [1, 0] }, 2],
  ['$size of no array', { $size: '$n' }, 17124],
  ['the division of decimals', { $divide: [Decimal128.fromString('1'), 3] }, 115],
])('%s is refused', (_name, expression, code) => {
  const run = () => compileExpression(expression)(DOCUMENT, {})
  expect(run).toThrow(expect.objectContaining({ code }))
})
