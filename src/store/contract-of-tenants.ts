/**
 * What every store must do about tenants: what belongs to another is not there, by whatever is asked.
 *
 * https://hl7.org/fhir/R4/security.html
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect } from '@jest/globals'
import { type Expression, everything, type Include, type IndexEntry, nothing, type Sort } from '../search/index.js'
import type { Suite } from './contract.js'
import { CommitRefused, type Store } from './store.js'
import { all, commit, drop, namesOf, put, query, reachOf, reference, token } from './testing.js'

const entriesOf = (i: number): IndexEntry[] => [
  token('code', 'c', 'http://codes'),
  token('code', `c${i}`),
  { kind: 'string', param: 'name', value: 'Smith' },
  { kind: 'uri', param: 'profile', value: 'http://x/1' },
  { kind: 'interval', param: 'date', lo: i * 10, hi: i * 10 + 5 },
  {
    kind: 'quantity',
    param: 'value',
    lo: i,
    hi: i,
    system: 'http://units',
    code: 'g',
    canonical: { code: 'g', lo: i, hi: i },
  },
  { kind: 'position', param: 'near', latitude: 1, longitude: 1 },
  { kind: 'text', param: '_text', words: 'word common' },
  { kind: 'text', param: '_content', words: `word${i} common` },
  {
    kind: 'composite',
    param: 'code-value',
    components: [[token('$0', 'c')], [{ kind: 'quantity', param: '$1', lo: i, hi: i }]],
  },
  reference('subject', 'Patient/1'),
]

const observed = (i: number, text = '') =>
  put(`Observation/${i}`, { content: { text }, entries: entriesOf(i), references: ['Patient/1'] })
const patient = (text: string) =>
  put('Patient/1', { content: { text }, entries: [{ kind: 'string', param: 'name', value: 'Smith' }] })

const code: Expression = { op: 'token', param: 'code', code: 'c' }
const smith: Expression = { op: 'string', param: 'name', how: 'starts', value: 'smi' }
const ofPatient: Expression = { op: 'reference', param: 'subject', target: { type: 'Patient', id: '1' } }

/** One of each kind; all of them find something. */
const searches: Record<string, Expression> = {
  'all of a type': everything,
  'a code': code,
  'a code with its system': { ...code, system: 'http://codes' },
  'all codes of a system': { op: 'token', param: 'code', system: 'http://codes' },
  'not a code': { op: 'not', of: { op: 'token', param: 'code', code: 'c1' } },
  'a name': smith,
  'a part of a name': { op: 'string', param: 'name', how: 'contains', value: 'mit' },
  'a uri': { op: 'uri', param: 'profile', how: 'below', value: 'http://x' },
  'a date': { op: 'interval', param: 'date', prefix: 'ge', lo: 0, hi: 0 },
  'a quantity': {
    op: 'quantity',
    param: 'value',
    prefix: 'lt',
    lo: 100,
    hi: 100,
    unit: { kind: 'canonical', code: 'g' },
  },
  'a coded quantity': {
    op: 'quantity',
    param: 'value',
    prefix: 'lt',
    lo: 100,
    hi: 100,
    unit: { kind: 'coded', system: 'http://units', code: 'g' },
  },
  'a place': { op: 'near', param: 'near', latitude: 1, longitude: 1, km: 5 },
  'a word of the narrative': { op: 'text', param: '_text', words: ['common'] },
  'the beginning of a word': { op: 'text', param: '_content', words: ['wo*', 'common'] },
  'a composite': {
    op: 'composite',
    param: 'code-value',
    of: [
      { op: 'token', param: '$0', code: 'c' },
      { op: 'quantity', param: '$1', prefix: 'lt', lo: 100, hi: 100, unit: { kind: 'any' } },
    ],
  },
  'a reference': ofPatient,
  'an id': { op: 'ids', ids: ['1', '2', '4'] },
  'what has no value': { op: 'missing', param: 'status' },
  'an update': { op: 'interval', param: '_lastUpdated', prefix: 'ge', lo: 1, hi: 1 },
  'a chain': { op: 'chain', param: 'subject', types: ['Patient', 'Group'], of: smith },
  'a chain and back': {
    op: 'chain',
    param: 'subject',
    types: ['Patient'],
    of: { op: 'has', type: 'Observation', param: 'subject', of: code },
  },
}
const has: Expression = { op: 'has', type: 'Observation', param: 'subject', of: code }
const sorts: Sort[] = ['_id', '_lastUpdated', 'code', 'name', 'date', 'value', 'subject'].map((param, i) => ({
  param,
  descending: i % 2 === 1,
}))
const includes: Include[] = [
  { reverse: false, type: 'Observation', param: 'subject', iterate: false },
  { reverse: true, type: '*', param: '*', iterate: true },
]

