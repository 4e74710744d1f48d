/**
 * The embedded store when things go wrong: a statement fails, the process is killed.
 *
 * https://www.sqlite.org/atomiccommit.html
 *
 * Nothing partial, nothing acknowledged lost, indexes equal to a rebuild, and the next commit works.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, describe, expect, test } from '@jest/globals'
import type { IndexEntry } from '../search/index.js'
import { Verifier } from './audit-chain.js'
import { type Disk, disk } from './sqlite/audit-file.js'
import { type Connect, connect } from './sqlite/connection.js'
import { openSqlite } from './sqlite/index.js'
import type { AuditEntry, Commit, Store, Stored } from './store.js'
import { type Alone, all, alone, drop, namesOf, put, query, reference, token } from './testing.js'

const folders: string[] = []
const newFolder = () => {
  const folder = mkdtempSync(join(tmpdir(), 'hospitallink-'))
  folders.push(folder)
  return folder
}
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

/** A connection whose writer fails at the n-th statement from now on. */
function failing() {
  let left = Number.POSITIVE_INFINITY
  const step = () => {
    if (--left === 0) throw new Error('the disk is full')
  }
  const failingConnect: Connect = (path, role) => {
    const db = connect(path, role)
    if (role === 'reader') return db
    const prepare = db.prepare.bind(db)
    const counted: typeof db.prepare = (text) => {
      const statement = prepare(text)
      for (const name of ['run', 'get', 'all'] as const) {
        const call = statement[name].bind(statement)
        Object.assign(statement, {
          [name]: (...values: unknown[]) => {
            step()
            return call(...values)
          },
        })
      }
      return statement as never
    }
    db.prepare = counted
    return db
  }
  return {
    connect: failingConnect,
    failAt: (n: number) => {
      left = n
    },
    works: () => {
      left = Number.POSITIVE_INFINITY
    },
  }
}

/** The entries of a resource follow from its text, so that a check can rebuild them. */
const entriesOf = (text: string): IndexEntry[] => [
  token('code', text, 'http://codes'),
  token('status', text),
  { kind: 'string', param: 'name', value: text },
  { kind: 'interval', param: 'date', lo: text.length, hi: text.length },
  { kind: 'quantity', param: 'value', lo: 1, hi: 2, code: 'g', canonical: { code: 'g', lo: 1, hi: 2 } },
  { kind: 'text', param: '_content', words: text },
  { kind: 'position', param: 'near', latitude: 1, longitude: 2 },
  {
    kind: 'composite',
    param: 'code-value',
    components: [[token('$0', text)], [{ kind: 'quantity', param: '$1', lo: 1, hi: 2 }]],
  },
  reference('patient', 'Patient/1'),
]
const written = (name: string, text: string) =>
  put(name, { content: { text }, entries: entriesOf(text), references: ['Patient/1'] })
const rebuilt = ({ type, body }: Stored) =>
  type === 'Patient' ? [] : entriesOf((JSON.parse(body.toString()) as { text: string }).text)

const condition = (ids: string[]): Commit['conditions'] => [
  { query: query(['Observation'], { op: 'token', param: 'code', code: 'new' }), reach: all, ids },
]

describe('the n-th statement fails', () => {
  const stateOf = async (store: Store) => [
    namesOf(await store.search(query(undefined), all)),
    (await store.changes(0, 1000)).map(({ sequence, stored: { type, id, version } }) => [sequence, type, id, version]),
    await store.maintenance.count(),
  ]

  test.each<[string, () => Commit]>([
    ['create', () => ({ changes: [written('Observation/new', 'new')], integrity: true })],
    [
      'conditional create with a claim',
      () => ({
        changes: [written('Observation/new', 'new')],
        conditions: condition([]),
        claims: [{ key: 'k', value: 'v' }],
        integrity: true,
      }),
    ],
    ['update', () => ({ changes: [written('Observation/old', 'other')], integrity: true })],
    ['delete', () => ({ changes: [drop('Observation/old')], integrity: true })],
    [
      'transaction of 50',
      () => ({
        changes: [
          ...Array.from({ length: 46 }, (_, i) => written(`Observation/${i}`, `text ${i % 5}`)),
          written('Encounter/1', 'a type nobody heard of'),
          written('Observation/old', 'other'),
          drop('Observation/older'),
          put('Patient/2'),
        ],
        integrity: true,
      }),
    ],
    [
      'transaction of 450, prepared in portions',
      () => ({
        changes: Array.from({ length: 450 }, (_, i) => written(`Observation/${i}`, `text ${i % 50}`)),
        conditions: condition([]),
        integrity: true,
      }),
    ],
  ])(
    '%s: nothing partial is left, and the next attempt works',
    async (_, commitOf) => {
      const faults = failing()
      const store = await alone(
        openSqlite(join(newFolder(), 'test.db'), { connect: faults.connect, clock: () => 1000 }),
      )
      const changes = [put('Patient/1'), written('Observation/old', 'old'), written('Observation/older', 'older')]
      await store.commit({ changes, integrity: true })
      const before = await stateOf(store)
      const neighbour = (n: number): Commit => ({ changes: [drop(`Device/${n}`)], integrity: true })
      let failures = 0
      // Of thousands of statements every so-manieth fails, and the first and second of every kind among the first hundred.
      const step = commitOf().changes.length > 200 ? 41 : 1
      for (let n = 1; ; n += n < 100 ? 1 : step) {
        faults.failAt(n)
        const outcomes = await Promise.allSettled([store.commit(commitOf()), store.commit(neighbour(n))])
        faults.works()
        if (outcomes[0].status === 'fulfilled') break
        failures++
        expect(await stateOf(store)).toEqual(before)
        if (n % 25 < 3 && n < 800) expect(await store.maintenance.check(rebuilt)).toEqual([])
      }
      expect(failures).toBeGreaterThan(5)
      expect(await store.maintenance.check(rebuilt)).toEqual([])
      expect(await stateOf(store)).not.toEqual(before)
      await store.commit({ changes: [written('Observation/after', 'after')], integrity: true })
      // The last fault may have met the neighbour; a write that succeeds ends what is said of it.
      expect(await store.health()).toBeUndefined()
      expect(await store.maintenance.check(rebuilt)).toEqual([])
      await store.close()
    },
    60_000,
  )

  test('a store whose disk is full says so until it can write again', async () => {
    const faults = failing()
    const store = await alone(openSqlite(join(newFolder(), 'test.db'), { connect: faults.connect }))
    faults.failAt(1)
    await expect(store.commit({ changes: [put('Patient/1')], integrity: true })).rejects.toThrow('the disk is full')
    expect(await store.health()).toContain('the disk is full')
    faults.works()
    await store.commit({ changes: [put('Patient/1')], integrity: true })
    expect(await store.health()).toBeUndefined()
    await store.close()
  })
})

