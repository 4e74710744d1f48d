/**
 * Several server processes on one replica set, without sticky sessions.
 *
 * https://www.mongodb.com/docs/manual/core/transactions-production-consideration/
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { MongoClient } from 'mongodb'
import type { Expression } from '../../search/index.js'
import { type Commit, CommitRefused, type Store } from '../store.js'
import { type Alone, all, alone, drop, namesOf, put, query, reference, token } from '../testing.js'
import { openMongo } from './index.js'
import { databaseOf, dropDatabase, type Mongod, startMongod } from './testing.js'

let mongod: Mongod
let url: string
let one: Alone
let other: Alone

beforeAll(async () => {
  mongod = await startMongod()
  url = databaseOf(mongod.url, 'processes')
  one = await alone(openMongo(url))
  other = await alone(openMongo(url))
})
afterAll(async () => {
  await one.close()
  await other.close()
  // What a killed process left open holds up a real server for a minute at most; the stand-in goes as a whole.
  if (!mongod.standIn) await dropDatabase(url)
  await mongod.close()
}, 90_000)

const code = (value: string): Expression => ({ op: 'token', param: 'code', code: value })
const coded = (name: string, value: string) => put(name, { entries: [token('code', value)] })
const whole = (...changes: Commit['changes']): Commit => ({ changes, integrity: true })

/** What was stored, and undefined for what was refused. */
const refusedOr = <T>(task: Promise<T>): Promise<T | undefined> =>
  task.catch((error: unknown) => {
    if (!(error instanceof CommitRefused)) throw error
    return undefined
  })

async function sequences(store: Store): Promise<number[]> {
  const found: number[] = []
  for (;;) {
    const more = await store.changes(found.at(-1) ?? 0, 500)
    if (!more.length) return found
    found.push(...more.map(({ sequence }) => sequence))
  }
}

/** Waits until nothing is left to count, whoever counts. */
async function counted(store: Store, versions: number): Promise<number[]> {
  for (let waited = 0; ; waited += 100) {
    const found = await sequences(store)
    if (found.length >= versions || waited > 25_000) return found
    await pause(100)
  }
}

