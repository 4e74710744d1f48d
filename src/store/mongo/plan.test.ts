/**
 * What a search and a write cost on MongoDB: no collection is scanned, few keys are read in vain, and the number of
 * commands does not grow with the size of the answer.
 *
 * https://www.mongodb.com/docs/manual/reference/explain-results/
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type Document, MongoClient } from 'mongodb'
import {
  custodianParam,
  type Expression,
  type Include,
  type IndexEntry,
  type Query,
  type Reach,
  type Sort,
} from '../../search/index.js'
import { type Alone, all, alone, drop, put, query, reachOf, reference, token } from '../testing.js'
import { Collections } from './collections.js'
import { openMongo } from './index.js'
import { Reader } from './reader.js'
import { Root } from './root.js'
import { Search } from './search.js'
import { databaseOf, dropDatabase, type Mongod, startMongod, startProxy } from './testing.js'

const day = 86_400_000
const patients = 40
const each = 50
/** Whose a patient's resources are. */
const hospitals = 4

let mongod: Mongod
let proxy: Awaited<ReturnType<typeof startProxy>>
let url: string
let store: Alone
let client: MongoClient

/** 40 patients with 50 observations each: one code in a hundred is rare. */
beforeAll(async () => {
  mongod = await startMongod()
  proxy = await startProxy(mongod.port)
  url = databaseOf(mongod.url, 'plan')
  client = new MongoClient(url)
  store = await alone(openMongo(databaseOf(proxy.url, 'plan')))
  for (let p = 0; p < patients; p++)
    await store.commit({
      changes: [
        put(`Patient/p${p}`, {
          entries: [
            token('identifier', `${p}`, 'urn:mrn'),
            token(custodianParam, `h${p % hospitals}`),
            token('gender', p % 2 ? 'male' : 'female'),
            { kind: 'string', param: 'family', value: `Family ${p}` },
            { kind: 'interval', param: 'birthdate', lo: p * 365 * day, hi: (p * 365 + 1) * day - 1 },
          ],
        }),
        ...Array.from({ length: each }, (_, i) => put(`Observation/p${p}-${i}`, { entries: observed(p, i) })),
      ],
      integrity: false,
    })
})
afterAll(async () => {
  await client.db('admin').command({ setParameter: 1, notablescan: false })
  await client.close()
  await store.close()
  await dropDatabase(url)
  await proxy.close()
  await mongod.close()
})

function observed(p: number, i: number): IndexEntry[] {
  const at = (p * each + i) * day
  return [
    token('status', 'final'),
    token(custodianParam, `h${p % hospitals}`),
    token('code', (p * each + i) % 100 === 7 ? 'rare' : `c${i % 10}`, 'http://loinc.org'),
    reference('subject', `Patient/p${p}`),
    reference('patient', `Patient/p${p}`),
    { kind: 'interval', param: 'date', lo: at, hi: at + 999 },
    {
      kind: 'quantity',
      param: 'value-quantity',
      lo: i - 0.5,
      hi: i + 0.5,
      code: 'mg',
      system: 'http://unitsofmeasure.org',
    },
    { kind: 'text', param: '_text', words: `word${p} seen${i}` },
    { kind: 'uri', param: '_profile', value: `http://x.org/p/${i % 25}` },
  ]
}

const code = (value: string): Expression => ({ op: 'token', param: 'code', system: 'http://loinc.org', code: value })
const ofPatient: Expression = { op: 'reference', param: 'patient', target: { type: 'Patient', id: 'p3' } }
const newest: Sort[] = [{ param: 'date', descending: true }]
const and = (...of: Expression[]): Expression => ({ op: 'and', of })
const within = (param: string, from: number, to: number): Expression => ({
  op: 'interval',
  param,
  prefix: 'eq',
  lo: from * day,
  hi: to * day - 1,
})

/** Shapes an index answers. */
const shapes: Record<string, [type: string, Expression, Partial<Query>?]> = {
  'all of a type': ['Observation', { op: 'everything' }, { count: 20 }],
  'the newest changes of a type': [
    'Observation',
    { op: 'everything' },
    { count: 20, sort: [{ param: '_lastUpdated', descending: true }] },
  ],
  'by id': ['Observation', { op: 'ids', ids: ['p1-1', 'p2-2'] }],
  'by identifier': ['Patient', { op: 'token', param: 'identifier', system: 'urn:mrn', code: '3' }],
  'by code': ['Observation', code('c3'), { count: 20 }],
  'by a code of any system': ['Observation', { op: 'token', param: 'code', code: 'c3' }, { count: 20 }],
  'by several codes': ['Observation', { op: 'or', of: [code('c3'), code('c4'), code('rare')] }, { count: 20 }],
  'by code, newest first': ['Observation', code('c3'), { count: 20, sort: newest }],
  'of a patient': ['Observation', ofPatient, { count: 20 }],
  'of a patient, newest first': ['Observation', ofPatient, { count: 20, sort: newest }],
  'a rare code that is final': ['Observation', and({ op: 'token', param: 'status', code: 'final' }, code('rare'))],
  'by the beginning of a name': ['Patient', { op: 'string', param: 'family', how: 'starts', value: 'family 1' }],
  'in a month': ['Observation', within('date', 100, 130)],
  'after a day': ['Observation', { ...within('date', 1900, 1901), prefix: 'gt' } as Expression],
  'a quantity': [
    'Observation',
    {
      op: 'quantity',
      param: 'value-quantity',
      prefix: 'eq',
      lo: 2.5,
      hi: 3.5,
      unit: { kind: 'coded', system: 'http://unitsofmeasure.org', code: 'mg' },
    },
  ],
  'by words': ['Observation', { op: 'text', param: '_text', words: ['word3'] }],
  'by profile and what is below it': [
    'Observation',
    { op: 'uri', param: '_profile', how: 'exact', value: 'http://x.org/p/3' },
  ],
  'of patients by name': [
    'Observation',
    {
      op: 'chain',
      param: 'subject',
      types: ['Patient'],
      of: { op: 'string', param: 'family', how: 'equals', value: 'family 7' },
    },
    { count: 20 },
  ],
  'who has': ['Patient', { op: 'has', type: 'Observation', param: 'subject', of: code('rare') }],
}