describe('the n-th statement fails while accesses are audited', () => {
  const entry = (id: string): AuditEntry => ({ id, at: 1000, keys: ['k'], text: `{"id":"${id}"}` })
  const commitOf = (n: number): Commit => ({
    changes: [written('Observation/new', `text ${n}`)],
    audit: ([made]) => [entry(`${made!.outcome}-${n}`)],
    integrity: true,
  })

  /** Every acknowledged append is in the chain, an entry of a commit exactly if the commit is, and all is as chained. */
  async function attempts(fail: (n: number) => void, open: () => Promise<Alone>, works: () => void) {
    const store = await open()
    await store.commit({ changes: [put('Patient/1'), written('Observation/new', 'old')], integrity: true })
    const acknowledged: string[] = []
    const made: string[] = []
    let failures = 0
    for (let n = 1; n <= 60; n++) {
      fail(n)
      const outcomes = await Promise.allSettled([
        store.audit.append([entry(`a${n}`), entry(`b${n}`)]),
        store.commit(commitOf(n)),
        store.audit.append([entry(`c${n}`)]),
      ])
      works()
      const done = outcomes.map(({ status }) => status === 'fulfilled')
      if (done[0]) acknowledged.push(`a${n}`, `b${n}`)
      if (done[1]) made.push(`updated-${n}`)
      if (done[2]) acknowledged.push(`c${n}`)
      if (done.includes(false)) failures++
    }
    const records = await store.audit.chain(0, 10_000)
    const ids = records.map(({ id }) => id)
    expect(ids).toEqual(expect.arrayContaining(acknowledged))
    expect(ids.filter((id) => id.startsWith('updated'))).toEqual(made)
    expect(new Set(ids).size).toBe(ids.length)
    expect(await store.maintenance.check(rebuilt)).toEqual([])
    const head = await store.audit.head()
    await store.close()
    const again = await open()
    expect(await again.audit.head()).toEqual(head)
    await again.close()
    return { failures }
  }

  test('of the store', async () => {
    const faults = failing()
    const path = join(newFolder(), 'test.db')
    const open = () => alone(openSqlite(path, { connect: faults.connect, clock: () => 1000 }))
    const { failures } = await attempts(faults.failAt, open, faults.works)
    expect(failures).toBeGreaterThan(10)
  })

  test('and so does every second write of the file of appends', async () => {
    const faults = failing()
    const path = join(newFolder(), 'test.db')
    let writes = 0
    const failingDisk: Disk = {
      write: (...of) => (++writes % 2 ? Promise.reject(new Error('no space is left')) : disk.write(...of)),
    }
    const open = () => alone(openSqlite(path, { connect: faults.connect, disk: failingDisk, clock: () => 1000 }))
    const { failures } = await attempts(faults.failAt, open, faults.works)
    expect(failures).toBeGreaterThan(10)
    expect(writes).toBeGreaterThan(20)
  })

  test('an append that nothing can hold is refused, and the next is taken', async () => {
    const faults = failing()
    let full = true
    const failingDisk: Disk = {
      write: (...of) => (full ? Promise.reject(new Error('no space is left')) : disk.write(...of)),
    }
    const path = join(newFolder(), 'test.db')
    const store = await alone(openSqlite(path, { connect: faults.connect, disk: failingDisk }))
    faults.failAt(1)
    await expect(store.audit.append([entry('lost')])).rejects.toThrow('the disk is full')
    faults.works()
    full = false
    await store.audit.append([entry('kept')])
    expect((await store.audit.chain(0, 10)).map(({ id }) => id)).toEqual(['kept'])
    expect(await store.maintenance.check(rebuilt)).toEqual([])
    await store.close()
  })
})

