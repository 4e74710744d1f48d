/**
 * How SQLite goes about each shape of search: by an index, never through a whole table, and in order without sorting
 * wherever an index has the order.
 *
 * https://www.sqlite.org/eqp.html
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type Expression, everything, type IndexEntry, type Query } from '../../search/index.js'
import { type Alone, all, alone, namesOf, put, query, reference, token } from '../testing.js'
import { openSqlite, type SqliteOptions } from './index.js'

const tables = [
  ...['type', 'param', 'system', 'term', 'shape', 'shape_param', 'resource', 'version', 'entry', 'posting'],
  ...['reference', 'interval', 'timeline', 'position', 'claim', 'secret'],
]
const named = new RegExp(
  `\\b(?:FROM|JOIN) (${tables.join('|')})\\b(?: (?!INDEXED|CROSS|WHERE|ON|JOIN)([a-z]\\d*))?`,
  'g',
)

/** The lines by which a whole table is read: a SCAN of a table under its own name or the name a statement gives it. */
function scans(lines: string[]): string[] {
  let names = new Set<string>()
  return lines.filter((line) => {
    if (!line.startsWith('  ')) {
      names = new Set([...line.matchAll(named)].map(([, table, alias]) => alias ?? table!))
      return false
    }
    const scanned = /SCAN (\w+)(?! VIRTUAL)/.exec(line)?.[1]
    return scanned !== undefined && names.has(scanned)
  })
}

const chain = (of: Expression): Expression => ({ op: 'chain', param: 'patient', types: ['Patient'], of })
const has = (of: Expression): Expression => ({ op: 'has', type: 'Observation', param: 'patient', of })
const code = (value: string): Expression => ({ op: 'token', param: 'code', code: value })
const name = (how: 'starts' | 'contains' | 'exact' | 'ends', value: string): Expression => ({
  op: 'string',
  param: 'name',
  how,
  value,
})
const ofPatient: Expression = { op: 'reference', param: 'patient', target: { type: 'Patient', id: '3' } }
const date = (prefix: 'eq' | 'ge' | 'lt', at: number): Expression => ({
  op: 'interval',
  param: 'date',
  prefix,
  lo: at,
  hi: at + 10,
})
const quantity = (unit: Extract<Expression, { op: 'quantity' }>['unit']): Expression => ({
  op: 'quantity',
  param: 'value',
  prefix: 'gt',
  lo: 95,
  hi: 95,
  unit,
})

// Each row has all four: jest takes a parameter that a row leaves out for the callback that ends the test.
type Shape = [what: string, where: Expression, driven: RegExp, more?: Partial<Query> & { types?: string[] }]