/** Shapes that test more than they find, but never all there is. */
const wider: typeof shapes = {
  'without a value': ['Observation', and(ofPatient, { op: 'missing', param: 'performer' })],
  not: ['Observation', and(ofPatient, { op: 'not', of: code('c3') })],
  'a text inside': ['Patient', { op: 'string', param: 'family', how: 'contains', value: 'ly 3' }],
  'not at all': ['Patient', { op: 'not', of: { op: 'token', param: 'gender', code: 'male' } }],
  'a patient and a code': ['Observation', and(ofPatient, code('c3')), { sort: newest }],
  'before a day': ['Observation', { ...within('date', 3, 4), prefix: 'lt' } as Expression],
  'sorted by name': ['Patient', { op: 'everything' }, { sort: [{ param: 'family', descending: false }], count: 5 }],
  'of one kind or another': ['Observation', { op: 'or', of: [code('rare'), within('date', 1, 3)] }],
}

/** The table of the design: what an index answers whoever asks. */
const designed: typeof shapes = {
  'a patient and a code, newest first': ['Observation', and(ofPatient, code('c3')), { sort: newest, count: 20 }],
  'a patient, the newest twenty': ['Observation', ofPatient, { sort: newest, count: 20 }],
  'a patient within a month': ['Observation', and(ofPatient, within('date', 150, 180)), { sort: newest }],
  'a code, last changed first': [
    'Observation',
    code('c3'),
    { count: 20, sort: [{ param: '_lastUpdated', descending: true }] },
  ],
  'three codes, last changed first': [
    'Observation',
    { op: 'or', of: [code('c3'), code('c4'), code('rare')] },
    { count: 20, sort: [{ param: '_lastUpdated', descending: true }] },
  ],
  'by code, newest first': shapes['by code, newest first']!,
  'all of a type': shapes['all of a type']!,
  'the newest changes of a type': shapes['the newest changes of a type']!,
  'by code': shapes['by code']!,
  'in a month': ['Observation', within('date', 150, 180)],
}

const custodianIs = (...of: string[]): Expression => ({
  op: 'or',
  of: of.map((each) => ({ op: 'token', param: custodianParam, code: each })),
})

const reaches: Record<string, Reach> = {
  everything: all,
  'three hospitals of four': reachOf({}, custodianIs('h0', 'h1', 'h3')),
  'one hospital': reachOf({}, { op: 'token', param: custodianParam, code: 'h3' }),
  'one patient': reachOf({}, ofPatient),
  'one patient of two hospitals': reachOf({}, and(ofPatient, custodianIs('h2', 'h3'))),
}

const pipelineOf = async ([type, where, more]: (typeof shapes)[string], reach: Reach = all) => {
  const db = client.db()
  const search = new Search(async () => ['Observation', 'Patient'], { includesMax: 1000, targetsMax: 1000 })
  const [planned] = await search.pipelines(
    new Reader(db, 'default', new Root(new Collections(db), 'default'), 10_000),
    query([type], where, more),
    reach,
  )
  return { collection: db.collection(type), pipeline: planned!.pipeline }
}

/** Each range is looked into once more than it gives: three codes, or a range of names, of four hospitals. */
const rangesBegun = 16

/** Wherever the version of the server puts them. */
function statsOf(answer: Document): { keys: number; documents: number; returned: number } {
  const stats = answer['executionStats'] ?? answer['stages']?.[0]?.['$cursor']?.['executionStats']
  return { keys: stats.totalKeysExamined, documents: stats.totalDocsExamined, returned: stats.nReturned }
}