describe('the process is killed', () => {
  const module = (path: string) => JSON.stringify(pathToFileURL(join(process.cwd(), 'src/store', path)).href)

  /** Writes until it is killed: each commit makes two resources and updates a third; says what was acknowledged. */
  const program = (path: string, round: number) => `
    import { writeSync } from 'node:fs'
    const { openSqlite } = await import(${module('index.ts')})
    const { put, token } = await import(${module('testing.ts')})
    const store = (await openSqlite(${JSON.stringify(path)})).tenant("default")
    const one = async (worker, i) => {
      const name = '${round}-' + worker + '-' + i
      const changes = ['Observation/a' + name, 'Observation/b' + name, 'Patient/w' + worker].map((each) =>
        put(each, { content: { text: name, padding: 'x'.repeat(i % 7 * 1000) }, entries: [token('code', name)] }))
      const entry = (id) => ({ id, at: Date.now(), keys: ['worker/' + worker], text: JSON.stringify({ id }) })
      await store.commit({ changes, audit: (made) => made.slice(0, 1).map(({ stored }) => entry(stored.type + '/' + stored.id)), integrity: true })
      await Promise.all(['r', 's'].map((each) => store.audit.append([entry(each + name)])))
      writeSync(1, name + '\\n')
    }
    await Promise.all(Array.from({ length: 6 }, async (_, worker) => { for (let i = 0; ; i++) await one(worker, i) }))`

  test('every acknowledged write is there, nothing is half there, and the store goes on', async () => {
    const path = join(newFolder(), 'test.db')
    const acknowledged: string[] = []
    for (let round = 0; round < 4; round++) {
      const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program(path, round)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      let text = ''
      await new Promise<void>((resolve) => {
        child.stdout.on('data', (data: Buffer) => {
          text += data.toString()
          if (text.length > 400 * (round + 1)) child.kill('SIGKILL')
        })
        child.on('close', () => resolve())
      })
      acknowledged.push(...text.split('\n').slice(0, -1))

      const store = await alone(openSqlite(path))
      const found = namesOf(await store.search(query(['Observation'], undefined, { count: 100_000 }), all))
      const names = new Set(found)
      for (const name of acknowledged) {
        expect(names.has(`Observation/a${name}`)).toBe(true)
        expect(names.has(`Observation/b${name}`)).toBe(true)
      }
      for (const name of found)
        expect(names.has(name.replace('/a', '/b')) && names.has(name.replace('/b', '/a'))).toBe(true)
      const newest = acknowledged.at(-1)!
      expect(
        namesOf(await store.search(query(['Observation'], { op: 'token', param: 'code', code: newest }), all)),
      ).toEqual([`Observation/a${newest}`, `Observation/b${newest}`])
      const verifier = new Verifier()
      const chain = await store.audit.chain(0, 1_000_000)
      for (const record of chain) verifier.add(record)
      expect(verifier.end()).toEqual([])
      const ids = new Set(chain.map(({ id }) => id))
      expect(ids.size).toBe(chain.length)
      // Each access that was answered has its entry, and each write that is there its own.
      for (const name of acknowledged) expect(ids.has(`r${name}`) && ids.has(`s${name}`)).toBe(true)
      const writes = [...ids].filter((id) => id.startsWith('Observation/'))
      expect(writes.sort()).toEqual(found.filter((name) => name.startsWith('Observation/a')).sort())
      const rebuild = ({ body }: Stored) => [token('code', (JSON.parse(body.toString()) as { text: string }).text)]
      expect(await store.maintenance.check(rebuild)).toEqual([])
      await store.close()
    }
    expect(acknowledged.length).toBeGreaterThan(100)
  }, 120_000)
})

describe('the file', () => {
  test('is refused to a second opener while it is in use, with a sentence that says what to do', async () => {
    const path = join(newFolder(), 'test.db')
    const store = await alone(openSqlite(path))
    await expect(openSqlite(path)).rejects.toThrow(/in use by another process: stop it first/)
    await store.commit({ changes: [put('Patient/1')], integrity: true })
    await store.close()
    const again = await alone(openSqlite(path))
    expect(await again.maintenance.count()).toEqual({ Patient: 1 })
    await again.close()
  })

  test('of a newer version, or of another program, is refused and left as it is', async () => {
    const folder = newFolder()
    const newer = connect(join(folder, 'newer.db'), 'writer')
    newer.pragma('user_version = 999')
    newer.close()
    await expect(openSqlite(join(folder, 'newer.db'))).rejects.toThrow(/written by a newer version/)
    const other = connect(join(folder, 'other.db'), 'writer')
    other.exec('CREATE TABLE theirs (a)')
    other.close()
    await expect(openSqlite(join(folder, 'other.db'))).rejects.toThrow(/database of another program/)
  })
})