describe('two processes', () => {
  test('a write through one is found through the other at once, also of a type that is new', async () => {
    for (const [i, type] of ['Patient', 'Observation', 'Device', 'Location'].entries()) {
      const [writer, reader] = i % 2 ? [one, other] : [other, one]
      await writer.commit(whole(coded(`${type}/at-once`, 'at-once')))
      expect(namesOf(await reader.search(query([type], code('at-once')), all))).toEqual([`${type}/at-once`])
      expect(namesOf(await reader.search(query(undefined, code('at-once')), all))).toContain(`${type}/at-once`)
      expect((await reader.read({ type, id: 'at-once' }, all))?.version).toBe(1)
    }
  })

  test('of conditional creates through both at once one is made', async () => {
    for (let round = 0; round < 5; round++) {
      const attempt = (store: Store, i: number) =>
        refusedOr(
          store.commit({
            ...whole(coded(`Patient/once-${round}-${i}`, `once-${round}`)),
            conditions: [{ query: query(['Patient'], code(`once-${round}`)), reach: all, ids: [] }],
          }),
        )
      const made = await Promise.all(Array.from({ length: 12 }, (_, i) => attempt(i % 2 ? one : other, i)))
      expect(made.filter((each) => each !== undefined)).toHaveLength(1)
      expect((await one.search(query(['Patient'], code(`once-${round}`), { total: true }), all)).total).toBe(1)
    }
  })

  test('a plain create through one does not slip past a condition decided through the other', async () => {
    for (let round = 0; round < 20; round++) {
      const conditional = refusedOr(
        one.commit({
          ...whole(coded(`Patient/c${round}`, `slip-${round}`)),
          conditions: [{ query: query(['Patient'], code(`slip-${round}`)), reach: all, ids: [] }],
        }),
      )
      const plain = other.commit(whole(coded(`Patient/d${round}`, `slip-${round}`)))
      const [first, second] = await Promise.all([conditional, plain])
      // The plain one came after it by its time and place, or the conditional one saw it and was refused.
      if (first) expect(second[0]!.stored.updated).toBeGreaterThanOrEqual(first[0]!.stored.updated)
    }
  })

  test('what is referred to through one is not deleted through the other', async () => {
    for (let round = 0; round < 30; round++) {
      await one.commit(whole(put(`Patient/r${round}`)))
      const [gone, refers] = await Promise.all([
        refusedOr(one.commit(whole(drop(`Patient/r${round}`)))),
        refusedOr(
          other.commit(
            whole(
              put(`Observation/r${round}`, {
                entries: [reference('subject', `Patient/r${round}`)],
                references: [`Patient/r${round}`],
              }),
            ),
          ),
        ),
      ])
      expect([gone, refers].filter((each) => each !== undefined)).toHaveLength(1)
    }
  })

  test('updates of one version through both: one is made', async () => {
    await one.commit(whole(put('Patient/contested')))
    const update = (store: Store, i: number) =>
      refusedOr(store.commit(whole(put('Patient/contested', { content: { text: `${i}` }, expect: { version: 1 } }))))
    const made = await Promise.all(Array.from({ length: 16 }, (_, i) => update(i % 2 ? one : other, i)))
    expect(made.filter((each) => each !== undefined)).toHaveLength(1)
  })

  test('plain writes through both do not hinder each other, and the sequence has neither gap nor repeat', async () => {
    // One of the two holds the lease, and counts what earlier tests left.
    await Promise.all([sequences(one), sequences(other)])
    const before = (await sequences(one)).length
    await Promise.all(
      Array.from({ length: 200 }, (_, i) =>
        (i % 2 ? one : other).commit(whole(coded(`Observation/plain${i}`, 'plain'))),
      ),
    )
    const found = await counted(one, before + 200)
    expect(found).toEqual(found.map((_, i) => i + 1))
    expect(found).toHaveLength(before + 200)
    expect(await counted(other, before + 200)).toEqual(found)
  })

  test('who watches through one is told of what was written through the other well within a second', async () => {
    const delays: number[] = []
    for (const [i, [writer, reader]] of [
      [one, other],
      [other, one],
      [one, other],
      [other, one],
    ].entries()) {
      const before = (await sequences(reader!)).at(-1) ?? 0
      let told: () => void = () => undefined
      const stop = reader!.watch(() => told())
      // The stream opens, and what is there already is told.
      await pause(300)
      const known = new Promise<void>((resolve, reject) => {
        told = () => void reader!.changes(before, 10).then((found) => found.length && resolve(), reject)
      })
      const began = Date.now()
      await writer!.commit(whole(coded(`Patient/watched${i}`, 'watched')))
      await known
      delays.push(Date.now() - began)
      stop()
    }
    expect(Math.max(...delays)).toBeLessThan(900)
  })

  test('a page, its total and what it includes are of one time, while the other process writes', async () => {
    let writing = true
    const pair = (round: number) => [
      put('Organization/one-time', { content: { text: `${round}` } }),
      put('Patient/one-time', {
        content: { text: `${round}` },
        entries: [token('code', 'one-time'), reference('organization', 'Organization/one-time')],
      }),
      ...(round % 2 ? [coded('Patient/now-and-then', 'one-time')] : []),
    ]
    const writer = (async () => {
      for (let round = 1; writing; round++) {
        await other.commit(whole(...pair(round)))
        if (round % 2) await other.commit(whole(drop('Patient/now-and-then')))
      }
    })()
    await pause(200)
    const included = [{ reverse: false, type: 'Patient', param: 'organization', iterate: false }]
    for (let round = 0; round < 60; round++) {
      const asked = query(['Patient'], code('one-time'), { include: included, total: true })
      const { matches, total } = await one.search(asked, all)
      const texts = matches
        .filter(({ stored }) => stored.id === 'one-time')
        .map(({ stored }) => JSON.parse(stored.body.toString()).text)
      expect(new Set(texts).size).toBe(1)
      expect(texts).toHaveLength(2)
      expect(matches.filter(({ mode }) => mode === 'match')).toHaveLength(total!)
    }
    writing = false
    await writer
  })

  test('a history lists each version once, while the other process writes', async () => {
    let writing = true
    const writer = (async () => {
      for (let round = 1; writing; round++)
        await other.commit(whole(put('Patient/often', { content: { text: `${round}` } })))
    })()
    await pause(100)
    for (let round = 0; round < 40; round++) {
      const { matches, total } = await one.history({ type: 'Patient', id: 'often', count: 10_000, total: true }, all)
      const versions = matches.map(({ stored }) => stored.version)
      expect(versions).toEqual(versions.map((_, i) => versions.length - i))
      expect(total).toBe(versions.length)
    }
    writing = false
    await writer
  })

  test('pages turned through both give each entry once', async () => {
    const names: string[] = []
    let after: Awaited<ReturnType<Store['search']>>['next']
    for (let page = 0; page === 0 || after; page++) {
      const found = await (page % 2 ? one : other).search(
        query(['Observation'], code('plain'), { count: 13, ...(after && { after }) }),
        all,
      )
      names.push(...namesOf(found))
      after = found.next
    }
    expect(names).toHaveLength(200)
    expect(new Set(names).size).toBe(200)
  })
})

