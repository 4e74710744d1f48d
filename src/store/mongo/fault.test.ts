/**
 * The store on MongoDB when things go wrong: a command fails, its reply is lost, it never arrives.
 *
 * https://github.com/mongodb/specifications/blob/master/source/transactions/transactions.md
 *
 * Whatever happens to whichever command of a write: acknowledged writes are there, others are there whole or not at all,
 * the sequence has neither gap nor repeat, the indexes equal a rebuild, and the caller hears of it in time.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type Document, MongoClient } from 'mongodb'
import type { IndexEntry } from '../../search/index.js'
import { type Commit, type Store, StoreUnavailable } from '../store.js'
import { type Alone, all, alone, drop, put, query, reference, token } from '../testing.js'
import { openMongo } from './index.js'
import { databaseOf, dropDatabase, type Fate, type Mongod, startMongod, startProxy } from './testing.js'

type Proxy = Awaited<ReturnType<typeof startProxy>>

let mongod: Mongod
let proxy: Proxy
let admin: MongoClient

beforeAll(async () => {
  mongod = await startMongod()
  proxy = await startProxy(mongod.port)
  admin = new MongoClient(mongod.url)
})
afterAll(async () => {
  await admin.close()
  await proxy.close()
  await mongod.close()
})

const entries = [token('code', 'x')]
const observation = (id: string, ...references: string[]) =>
  put(`Observation/${id}`, {
    entries: [...entries, ...references.map((each) => reference('subject', each))],
    references,
  })
const patient = (id: string): Commit => ({ changes: [put(`Patient/${id}`, { entries })], integrity: true })

/** Writes of each kind, on resources of their own, of which the Patient is there already. */
const kinds: Record<string, (id: string) => Commit> = {
  'a create': (id) => ({ changes: [observation(id, `Patient/${id}`)], integrity: true }),
  'a conditional create': (id) => ({
    changes: [put(`Observation/${id}`, { entries: [token('code', 'x'), token('identifier', id)] })],
    conditions: [
      { query: query(['Observation'], { op: 'token', param: 'identifier', code: id }), reach: all, ids: [] },
    ],
    claims: [{ key: `claim-${id}`, value: id }],
    integrity: true,
  }),
  'an update': (id) => ({
    changes: [put(`Patient/${id}`, { entries, content: { text: 'new' }, expect: { version: 1 } })],
    integrity: true,
  }),
  'a transaction of 50 entries': (id) => ({
    changes: [
      put(`Patient/${id}`, { entries, content: { text: 'new' } }),
      ...Array.from({ length: 49 }, (_, i) => observation(`${id}-${i}`, `Patient/${id}`)),
    ],
    integrity: true,
  }),
  'a delete': (id) => ({ changes: [drop(`Patient/${id}`)], integrity: true }),
}

type Way = {
  /** What `failCommand` is told; or what the proxy does with the message. */
  failCommand?: Document
  fate?: Fate
  timeLimitMs?: number
  /** More for the address. */
  query?: string
  /** How long the server may still be at it after we gave up. */
  lateMs?: number
}

const silent = { timeLimitMs: 500, query: '&socketTimeoutMS=250' }