describe('searches', () => {
  test.each(Object.entries(shapes))('%s: no more than two keys for one that is found', async (_, shape) => {
    const { collection, pipeline } = await pipelineOf(shape)
    const { keys, documents, returned } = statsOf(await collection.aggregate(pipeline).explain('executionStats'))
    expect(returned).toBeGreaterThan(0)
    expect(keys).toBeLessThanOrEqual(2 * returned + rangesBegun)
    expect(documents).toBeLessThanOrEqual(2 * returned)
  })

  describe.each(Object.entries(reaches))('within reach: %s', (_, reach) => {
    test.each(Object.entries(designed))('%s: no more than two keys for one that is found', async (_, shape) => {
      const { collection, pipeline } = await pipelineOf(shape, reach)
      const { keys, returned } = statsOf(await collection.aggregate(pipeline).explain('executionStats'))
      expect(returned).toBeGreaterThan(0)
      expect(keys).toBeLessThanOrEqual(2 * returned + rangesBegun)
    })
  })

  test.each(Object.entries({ ...shapes, ...wider }))('%s: is answered where scans are forbidden', async (_, shape) => {
    const admin = client.db('admin')
    await admin.command({ setParameter: 1, notablescan: true })
    try {
      const [type, where, more] = shape
      const found = await store.search(query([type], where, { ...more, total: true }), all)
      expect(found.matches.length).toBeGreaterThan(0)
    } finally {
      await admin.command({ setParameter: 1, notablescan: false })
    }
  })

  test('explaining names the index and no value', async () => {
    const lines = (await store.explain(query(['Observation'], code('rare')), all)).join('\n')
    expect(lines).toMatch(/IXSCAN created/)
    expect(lines).not.toMatch(/rare|COLLSCAN/)
  })
})

/** The names of the commands; the least of a few tries, because what is counted meanwhile has commands of its own. */
async function commands(work: (i: number) => Promise<unknown>): Promise<number> {
  const counts: number[] = []
  for (let i = 0; i < 4; i++) {
    await store.changes(0, 1)
    await new Promise((resolve) => setTimeout(resolve, 80))
    proxy.reset()
    await work(i)
    counts.push(proxy.commands.length)
  }
  return Math.min(...counts)
}

describe('commands', () => {
  const include = (...of: Partial<Include>[]): Partial<Query> => ({
    include: of.map((each) => ({ reverse: false, type: 'Observation', param: 'subject', iterate: false, ...each })),
  })
  let made = 0
  test.each<[string, number, () => Promise<unknown>]>([
    ['read', 1, () => store.read({ type: 'Patient', id: 'p1' }, all)],
    ['vread', 1, () => store.read({ type: 'Patient', id: 'p1' }, all, 1)],
    ['a search', 1, () => store.search(query(['Observation'], code('c3'), { count: 20 }), all)],
    ['a search for 500', 1, () => store.search(query(['Observation'], undefined, { count: 500 }), all)],
    ['a search with a total', 1, () => store.search(query(['Observation'], code('c3'), { total: true }), all)],
    [
      'a search of two types',
      1,
      () => store.search(query(['Observation', 'Patient'], undefined, { total: true }), all),
    ],
    [
      'a chain',
      2,
      () =>
        store.search(
          query(...(shapes['of patients by name']!.slice(0, 2).map((x, i) => (i ? x : [x])) as [string[], Expression])),
          all,
        ),
    ],
    ['an include', 2, () => store.search(query(['Observation'], code('rare'), include({})), all)],
    [
      'two includes',
      2,
      () => store.search(query(['Observation'], code('rare'), include({}, { reverse: true, param: '*' })), all),
    ],
    ['a history', 1, () => store.history({ type: 'Patient', id: 'p1', count: 10, total: true }, all)],
    [
      'a create',
      4,
      () =>
        store.commit({
          changes: [
            put(`Observation/n${made++}`, { entries: observed(1, 1), references: ['Patient/p1', 'Observation/p1-1'] }),
          ],
          integrity: true,
        }),
    ],
    [
      'a create with what the audit log says of it',
      4,
      () =>
        store.commit({
          changes: [put(`Observation/n${made++}`, { references: ['Patient/p1'] })],
          audit: ([first]) => [{ id: `${made}`, at: 1, keys: [first!.stored.id], text: 'created' }],
          integrity: true,
        }),
    ],
    [
      'an entry of the audit log',
      1,
      () => store.audit.append([{ id: `e${made++}`, at: 1, keys: ['Patient/p1'], text: 'read' }]),
    ],
    [
      'a transaction of 200 creates',
      4,
      () =>
        store.commit({
          changes: Array.from({ length: 200 }, () => put(`Observation/n${made++}`, { references: ['Patient/p1'] })),
          integrity: true,
        }),
    ],
    [
      'an update',
      5,
      () => store.commit({ changes: [put('Patient/p1', { content: { text: `${made++}` } })], integrity: true }),
    ],
    [
      'an update that changes nothing',
      2,
      () => store.commit({ changes: [put('Patient/p2', { content: {} })], integrity: true }),
    ],
    ['a delete', 7, () => store.commit({ changes: [drop(`Observation/p0-${made++ % each}`)], integrity: true })],
  ])('%s takes at most %d', async (_, most, work) => {
    expect(await commands(work)).toBeLessThanOrEqual(most)
  })
})
