/**
 * Indexes from one version of the server to the next.
 *
 * https://www.mongodb.com/docs/manual/core/index-creation/
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { MongoClient } from 'mongodb'
import { type Alone, all, alone, commit, namesOf, put, query, token } from '../testing.js'
import { Collections, current } from './collections.js'
import { openMongo } from './index.js'
import type { Index } from './index-builds.js'
import { databaseOf, dropDatabase, type Mongod, startMongod } from './testing.js'

let mongod: Mongod
let url: string
let client: MongoClient
let store: Alone

beforeAll(async () => {
  mongod = await startMongod()
  url = databaseOf(mongod.url)
  client = new MongoClient(url)
  store = await alone(openMongo(url))
  for (let i = 0; i < 20; i++) await commit(store, put(`Patient/${i}`, { entries: [token('code', 'x')] }))
})
afterAll(async () => {
  await store.close()
  await client.close()
  await dropDatabase(url)
  await mongod.close()
})

/** The next version: one index has other keys, one is new. */
const next = {
  current: [
    ...current.map(
      (index): Index => (index.name === 'dated' ? { ...index, key: { t: 1, n: 1, o: 1 }, version: 2 } : index),
    ),
    { name: 'new', key: { t: 1, v: 1 } },
  ],
  history: [{ name: 'written', key: { t: 1, lu: -1, w: -1 } }],
}
const names = async (): Promise<string[]> =>
  (await client.db().collection('Patient').indexes()).map(({ name }) => name!).sort()
const found = async () =>
  namesOf(await store.search(query(['Patient'], { op: 'token', param: 'code', code: 'x' }), all))

test('new indexes are built while the old ones answer, and the old ones go when they are whole', async () => {
  const said: string[] = []
  const before = await names()
  expect(before).toContain('dated')
  const admin = client.db('admin')
  await admin.command({
    configureFailPoint: 'failCommand',
    mode: { times: 1 },
    data: { failCommands: ['createIndexes'], blockConnection: true, blockTimeMS: 600 },
  })
  const upgraded = new Collections(client.db(), (sentence) => said.push(sentence), next)
  const began = Date.now()
  await upgraded.open()
  expect(Date.now() - began).toBeLessThan(600)
  // Meanwhile the process of the old version reads and writes.
  expect(await names()).toEqual(before)
  await commit(store, put('Patient/meanwhile', { entries: [token('code', 'x')] }))
  expect(await found()).toHaveLength(21)
  expect(await upgraded.builds.idle()).toBe(true)
  expect(await names()).toEqual([...before.filter((name) => name !== 'dated'), 'dated v2', 'new'].sort())
  expect(said.join('\n')).toMatch(/"dated", "new" are being built.*\n.*are whole/)
  expect(await found()).toHaveLength(21)
})

test('a process of the old version does not bring its indexes back', async () => {
  const before = await names()
  const old = await alone(openMongo(url))
  await commit(old, put('Patient/old', { entries: [token('code', 'x')] }))
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect(await names()).toEqual(before)
  await old.close()
})