/** https://github.com/mongodb/mongo/wiki/The-%22failCommand%22-fail-point */
const ways: Record<string, Way> = {
  'a write conflict': { failCommand: { errorCode: 112, errorLabels: ['TransientTransactionError'] } },
  'a step down': { failCommand: { errorCode: 10107 } },
  'a step down that may be tried again': { failCommand: { errorCode: 10107, errorLabels: ['RetryableWriteError'] } },
  'a shut down without a label': { failCommand: { errorCode: 11600, errorLabels: [] } },
  'an interruption': { failCommand: { errorCode: 11601, errorLabels: [] } },
  'a full disk': { failCommand: { errorCode: 14031, errorLabels: [] } },
  'a write concern that failed': {
    failCommand: { writeConcernError: { code: 64, errmsg: 'waiting for replication timed out' } },
  },
  'a write concern that failed and may be tried again': {
    failCommand: {
      writeConcernError: { code: 91, errmsg: 'replication is being shut down' },
      errorLabels: ['RetryableWriteError'],
    },
  },
  'a closed connection': { failCommand: { closeConnection: true } },
  'a block beyond the time limit': {
    failCommand: { blockConnection: true, blockTimeMS: 600 },
    lateMs: 700,
    ...silent,
  },
  'a lost reply': { fate: 'cutReply' },
  'a lost request': { fate: 'cutRequest' },
  'a reply that never comes': { fate: 'dropReply', ...silent },
  'a request that never arrives': { fate: 'dropRequest', ...silent },
}

const limitMs = 4_000

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

/** Whether what a commit says is there: all of it, or none. */
async function kept(witness: Store, { changes }: Commit): Promise<boolean> {
  const there = await Promise.all(
    changes.map(async (change) => {
      const stored = await witness.read(change, all)
      if (change.op === 'delete') return stored?.deleted === true
      return stored?.body.toString().endsWith(change.serialized.tail) ?? false
    }),
  )
  const [first] = there
  expect(there).toEqual(there.map(() => first))
  return first!
}

/** The sequence has neither gap nor repeat, and the indexes equal a rebuild. */
async function soundness(store: Store, given: Map<string, IndexEntry[]>): Promise<void> {
  const sequences: number[] = []
  for (;;) {
    const more = await store.changes(sequences.at(-1) ?? 0, 1000)
    if (!more.length) break
    sequences.push(...more.map(({ sequence }) => sequence))
  }
  expect(sequences).toEqual(sequences.map((_, i) => i + 1))
  const rebuilt = await store.maintenance.check(({ type, body }) => {
    if (type === 'Patient') return entries
    const { id } = JSON.parse(body.toString()) as { id: string }
    return given.get(id)!
  })
  expect(rebuilt).toEqual([])
}

describe.each(Object.entries(ways))('%s at the n-th command', (name, way) => {
  const { failCommand, fate, timeLimitMs = limitMs, query: more = '', lateMs = 0 } = way
  const appName = `fault-${Object.keys(ways).indexOf(name)}`
  /** What was indexed of each Observation, to compare with. */
  const given = new Map<string, IndexEntry[]>()
  let number = 0
  let store: Alone
  /** Looks at what is there by a way that never fails. */
  let witness: Alone
  let url: string

  beforeAll(async () => {
    url = databaseOf(mongod.url, appName)
    witness = await alone(openMongo(url))
    // What makes collections is not what is looked at here.
    await witness.commit({ changes: [put('Patient/first', { entries })], integrity: true })
    await witness.commit({ changes: [observation('first', 'Patient/first')], integrity: true })
    given.set('first', [...entries, reference('subject', 'Patient/first')])
    const through = `${databaseOf(proxy.url, appName)}&appName=${appName}&minHeartbeatFrequencyMS=20${more}`
    proxy.reset()
    store = await alone(openMongo(through, { timeLimitMs }))
  })
  afterAll(async () => {
    await store.close()
    await witness.close()
    await dropDatabase(url)
  })

  /** What happens to a command of that name that the server gets next from us. */
  const failing = (command: string) =>
    admin.db('admin').command({
      configureFailPoint: 'failCommand',
      mode: { times: 1 },
      data: { failCommands: [command], appName, ...failCommand },
    })
  const failingNoMore = () => admin.db('admin').command({ configureFailPoint: 'failCommand', mode: 'off' })

  test.each(Object.entries(kinds))('%s', async (_, kind) => {
    let acknowledged = 0
    let n = 1
    for (; ; n++) {
      const id = `${number++}`
      const commit = kind(id)
      for (const change of commit.changes)
        if (change.op === 'put' && change.type === 'Observation') given.set(change.id, change.entries)
      await witness.commit(patient(id))
      // Nothing is left to count, whoever holds the lease: what comes now is of this commit.
      await store.changes(0, 1)
      proxy.reset()
      proxy.plan(n, fate ?? failing)
      const began = performance.now()
      const isAcknowledged = await attempt(store, commit)
      expect(performance.now() - began).toBeLessThan(3 * timeLimitMs + 2_000)
      const isReached = proxy.commands.length >= n
      proxy.reset()
      if (failCommand && isReached) await failingNoMore()
      if (isReached && lateMs) await pause(lateMs)
      if (isAcknowledged) acknowledged++
      expect([isAcknowledged, await kept(witness, commit)]).toEqual([
        isAcknowledged,
        isAcknowledged || expect.anything(),
      ])
      if (!isReached) {
        expect(isAcknowledged).toBe(true)
        break
      }
      expect(n).toBeLessThan(60)
    }
    // Each command had its turn; and what came after the last of them was kept.
    expect(n).toBeGreaterThan(4)
    expect(acknowledged).toBeGreaterThan(0)
  })

  test('leaves a sound store', () => soundness(witness, given))
})

