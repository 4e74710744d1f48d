/**
 * The store on MongoDB when things go wrong: a command fails, its reply is lost, it never arrives.
 *
 * https://github.com/mongodb/specifications/blob/master/source/transactions/transactions.md
 *
 * Whatever happens to whichever command of a write: acknowledged writes are there, others are there whole or not at all,
 * the sequence has neither gap nor repeat, the indexes equal a rebuild, and the caller hears of it in time.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { MongoClient } from 'mongodb'
import type { IndexEntry } from '../../search/index.js'
import { type Commit, type Store, StoreLimit, StoreUnavailable } from '../store.js'
import { type Alone, all, alone, drop, put, query, reference, token } from '../testing.js'
import { openMongo } from './index.js'
import { databaseOf, dropDatabase, type Mongod, startMongod, startProxy } from './testing.js'

type Proxy = Awaited<ReturnType<typeof startProxy>>

let mongod: Mongod
let proxy: Proxy
let url: string
/** Looks at what is there by a way that never fails. */
let witness: Alone

beforeAll(async () => {
  mongod = await startMongod()
  proxy = await startProxy(mongod.port)
  url = databaseOf(mongod.url, 'fault')
  witness = await alone(openMongo(url))
})
afterAll(async () => {
  await witness.close()
  await dropDatabase(url)
  await proxy.close()
  await mongod.close()
})

let number = 0
const entries = [token('code', 'x')]
const observation = (id: string, ...references: string[]) =>
  put(`Observation/${id}`, {
    entries: [...entries, ...references.map((each) => reference('subject', each))],
    references,
  })

/** Writes of each kind, on resources of their own; `before` is what must be there. */
const kinds: Record<string, (id: string) => { before: Commit; commit: Commit }> = {
  'a create': (id) => ({
    before: { changes: [put(`Patient/${id}`, { entries })], integrity: true },
    commit: { changes: [observation(id, `Patient/${id}`)], integrity: true },
  }),
  'a conditional create': (id) => ({
    before: { changes: [put(`Patient/${id}`, { entries })], integrity: true },
    commit: {
      changes: [put(`Observation/${id}`, { entries: [token('code', 'x'), token('identifier', id)] })],
      conditions: [
        { query: query(['Observation'], { op: 'token', param: 'identifier', code: id }), reach: all, ids: [] },
      ],
      claims: [{ key: `claim-${id}`, value: id }],
      integrity: true,
    },
  }),
  'a transaction of 50 entries': (id) => ({
    before: { changes: [put(`Patient/${id}`, { entries })], integrity: true },
    commit: {
      changes: [
        put(`Patient/${id}`, { entries, content: { text: 'new' } }),
        ...Array.from({ length: 49 }, (_, i) => observation(`${id}-${i}`, `Patient/${id}`)),
      ],
      integrity: true,
    },
  }),
  'a delete': (id) => ({
    before: { changes: [put(`Patient/${id}`, { entries })], integrity: true },
    commit: { changes: [drop(`Patient/${id}`)], integrity: true },
  }),
}

/** Whether what a commit says is there: all of it, or none. */
async function kept({ changes }: Commit): Promise<boolean> {
  const there = await Promise.all(
    changes.map(async (change) => {
      const stored = await witness.read(change, all)
      if (change.op === 'delete') return stored?.deleted === true
      return stored?.body.toString().endsWith(change.serialized.tail) ?? false
    }),
  )
  const [first] = there
  expect(there.every((each) => each === first)).toBe(true)
  return first!
}

/** @returns whether it was acknowledged */
async function attempt(store: Store, commit: Commit): Promise<boolean> {
  try {
    await store.commit(commit)
    return true
  } catch (error) {
    expect(error).toBeInstanceOf(StoreUnavailable)
    return false
  }
}

const timeLimitMs = 4_000

async function soundness(): Promise<void> {
  const sequences: number[] = []
  for (;;) {
    const more = await witness.changes(sequences.at(-1) ?? 0, 1000)
    if (!more.length) break
    sequences.push(...more.map(({ sequence }) => sequence))
  }
  expect(sequences).toEqual(sequences.map((_, i) => i + 1))
  const rebuilt = await witness.maintenance.check(({ type, body }) => {
    if (type === 'Patient') return entries
    const { id } = JSON.parse(body.toString()) as { id: string }
    return given.get(id)!
  })
  expect(rebuilt).toEqual([])
}