const posting = /SEARCH a\d+ USING PRIMARY KEY \(term=\?/
const interval = /SEARCH a\d+ USING PRIMARY KEY \(series=\? AND hi>\?/
const byDate = (descending: boolean): Partial<Query> => ({ sort: [{ param: 'date', descending }] })
const patients = { types: ['Patient'] }

const inOrder: Shape[] = [
  ['a whole type', everything, /SEARCH a\d+ USING COVERING INDEX resource_live \(tid=\? AND rowid>\?\)/],
  ['a code', code('c1'), posting],
  ['a code of a system', { op: 'token', param: 'code', code: 'c1', system: 'http://codes' }, posting],
  ['several codes', { op: 'or', of: [code('c1'), code('c2')] }, posting],
  ['a reference', ofPatient, /USING PRIMARY KEY \(target=\? AND pid=\? AND rid>\?\)/],
  [
    'a reference and a code',
    { op: 'and', of: [ofPatient, code('c1')] },
    /USING PRIMARY KEY \((target=\? AND pid|term)=\? AND rid/,
  ],
  ['not a code', { op: 'not', of: code('c1') }, /USING COVERING INDEX resource_live/],
  ['a missing parameter', { op: 'missing', param: 'value' }, /USING COVERING INDEX resource_live/],
  ['a uri', { op: 'uri', param: 'profile', how: 'exact', value: 'http://x/1' }, posting],
  ['an id', { op: 'ids', ids: ['3'] }, /USING INTEGER PRIMARY KEY/],
  ['the newest of a patient', ofPatient, /USING PRIMARY KEY \(target=\? AND pid=\?\)/, byDate(true)],
]

/** Read in the order of an index where there are many; few are sorted. */
const streamed: Shape[] = [
  [
    'by update',
    everything,
    /USING INDEX version_type \(tid=\?\)/,
    { sort: [{ param: '_lastUpdated', descending: true }] },
  ],
  ['by id', everything, /USING INDEX resource_id \(tid=\?\)/, { sort: [{ param: '_id', descending: false }] }],
  ['by date', everything, /\(series=\?/, byDate(true)],
  ['by date, the oldest first', everything, /\(series=\?/, byDate(false)],
  [
    'by name',
    everything,
    /INDEX term_value \(pid=\? AND value>\?\)/,
    { ...patients, sort: [{ param: 'name', descending: false }] },
  ],
  [
    'by name backwards',
    everything,
    /INDEX term_value/,
    {
      ...patients,
      sort: [
        { param: 'name', descending: true },
        { param: '_id', descending: true },
      ],
    },
  ],
]

const collected: Shape[] = [
  [
    'all codes of a system',
    { op: 'token', param: 'code', system: 'http://codes' },
    /USING (COVERING )?INDEX term_system \(pid=\? AND sys=\?\)/,
  ],
  [
    'the beginning of a name',
    name('starts', 'name 1'),
    /INDEX term_value \(pid=\? AND value>\? AND value<\?\)/,
    patients,
  ],
  ['a part of a name', name('contains', 'me 1'), /INDEX term_value \(pid=\?\)/, patients],
  ['the end of a name', name('ends', '7'), /INDEX term_value \(pid=\?\)/, patients],
  ['an exact name', name('exact', 'Name 1'), /INDEX term_value \(pid=\? AND value=\?\)/, patients],
  ['a uri and what is below', { op: 'uri', param: 'profile', how: 'below', value: 'http://x' }, /INDEX term_value/],
  [
    'a uri and what is above',
    { op: 'uri', param: 'profile', how: 'above', value: 'http://x/1/2' },
    /INDEX term_value \(pid=\? AND value=\?\)/,
  ],
  ['a date', date('eq', 510), interval],
  ['from a date on', date('ge', 5950), interval],
  ['before a date', date('lt', 20), /\(series=\? AND hi<\?\)/],
  ['a date and a code', { op: 'and', of: [date('eq', 510), code('c2')] }, interval],
  ['a number in any unit', quantity({ kind: 'any' }), interval],
  ['a quantity', quantity({ kind: 'canonical', code: 'g' }), interval],
  ['a quantity as coded', quantity({ kind: 'coded', system: 'http://units', code: 'g' }), interval],
  [
    'a code and its value',
    {
      op: 'composite',
      param: 'code-value',
      of: [{ ...code('c1'), param: '$0' } as Expression, { ...quantity({ kind: 'any' }), param: '$1' } as Expression],
    },
    posting,
  ],
  ['words', { op: 'text', param: '_content', words: ['word1', 'te*'] }, /VIRTUAL TABLE INDEX/],
  [
    'a place',
    { op: 'near', param: 'near', latitude: 5, longitude: 5, km: 10 },
    /\(pid=\? AND latitude>\? AND latitude<\?\)/,
  ],
  [
    'by update time',
    { op: 'interval', param: '_lastUpdated', prefix: 'ge', lo: 1, hi: 1 },
    /INDEX version_type \(tid=\? AND updated>\?\)/,
  ],
  ['a chain', chain(name('exact', 'Name 1')), /\(target=\? AND pid=\?/],
  ['a chain to whatever is there', chain(everything), /\(target=\? AND pid=\?|INDEX resource_live/],
  ['a chain and a code', { op: 'and', of: [chain(name('starts', 'name')), code('c1')] }, /PRIMARY KEY/],
  ['_has', has(code('c1')), posting, patients],
  ['_has in a chain', chain(has(code('c1'))), posting],
  ['by a quantity', code('c1'), posting, { sort: [{ param: 'value', descending: true }] }],
  [
    'with includes',
    ofPatient,
    /\(target=\? AND pid=\?/,
    {
      include: [
        { reverse: false, type: 'Observation', param: 'patient', iterate: false },
        { reverse: true, type: 'Observation', param: '*', iterate: true },
      ],
    },
  ],
]

const full = (shapes: Shape[]) => shapes.map(([what, where, driven, more = {}]) => [what, where, driven, more] as const)

describe.each<[string, SqliteOptions['tuning']]>([
  ['few resources', {}],
  ['many resources', { probesMax: 1, termsMax: 2, setMax: 2, sortedMin: 1, timelineMin: 1 }],
])('with %s', (size, tuning) => {
  const many = size === 'many resources'
  let folder: string
  let store: Alone
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'hospitallink-'))
    store = await alone(openSqlite(join(folder, 'test.db'), { tuning: tuning ?? {} }))
    const entries = (i: number): IndexEntry[] => [
      token('code', `c${i % 7}`, 'http://codes'),
      reference('patient', `Patient/${i % 10}`),
      { kind: 'interval', param: 'date', lo: i * 10, hi: i * 10 + (i % 5 ? 9 : 1e10) },
      { kind: 'uri', param: 'profile', value: `http://x/${i % 3}` },
      { kind: 'text', param: '_content', words: `word${i % 9} text` },
      { kind: 'position', param: 'near', latitude: i % 10, longitude: i % 10 },
      ...(i % 2
        ? [
            {
              kind: 'quantity' as const,
              param: 'value',
              lo: i,
              hi: i,
              system: 'http://units',
              code: 'g',
              canonical: { code: 'g', lo: i, hi: i },
            },
          ]
        : []),
      {
        kind: 'composite',
        param: 'code-value',
        components: [[token('$0', `c${i % 7}`)], [{ kind: 'quantity', param: '$1', lo: i, hi: i }]],
      },
    ]
    await store.commit({
      changes: [
        ...Array.from({ length: 10 }, (_, i) =>
          put(`Patient/${i}`, { entries: [{ kind: 'string', param: 'name', value: `Name ${i}` }] }),
        ),
        ...Array.from({ length: 600 }, (_, i) => put(`Observation/${i}`, { entries: entries(i) })),
      ],
      integrity: false,
    })
  })
  afterAll(async () => {
    await store.close()
    rmSync(folder, { recursive: true })
  })

  const explained = ({ types, ...more }: Partial<Query> & { types?: string[] } = {}, where: Expression) =>
    store.explain(query(types ?? ['Observation'], where, { count: 5, ...more }), all)

  test.each(full([...inOrder, ...collected, ...streamed]))(
    '%s is found by an index',
    async (what, where, driven, more) => {
      const lines = await explained(more, where)
      expect(scans(lines)).toEqual([])
      if (many || !streamed.some(([each]) => each === what)) expect(lines.join('\n')).toMatch(driven)
      const next = await store.search(query(more.types ?? ['Observation'], where, { count: 2, ...more }), all)
      const following = next.next && (await explained({ ...more, after: next.next }, where))
      expect(scans(following ?? [])).toEqual([])
      expect(namesOf(next).length).toBeGreaterThan(0)
    },
  )

  test.each(full([...inOrder, ...collected, ...streamed]))(
    'the total of %s is counted by an index',
    async (_, where, __, more) => {
      expect(scans(await explained({ ...more, count: 0, total: true }, where))).toEqual([])
    },
  )

  test.each(full(inOrder))('%s comes in order without sorting', async (_, where, __, more) => {
    const lines = await explained(more, where)
    expect(lines.filter((line) => /USE TEMP B-TREE FOR (ORDER|DISTINCT)/.test(line))).toEqual([])
  })

  test('few patients that many observations refer to are gone through in order', async () => {
    const lines = await explained({ types: ['Patient'] }, has({ op: 'not', of: code('none') }))
    const statements = lines.filter((line) => !line.startsWith('  '))
    expect(statements.at(-1)).toMatch(/FROM resource a\d+ INDEXED BY resource_live/)
    expect(statements.join('\n')).not.toMatch(/SELECT count.* ask\(/)
  })

  test('a second _has is asked once of each patient that the first finds', async () => {
    const lines = await explained({ types: ['Patient'] }, { op: 'and', of: [has(code('c1')), has(code('c2'))] })
    expect(lines.join('\n')).toMatch(
      /FROM \(SELECT DISTINCT a\d+\.rid AS rid FROM \(SELECT a\d+\.rid AS rid FROM posting/,
    )
  })
})

test('a scan of a table would be noticed', () => {
  expect(scans(['SELECT a0.rid FROM posting a0 WHERE a0.rid = ?', '  SCAN a0'])).toHaveLength(1)
  expect(scans(['SELECT 1 FROM entry WHERE data = ?', '  SCAN entry'])).toHaveLength(1)
  expect(scans(['SELECT 1 FROM (SELECT rid FROM posting) a1', '  SCAN a1', '  SCAN j VIRTUAL TABLE INDEX 1:'])).toEqual(
    [],
  )
})