describe('processes that die', () => {
  test('what one left open is ended by the others, so that conditions are decided again', async () => {
    const client = new MongoClient(url)
    const session = client.startSession()
    const lanes = client.db().collection<{ _id: string }>('commits')
    const dead = {
      _id: 'default/held/63',
      t: 'default',
      lane: 63,
      holder: 'dead',
      until: new Date(1),
      sessions: [session.id!.id],
    }
    await lanes.insertMany([dead, { _id: 'default/lane/63' }])
    session.startTransaction()
    await lanes.updateOne({ _id: 'default/lane/63' }, { $inc: { n: 1 } }, { session })
    const [made] = await one.commit({
      ...whole(coded('Patient/again', 'again')),
      conditions: [{ query: query(['Patient'], code('again')), reach: all, ids: [] }],
    })
    expect(made?.outcome).toBe('created')
    await expect(session.commitTransaction()).rejects.toThrow()
    await client.close()
  })

  const store = new URL('./index.ts', import.meta.url).href
  const suite = new URL('../testing.ts', import.meta.url).href

  /** Writes pairs until it is stopped, and prints what was acknowledged. */
  const program = (name: string) => `
    import { openMongo } from ${JSON.stringify(store)}
    import { put, token } from ${JSON.stringify(suite)}
    const store = (await openMongo(${JSON.stringify(url)})).tenant("default")
    for (let i = 0; i < 100_000; i++) {
      const changes = ['a', 'b'].map((each) => put(\`Observation/\${each}-${name}-\${i}\`, { entries: [token('code', '${name}')] }))
      await store.commit({ changes, integrity: true })
      console.log(i)
    }`

  const start = (name: string): { child: ChildProcess; acknowledged: () => number; ended: Promise<void> } => {
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program(name)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let text = ''
    child.stdout!.on('data', (data: Buffer) => {
      text += data.toString()
    })
    const ended = new Promise<void>((resolve) => child.on('close', () => resolve()))
    return { child, ended, acknowledged: () => text.split('\n').length - 1 }
  }

  const until = async (condition: () => boolean): Promise<void> => {
    for (let waited = 0; !condition(); waited += 20) {
      if (waited > 20_000) throw new Error('it did not come about in time')
      await pause(20)
    }
  }

  test('SIGKILL loses nothing that was acknowledged, halves nothing, and others go on', async () => {
    const { child, ended, acknowledged } = start('killed')
    await until(() => acknowledged() > 30)
    child.kill('SIGKILL')
    await ended
    await one.commit(whole(coded('Observation/after', 'after')))
    const found = new Set(namesOf(await one.search(query(['Observation'], code('killed'), { count: 100_000 }), all)))
    for (let i = 0; i < acknowledged(); i++) expect(found.has(`Observation/a-killed-${i}`)).toBe(true)
    for (const name of found)
      expect(found.has(name.replace('/a', '/b')) && found.has(name.replace('/b', '/a'))).toBe(true)
    const sequence = await sequences(other)
    expect(sequence).toEqual(sequence.map((_, i) => i + 1))
  })

  test('a holder that is stopped loses the lease, and awakes without counting anything twice', async () => {
    const { child, ended, acknowledged } = start('stopped')
    try {
      await until(() => acknowledged() > 10)
      child.kill('SIGSTOP')
      const before = (await sequences(one)).length
      await one.commit(whole(coded('Observation/meanwhile', 'meanwhile')))
      const meanwhile = await counted(one, before + 1)
      expect(meanwhile.length).toBeGreaterThan(before)
      child.kill('SIGCONT')
      const then = acknowledged()
      await until(() => acknowledged() > then + 10)
    } finally {
      child.kill('SIGKILL')
      await ended
    }
    const { total } = await one.search(query(['Observation'], code('stopped'), { total: true }), all)
    expect(total).toBeGreaterThan(40)
    const sequence = await sequences(one)
    expect(sequence).toEqual(sequence.map((_, i) => i + 1))
  }, 90_000)
})
