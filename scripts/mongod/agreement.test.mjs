/**
 * Random queries: every index gives what a scan gives, in the same order, and mingo (another matcher altogether) agrees with
 * ours where both mean the same.
 */
import { describe, expect, test } from '@jest/globals'
import { Decimal128, Double, Long } from 'bson'
import { Query } from 'mingo'
import { documentFrom } from './bson.mjs'
import { CommandError } from './errors.mjs'
import { execute } from './execute.mjs'
import { parseFilter } from './filter.mjs'
import { matcher } from './match.mjs'
import { parseSort, sorted } from './sort.mjs'
import { addIndex, Collection, Store, Writer } from './store.mjs'

const NAMESPACE = 'test.a'

/** A small generator of numbers, so that a failure can be had again from its seed. */
function random(seed) {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (n) => Math.floor(next() * n)
  const pick = (values) => values[below(values.length)]
  return { below, pick, chance: (p) => next() < p }
}

const SCALARS = [
  null,
  0,
  1,
  2,
  3,
  -1,
  1.5,
  new Double(2),
  Long.fromNumber(3),
  Decimal128.fromString('1.50'),
  Decimal128.fromString('-0.1'),
  Number.NaN,
  Number.POSITIVE_INFINITY,
  '',
  'a',
  'A',
  'ab',
  'b',
  'a|b',
  'é',
  '😀',
  'a\0b',
  true,
  false,
  new Date(0),
  new Date(-5),
  new Date(86_400_000),
  { x: 1 },
  {},
]

const PLAIN = [null, 0, 1, 2, 3, -1, 1.5, '', 'a', 'A', 'ab', 'b', 'a|b', true, false]

const PATTERNS = [/^a/, /b/, /^A$/, /^a\|/, /A/i, /^/]

function valueWith({ pick, chance, below }, scalars) {
  if (chance(0.25)) return Array.from({ length: below(4) }, () => pick(scalars))
  return pick(scalars)
}

function documentWith(dice, id, scalars) {
  const { chance, below, pick } = dice
  const document = { _id: id }
  if (chance(0.85)) document.a = valueWith(dice, scalars)
  if (chance(0.85)) document.b = valueWith(dice, scalars)
  if (chance(0.8)) document.t = pick(['x', 'y'])
  if (chance(0.7))
    document.d = Array.from({ length: below(4) }, () => ({
      ...(chance(0.9) ? { p: pick(['date', 'issued']) } : {}),
      // mingo does not look into an array within an array's sub-document.
      ...(chance(0.9) ? { lo: scalars === PLAIN ? pick(scalars) : valueWith(dice, scalars) } : {}),
    }))
  else if (chance(0.3)) document.d = { p: 'date', lo: pick(scalars) }
  return document
}

function conditionWith(dice, scalars) {
  const { pick, below, chance } = dice
  const list = () => Array.from({ length: 1 + below(3) }, () => pick(scalars))
  switch (below(12)) {
    case 0:
      return { [pick(['$gt', '$gte', '$lt', '$lte'])]: pick(scalars) }
    case 1:
      return { $gte: pick(scalars), $lt: pick(scalars) }
    case 2:
      return { $in: chance(0.2) && scalars !== PLAIN ? [...list(), pick(PATTERNS)] : list() }
    case 3:
      return { [pick(['$ne', '$gt', '$lte'])]: pick(scalars) }
    case 4:
      return { $nin: list() }
    case 5:
      return { $exists: chance(0.5) }
    case 6:
      return { $elemMatch: { $gte: pick(scalars), $lte: pick(scalars) } }
    case 7:
      return { $all: list() }
    case 8:
      return { $not: { [pick(['$gt', '$lte'])]: pick(scalars) } }
    case 9:
      return { $eq: pick(scalars) }
    case 10:
      return { $size: below(3) }
    default:
      return pick(scalars)
  }
}

function filterWith(dice, scalars, depth = 0) {
  const { below, chance, pick } = dice
  const filter = {}
  for (let i = 0; i <= below(3); i++) {
    const path = pick(['a', 'b', 't', 'd.p', 'd.lo', 'd', 'a.x'])
    if (path === 't') filter.t = chance(0.8) ? pick(['x', 'y']) : conditionWith(dice, scalars)
    else if (path === 'd')
      filter.d = {
        $elemMatch: {
          ...(chance(0.7) ? { p: pick(['date', 'issued']) } : {}),
          lo: conditionWith(dice, scalars),
        },
      }
    else filter[path] = conditionWith(dice, scalars)
  }
  if (depth < 2 && chance(0.25))
    filter[pick(['$or', '$and', '$nor'])] = Array.from({ length: 1 + below(2) }, () =>
      filterWith(dice, scalars, depth + 1),
    )
  return filter
}

/** The driver sends JavaScript's patterns as BSON's. */
function asSent(filter) {
  return documentFrom(filter).toObject()
}