/** What was indexed of each Observation, to compare with. */
const given = new Map<string, IndexEntry[]>()

function remembered(commit: Commit): Commit {
  for (const change of commit.changes)
    if (change.op === 'put' && change.type === 'Observation') given.set(change.id, change.entries)
  return commit
}

describe.each(Object.entries(kinds))('%s', (_, kind) => {
  test.each(['cutReply', 'cutRequest'] as const)('survives %s of every command', async (fate) => {
    const store = await alone(openMongo(databaseOf(proxy.url, 'fault'), { timeLimitMs }))
    try {
      let reached = true
      let walked = 0
      for (let n = 1; reached; n++) {
        const { before, commit } = kind(`${number++}`)
        await store.commit(before)
        await store.changes(0, 1)
        proxy.reset()
        proxy.plan(n, fate)
        const acknowledged = await attempt(store, remembered(commit))
        reached = proxy.commands.length >= n
        if (reached) walked++
        proxy.reset()
        if (acknowledged) expect(await kept(commit)).toBe(true)
        else await kept(commit)
        expect(n).toBeLessThan(60)
      }
      expect(walked).toBeGreaterThanOrEqual(4)
    } finally {
      await store.close()
    }
    await soundness()
  })

  test.each([
    ['a step down', { errorCode: 10107, errorLabels: ['TransientTransactionError'] }],
    ['a write conflict', { errorCode: 112, errorLabels: ['TransientTransactionError'] }],
    ['an interruption', { errorCode: 11601 }],
    ['a full disk', { errorCode: 14031 }],
    ['a closed connection', { closeConnection: true }],
    ['a write concern that failed', { writeConcernError: { code: 64, errmsg: 'waiting for replication timed out' } }],
  ])('survives %s at every command', async (_, data) => {
    const store = await alone(openMongo(url, { timeLimitMs }))
    const admin = new MongoClient(mongod.url)
    const fail = (mode: unknown, failCommands: string[] = []) =>
      admin.db('admin').command({
        configureFailPoint: 'failCommand',
        mode,
        ...(mode !== 'off' && { data: { failCommands, ...data } }),
      })
    try {
      for (const command of ['aggregate', 'find', 'insert', 'update', 'commitTransaction']) {
        const { before, commit } = kind(`${number++}`)
        await store.commit(before)
        await store.changes(0, 1)
        await fail({ times: 1 }, [command])
        const acknowledged = await attempt(store, remembered(commit))
        await fail('off')
        if (acknowledged) expect(await kept(commit)).toBe(true)
        else await kept(commit)
      }
    } finally {
      await admin.close()
      await store.close()
    }
    await soundness()
  })
})

test('a resource that no document holds is refused as too large, and its neighbours stand', async () => {
  const large = (id: string, bytes: number) => put(`Binary/${id}`, { content: { data: 'x'.repeat(bytes) } })
  const [fits, tooLarge, neighbour] = await Promise.allSettled([
    witness.commit({ changes: [large('9', 8_500_000)], integrity: true }),
    witness.commit({ changes: [large('17', 17_000_000)], integrity: true }),
    witness.commit({ changes: [put('Patient/small', { entries })], integrity: true }),
  ])
  expect([fits.status, neighbour.status]).toEqual(['fulfilled', 'fulfilled'])
  expect(tooLarge).toMatchObject({ reason: expect.any(StoreLimit) })
  expect((await witness.read({ type: 'Binary', id: '9' }, all))?.body.length).toBeGreaterThan(8_500_000)
  await witness.commit({ changes: [drop('Binary/9')], integrity: true })
})

test('a database that is gone for a while is noticed, said, and found again', async () => {
  const store = await alone(openMongo(databaseOf(proxy.url, 'fault'), { timeLimitMs: 1_000 }))
  try {
    proxy.down()
    const began = Date.now()
    expect(await attempt(store, remembered({ changes: [observation('gone')], integrity: true }))).toBe(false)
    await expect(store.read({ type: 'Patient', id: '1' }, all)).rejects.toBeInstanceOf(StoreUnavailable)
    expect(Date.now() - began).toBeLessThan(10_000)
    expect(await store.health()).toMatch(/cannot be reached/)
    proxy.up()
    expect(await attempt(store, remembered({ changes: [observation('back')], integrity: true }))).toBe(true)
    expect(await store.health()).toBeUndefined()
  } finally {
    proxy.up()
    await store.close()
  }
  await soundness()
})