describe('beside faults of single commands', () => {
  let witness: Alone
  let url: string
  beforeAll(async () => {
    url = databaseOf(mongod.url, 'fault')
    witness = await alone(openMongo(url))
  })
  afterAll(async () => {
    await witness.close()
    await dropDatabase(url)
  })

  test('resources beyond a document are whole, and so are their neighbours', async () => {
    const large = (id: string, bytes: number) => put(`Binary/${id}`, { content: { data: 'x'.repeat(bytes) } })
    await Promise.all([
      witness.commit({ changes: [large('9', 8_500_000)], integrity: true }),
      witness.commit({ changes: [large('17', 17_000_000)], integrity: true }),
      witness.commit({ changes: [put('Patient/small', { entries })], integrity: true }),
    ])
    const lengthOf = async (id: string) => (await witness.read({ type: 'Binary', id }, all))?.body.length
    expect(await lengthOf('9')).toBeGreaterThan(8_500_000)
    expect(await lengthOf('17')).toBeGreaterThan(17_000_000)
    await witness.commit({ changes: [drop('Binary/9'), drop('Binary/17')], integrity: true })
  })

  test('a database that is gone for a while is noticed, said, and found again', async () => {
    const store = await alone(openMongo(databaseOf(proxy.url, 'fault'), { timeLimitMs: 1_000 }))
    try {
      proxy.down()
      const began = Date.now()
      expect(await attempt(store, { changes: [observation('gone')], integrity: true })).toBe(false)
      await expect(store.read({ type: 'Patient', id: '1' }, all)).rejects.toBeInstanceOf(StoreUnavailable)
      expect(Date.now() - began).toBeLessThan(10_000)
      expect(await store.health()).toMatch(/cannot be reached/)
      proxy.up()
      expect(await attempt(store, { changes: [observation('back')], integrity: true })).toBe(true)
      expect(await store.health()).toBeUndefined()
    } finally {
      proxy.up()
      await store.close()
    }
    await soundness(witness, new Map(['gone', 'back'].map((id) => [id, entries])))
  })

  test('conditional creates that queue up before a silent database are all answered in time', async () => {
    const store = await alone(openMongo(databaseOf(proxy.url, 'fault'), { timeLimitMs: 1_000 }))
    try {
      await store.commit({ changes: [put('Patient/warm', { entries })], integrity: true })
      proxy.silence()
      const began = Date.now()
      const answers = await Promise.all(
        Array.from({ length: 12 }, (_, i) => attempt(store, kinds['a conditional create']!(`queued-${i}`))),
      )
      expect(answers).toEqual(answers.map(() => false))
      expect(Date.now() - began).toBeLessThan(5_000)
    } finally {
      proxy.up()
      await store.close()
    }
  })
})