const INDEXES = [
  { key: { a: 1 } },
  { key: { b: -1 } },
  { key: { t: 1, a: 1, _id: 1 } },
  { key: { t: 1, b: -1, _id: -1 } },
  { key: { 'd.p': 1, 'd.lo': 1 } },
  { key: { t: 1, 'd.p': -1, 'd.lo': -1, _id: 1 } },
  { key: { 'a.x': 1 } },
  { key: { b: 1, t: 1 }, sparse: true },
  { key: { a: 1, t: 1 }, partialFilterExpression: { t: 'x' } },
  { key: { a: -1, _id: 1 }, partialFilterExpression: { a: { $gt: 0 } } },
]

function given(dice, count, indexesFirst) {
  const store = new Store()
  const writer = new Writer(store)
  store.main.collections.set(NAMESPACE, new Collection(NAMESPACE))
  const makeIndexes = () => {
    for (const [i, index] of INDEXES.entries()) addIndex(store.main, NAMESPACE, { ...index, name: `i${i}` })
  }
  if (indexesFirst) makeIndexes()
  for (let id = 0; id < count; id++) writer.insert(NAMESPACE, documentFrom(documentWith(dice, id, SCALARS)))
  // Some are changed and some deleted again, so that the indexes have seen everything.
  for (const [, document] of [...store.main.get(NAMESPACE).records.entries()]) {
    if (dice.chance(0.1)) writer.remove(NAMESPACE, document)
    else if (dice.chance(0.3))
      writer.replace(NAMESPACE, document, documentFrom(documentWith(dice, document.get('_id'), SCALARS)), true)
  }
  if (!indexesFirst) makeIndexes()
  return store
}

const idsOf = (documents) => [...documents].map((document) => document.get('_id'))

describe('an index never changes what is found', () => {
  test.each([1, 2, 3, 4, 5, 6])('seed %i', (seed) => {
    const dice = random(seed)
    const store = given(dice, 120, seed % 2 === 0)
    const collection = store.main.get(NAMESPACE)
    const all = [...collection.records.entries()].map(([, document]) => document)
    for (let round = 0; round < 150; round++) {
      const raw = filterWith(dice, SCALARS)
      let filter
      try {
        filter = parseFilter(asSent(raw))
      } catch (error) {
        if (error instanceof CommandError) continue
        throw error
      }
      const sortBy = dice.pick([
        {},
        { _id: 1 },
        { a: 1, _id: 1 },
        { b: -1, _id: -1 },
        { 'd.lo': 1, _id: 1 },
        { t: 1, a: -1, _id: 1 },
      ])
      const sort = parseSort(sortBy)
      const expected = idsOf(sorted(all.filter(matcher(filter)), sort.fields))
      const hints = [undefined, ...INDEXES.keys()].map((i) => (i === undefined ? undefined : `i${i}`))
      for (const hint of hints) {
        // A sparse or partial index that is insisted on leaves documents out, here as on a server.
        if (hint !== undefined && (INDEXES[hint.slice(1)].sparse || INDEXES[hint.slice(1)].partialFilterExpression))
          continue
        const found = idsOf(execute(store.main, { namespace: NAMESPACE, filter, sort, hint }).documents)
        const comparable = sort.fields.length === 0 ? found.slice().sort((a, b) => a - b) : found
        const want = sort.fields.length === 0 ? expected.slice().sort((a, b) => a - b) : expected
        if (comparable.join() !== want.join())
          throw new Error(
            `seed ${seed}, hint ${hint}, sort ${JSON.stringify(sortBy)}, ${JSON.stringify(raw)}: ${comparable} instead of ${want}`,
          )
      }
    }
    expect(all.length).toBeGreaterThan(90)
  })
})

describe('the matcher agrees with mingo on plain values', () => {
  test.each([11, 12, 13])('seed %i', (seed) => {
    const dice = random(seed)
    const documents = Array.from({ length: 60 }, (_, id) => documentWith(dice, id, PLAIN))
    const stored = documents.map(documentFrom)
    for (let round = 0; round < 600; round++) {
      const raw = filterWith(dice, PLAIN)
      // mingo takes the elements of all sub-documents together for $size and $elemMatch, finds nothing by $all where there is no array, and does not
      // see that a member is missing in one of several sub-documents.
      if (/\$all|\.(lo|p|x)":\{"\$(size|elemMatch)|null/.test(JSON.stringify(raw))) continue
      const test = matcher(parseFilter(raw))
      const query = new Query(raw)
      for (const [i, document] of documents.entries())
        if (test(stored[i]) !== query.test(document))
          throw new Error(`seed ${seed}: ${JSON.stringify(raw)} on ${JSON.stringify(document)}: ${test(stored[i])}`)
    }
    expect(stored.length).toBe(60)
  })
})