export function contractOfTenants({ engine, given, check }: Suite): void {
  const two = async () => {
    const home = await given()
    return { home, a: home.store.database.tenant('a'), b: home.store.database.tenant('b') }
  }
  const fill = (store: Store, from: number, to: number, text: string) =>
    store.commit({
      changes: [patient(text), ...Array.from({ length: to - from }, (_, i) => observed(from + i, text))],
      integrity: true,
    })
  /** Everything a caller can learn by searching. */
  const answers = async (store: Store) => {
    const found: Record<string, unknown> = {}
    for (const [what, where] of Object.entries(searches)) {
      const page = await store.search(query(['Observation'], where, { total: true }), all)
      found[what] = [namesOf(page), page.total]
    }
    for (const sort of sorts)
      found[`by ${sort.param}`] = namesOf(await store.search(query(['Observation'], code, { sort: [sort] }), all))
    found['_has'] = namesOf(await store.search(query(['Patient'], has, { include: includes }), all))
    found['all types'] = namesOf(await store.search(query(undefined, everything, { include: includes }), all))
    found['nothing'] = namesOf(await store.search(query(undefined, nothing), all))
    return found
  }

  describe(`${engine.name}: tenants`, () => {
    check('the same ids hold what each tenant wrote there', async () => {
      const { a, b } = await two()
      await commit(a, put('Patient/1', { content: { text: 'of a' } }))
      expect(await b.read({ type: 'Patient', id: '1' }, all)).toBeUndefined()
      await commit(b, put('Patient/1', { content: { text: 'of b' } }))
      await commit(b, put('Patient/1', { content: { text: 'of b, again' } }))
      expect((await a.read({ type: 'Patient', id: '1' }, all))?.body.toString()).toContain('"of a"')
      expect(await a.read({ type: 'Patient', id: '1' }, all, 2)).toBeUndefined()
      expect((await b.read({ type: 'Patient', id: '1' }, all, 1))?.body.toString()).toContain('"of b"')
      await commit(a, drop('Patient/1'))
      expect(await b.read({ type: 'Patient', id: '1' }, all)).toMatchObject({ version: 2, deleted: false })
    })
    check('a tenant nobody has written to is empty', async () => {
      const { a, home } = await two()
      await fill(a, 1, 4, 'of a')
      const empty = home.store.database.tenant('Empty-1.x')
      for (const [names, total] of Object.values(await answers(empty)) as [unknown, unknown][])
        expect([names, total]).toEqual(total === undefined ? [undefined, undefined] : [[], 0])
      expect(await empty.changes(0, 10)).toEqual([])
      expect(await empty.maintenance.count()).toEqual({})
      expect(await empty.history({ count: 10, total: true }, all)).toEqual({ matches: [], total: 0 })
      expect(await empty.maintenance.reindex('Observation', 0, 10, () => [])).toBeUndefined()
      expect(await empty.maintenance.check(() => [])).toEqual([])
    })
    check('names that differ in case only are two tenants', async () => {
      const { home } = await two()
      const { database } = home.store
      await commit(database.tenant('Clinic'), put('Patient/1'))
      expect(await database.tenant('clinic').read({ type: 'Patient', id: '1' }, all)).toBeUndefined()
    })
    check('whatever is searched, another tenant changes nothing', async () => {
      const { a, b } = await two()
      await fill(a, 1, 4, 'of a')
      const before = await answers(a)
      for (const [what] of Object.entries(searches)) expect([what, before[what]]).not.toEqual([what, [[], 0]])
      await fill(b, 1, 9, 'of b')
      await commit(b, put('Device/1', { entries: [reference('patient', 'Patient/1')], references: ['Patient/1'] }))
      expect(await answers(a)).toEqual(before)
      const found = await answers(b)
      expect(found['a code']).toEqual([Array.from({ length: 8 }, (_, i) => `Observation/${i + 1}`), 8])
      await commit(b, ...Array.from({ length: 8 }, (_, i) => drop(`Observation/${i + 1}`)))
      expect(await answers(a)).toEqual(before)
    })
    check(
      'a search goes about it the same way, whether another tenant has none or thousands that would be found',
      async () => {
        const { a, b } = await two()
        await fill(a, 1, 4, 'of a')
        const plans = async () => {
          const found: Record<string, string[]> = {}
          for (const [what, where] of Object.entries(searches))
            found[what] = await a.explain(query(['Observation'], where, { count: 20, total: true }), all)
          for (const sort of sorts)
            found[`by ${sort.param}`] = await a.explain(query(['Observation'], code, { sort: [sort] }), all)
          found['_has'] = await a.explain(query(['Patient'], has, { include: includes }), all)
          found['what only another has'] = await a.explain(
            query(['Observation'], { op: 'token', param: 'code', system: 'http://only-b', code: 'x' }),
            all,
          )
          return found
        }
        const before = await plans()
        await b.commit({
          changes: [
            patient('of b'),
            ...Array.from({ length: 5000 }, (_, i) => observed(i)),
            put('Observation/x', { entries: [token('code', 'x', 'http://only-b')] }),
          ],
          integrity: true,
        })
        expect(await plans()).toEqual(before)
      },
    )
    check('conditions, preconditions, references and claims see their own tenant', async () => {
      const { a, b } = await two()
      const claims = [{ key: 'k', value: 'a' }]
      await a.commit({ changes: [patient('of a'), observed(1)], claims, integrity: true })
      const condition = { query: query(['Observation'], code), reach: all, ids: [] }
      await expect(commit(b, observed(1))).rejects.toThrow(CommitRefused)
      await b.commit({ changes: [patient('of b')], claims: [{ key: 'k', value: 'b' }], integrity: true })
      await b.commit({ changes: [observed(1)], conditions: [condition], integrity: true })
      await expect(commit(b, put('Patient/2', { expect: { version: 1 } }))).rejects.toThrow(CommitRefused)
      await commit(a, drop('Observation/1'))
      await commit(a, drop('Patient/1'))
      await expect(commit(b, drop('Patient/1'))).rejects.toThrow(CommitRefused)
      await expect(
        a.commit({ changes: [], claims: [{ key: 'k', value: 'c' }], integrity: true }),
      ).rejects.toMatchObject({
        reason: { kind: 'claim', value: 'a' },
      })
    })
    check('history and changes tell of one tenant', async () => {
      const { a, b } = await two()
      for (let i = 1; i <= 3; i++) {
        await commit(a, put(`Patient/${i}`, { content: { text: 'a' } }))
        await commit(b, put('Patient/1', { content: { text: `${i}` } }), put(`Device/${i}`))
      }
      const versions = async (store: Store, narrowed: { type?: string; id?: string }) => {
        const page = await store.history({ ...narrowed, count: 100, total: true }, all)
        return [page.matches.map(({ stored: { type, id, version } }) => `${type}/${id}/${version}`).sort(), page.total]
      }
      expect(await versions(a, {})).toEqual([['Patient/1/1', 'Patient/2/1', 'Patient/3/1'], 3])
      expect(await versions(a, { type: 'Patient' })).toEqual([['Patient/1/1', 'Patient/2/1', 'Patient/3/1'], 3])
      expect(await versions(a, { type: 'Patient', id: '1' })).toEqual([['Patient/1/1'], 1])
      expect(await versions(a, { type: 'Device' })).toEqual([[], 0])
      expect(await versions(b, { type: 'Patient', id: '1' })).toEqual([
        ['Patient/1/1', 'Patient/1/2', 'Patient/1/3'],
        3,
      ])
      expect((await versions(b, {}))[1]).toBe(6)
      const seen = await a.changes(0, 10)
      expect(seen.map(({ stored: { id, body } }) => [id, body.toString().includes('"a"')])).toEqual([
        ['1', true],
        ['2', true],
        ['3', true],
      ])
      expect(await a.changes(seen[0]!.sequence, 1)).toEqual(seen.slice(1, 2))
      expect(await a.changes(seen[2]!.sequence, 10)).toEqual([])
      const others = await b.changes(0, 100)
      expect(others).toHaveLength(6)
      expect(await b.changes(others[3]!.sequence, 100)).toEqual(others.slice(4))
    })
    check('a page goes on in its own tenant', async () => {
      const { a, b } = await two()
      await fill(a, 1, 8, 'of a')
      await fill(b, 1, 8, 'of b')
      for (const sort of [[], [{ param: 'date', descending: true }], [{ param: '_id', descending: false }]]) {
        const first = await a.search(query(['Observation'], everything, { sort, count: 3 }), all)
        const rest = await a.search(query(['Observation'], everything, { sort, after: first.next! }), all)
        expect([...namesOf(first), ...namesOf(rest)].sort()).toEqual(
          Array.from({ length: 7 }, (_, i) => `Observation/${i + 1}`),
        )
      }
    })
    check('a reach that follows references stays in its tenant', async () => {
      const { a, b } = await two()
      const reach = reachOf({
        Patient: { op: 'has', type: 'CareTeam', param: 'patient', of: { op: 'token', param: 'member', code: 'bob' } },
      })
      const team = put('CareTeam/1', {
        entries: [token('member', 'bob'), reference('patient', 'Patient/1')],
        references: ['Patient/1'],
      })
      await commit(a, put('Patient/1'))
      await commit(b, put('Patient/1'), team)
      expect(await a.read({ type: 'Patient', id: '1' }, reach)).toBeUndefined()
      expect(await b.read({ type: 'Patient', id: '1' }, reach)).toBeDefined()
      expect(namesOf(await a.search(query(['Patient']), reach))).toEqual([])
    })
    check('secrets, counts, checks and reindexing are of one tenant', async () => {
      const { a, b, home } = await two()
      const { database } = home.store
      await a.secrets.put('key', 'of a')
      await database.secrets.put('key', 'of the site')
      expect([await a.secrets.get('key'), await b.secrets.get('key'), await database.secrets.get('key')]).toEqual([
        'of a',
        undefined,
        'of the site',
      ])
      expect(await b.secrets.take('key')).toBeUndefined()
      await b.secrets.drop('key')
      expect(await b.secrets.swap('key', undefined, 'of b')).toBe(true)
      expect(await a.secrets.list('', 10)).toEqual([['key', 'of a']])
      expect(await database.secrets.list('k', 10)).toEqual([['key', 'of the site']])
      await commit(a, put('Patient/1', { entries: [token('code', 'x')] }))
      await commit(b, put('Patient/1', { entries: [token('code', 'y')] }), put('Device/1'))
      expect([await a.maintenance.count(), await b.maintenance.count()]).toEqual([
        { Patient: 1 },
        { Patient: 1, Device: 1 },
      ])
      expect(await a.maintenance.check(() => [token('code', 'x')])).toEqual([])
      expect(await b.maintenance.check(() => [token('code', 'x')])).not.toEqual([])
      await a.maintenance.reindex('Patient', 0, 10, () => [token('code', 'z')])
      expect(namesOf(await b.search(query(['Patient'], { op: 'token', param: 'code', code: 'y' }), all))).toEqual([
        'Patient/1',
      ])
    })
    check('all tenants come back when the store is opened again, and from a backup', async () => {
      const { a, b, home } = await two()
      await fill(a, 1, 3, 'of a')
      await fill(b, 1, 6, 'of b')
      await home.store.database.secrets.put('site', 'x')
      const folder = mkdtempSync(join(tmpdir(), 'hospitallink-'))
      try {
        await home.store.backup(join(folder, 'copy.db'))
        const counts = async ({ database }: typeof home.store) => [
          await database.tenant('a').maintenance.count(),
          await database.tenant('b').maintenance.count(),
          await database.secrets.get('site'),
        ]
        const expected = [{ Patient: 1, Observation: 2 }, { Patient: 1, Observation: 5 }, 'x']
        expect(await counts(await home.reopen())).toEqual(expected)
        const copy = await engine.restore(join(folder, 'copy.db'))
        expect(await counts(copy)).toEqual(expected)
        await copy.close()
      } finally {
        rmSync(folder, { recursive: true })
      }
    })
  })

  describe(`${engine.name}: secrets by prefix and by swap`, () => {
    check('keys are listed by their beginning, in code point order', async () => {
      const { store } = await given()
      const keys = [
        'a',
        'a%',
        'a_',
        'a/',
        'a/1',
        'a/2',
        'ab',
        'A',
        'a\u{10ffff}',
        'a\u{10ffff}b',
        'a\uffff',
        'a😀',
        '.*',
        '[a',
      ]
      for (const key of keys) await store.secrets.put(key, `of ${key}`)
      const listed = async (...of: Parameters<typeof store.secrets.list>) =>
        (await store.secrets.list(...of)).map(([key, value]) => {
          expect(value).toBe(`of ${key}`)
          return key
        })
      const byCodePoint = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b))
      for (const prefix of ['', 'a', 'a%', 'a_', 'a/', 'A', 'a\u{10ffff}', 'a\uffff', 'a😀', '.', '.*', '[', 'b'])
        expect([prefix, await listed(prefix, 100)]).toEqual([
          prefix,
          keys.filter((key) => key.startsWith(prefix)).sort(byCodePoint),
        ])
      expect(await listed('a/', 1)).toEqual(['a/'])
      expect(await listed('a/', 10, 'a/')).toEqual(['a/1', 'a/2'])
      expect(await listed('a/', 1, 'a/1')).toEqual(['a/2'])
      expect(await listed('a/', 10, 'b')).toEqual([])
      expect(await listed('a/', 10, 'A')).toEqual(['a/', 'a/1', 'a/2'])
    })
    check('what is over is neither listed nor swapped for what it was', async () => {
      let now = 1000
      const { store } = await given({ clock: () => now })
      await store.secrets.put('s/1', 'old', 2000)
      await store.secrets.put('s/2', 'stays')
      expect(await store.secrets.list('s/', 10)).toHaveLength(2)
      now = 2000
      expect(await store.secrets.list('s/', 10)).toEqual([['s/2', 'stays']])
      expect(await store.secrets.swap('s/1', 'old', 'new')).toBe(false)
      expect(await store.secrets.swap('s/1', undefined, 'new', 3000)).toBe(true)
      expect(await store.secrets.get('s/1')).toBe('new')
      now = 3000
      expect(await store.secrets.get('s/1')).toBeUndefined()
    })
    check('a value is swapped for another only if it is what it was taken for', async () => {
      const { store } = await given()
      expect(await store.secrets.swap('k', 'x', 'y')).toBe(false)
      expect(await store.secrets.get('k')).toBeUndefined()
      expect(await store.secrets.swap('k', undefined, '')).toBe(true)
      expect(await store.secrets.swap('k', undefined, 'y')).toBe(false)
      expect(await store.secrets.swap('k', '', 'y')).toBe(true)
      expect(await store.secrets.swap('k', 'Y', 'z')).toBe(false)
      expect(await store.secrets.get('k')).toBe('y')
    })
    check('of 16 who swap at once one wins', async () => {
      const { store } = await given()
      const attempt = (was: string | undefined) =>
        Promise.all(Array.from({ length: 16 }, (_, i) => store.secrets.swap('k', was, `${was ?? ''}${i}`)))
      expect((await attempt(undefined)).filter(Boolean)).toHaveLength(1)
      const was = await store.secrets.get('k')
      const outcomes = await attempt(was)
      expect(outcomes.filter(Boolean)).toHaveLength(1)
      expect(await store.secrets.get('k')).toBe(`${was}${outcomes.indexOf(true)}`)
    })
  })
}
