/**
 * Content beyond what a document holds: whole or absent, with the exact bytes, in every version.
 *
 * https://hl7.org/fhir/R4/binary.html
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { MongoClient } from 'mongodb'
import { type Alone, all, alone, commit, drop, put, query, refOf } from '../testing.js'
import { openMongo } from './index.js'
import { databaseOf, dropDatabase, type Mongod, startMongod, startProxy } from './testing.js'

let mongod: Mongod
let url: string
let store: Alone

beforeAll(async () => {
  mongod = await startMongod()
  url = databaseOf(mongod.url)
  store = await alone(openMongo(url))
})
afterAll(async () => {
  await store.close()
  await dropDatabase(url)
  await mongod.close()
})

/** Letters of four bytes each, so that parts end within them. */
const data = (name: string, bytes: number): string => name + '𝄞'.repeat(bytes / 4)
const large = (id: string, name: string, bytes: number) => put(`Binary/${id}`, { content: { data: data(name, bytes) } })

/** Numbers of the parts there are. */
async function parts(): Promise<number> {
  const client = new MongoClient(url)
  const count = await client.db().collection('content').countDocuments()
  await client.close()
  return count
}

test('40 MB come back as they went in, by read, vread, search, history and changes', async () => {
  const [first] = await commit(store, large('1', 'a', 40_000_000))
  const [second] = await commit(store, large('1', 'bc', 17_000_000))
  const third = (await commit(store, put('Binary/1', { content: { data: 'small' } })))[0]!
  const versions = [first!, second!, third].map(({ stored }) => stored)
  expect(versions.map(({ version }) => version)).toEqual([1, 2, 3])
  for (const { version, body } of versions)
    expect((await store.read(refOf('Binary/1'), all, version))!.body.equals(body)).toBe(true)
  const { matches } = await store.history({ type: 'Binary', id: '1', count: 10, total: false }, all)
  expect(matches.map(({ stored }) => stored.body.equals(versions[stored.version - 1]!.body))).toEqual([
    true,
    true,
    true,
  ])
  const changes = await store.changes(0, 10)
  expect(changes.map(({ stored }) => stored.body.equals(versions[stored.version - 1]!.body))).toEqual([
    true,
    true,
    true,
  ])
  await commit(store, large('2', 'd', 20_000_000))
  const found = await store.search(query(['Binary']), all)
  expect(found.matches.map(({ stored }) => stored.body.length > 20_000_000)).toEqual([false, true])
  expect((await commit(store, large('2', 'd', 20_000_000)))[0]!.outcome).toBe('unchanged')
  await commit(store, drop('Binary/2'))
  expect(await store.read(refOf('Binary/2'), all)).toMatchObject({ deleted: true })
  expect((await store.read(refOf('Binary/2'), all, 1))!.body.length).toBeGreaterThan(20_000_000)
  expect(await store.maintenance.check(() => [])).toEqual([])
  // Five, three and three of 8 MiB each.
  expect(await parts()).toBe(11)
}, 60_000)

test('of what was not committed nothing is left, and what was is whole although the answer was lost', async () => {
  const before = await parts()
  await expect(
    store.commit({
      changes: [large('refused', 'x', 20_000_000), put('Patient/1', { expect: { exists: true } })],
      integrity: true,
    }),
  ).rejects.toThrow('absent')
  expect(await parts()).toBe(before)
  const proxy = await startProxy(mongod.port)
  const through = await alone(openMongo(databaseOf(proxy.url, new URL(url).pathname.slice(1))))
  for (const n of [1, 3, 5]) {
    await through.search(query(['Binary'], { op: 'ids', ids: ['none'] }), all)
    proxy.reset()
    proxy.plan(n, 'cutReply')
    const id = `cut${n}`
    const [made] = await commit(through, large(id, `${n}`, 20_000_000))
    expect((await store.read(refOf(`Binary/${id}`), all))!.body.equals(made!.stored.body)).toBe(true)
  }
  expect(await parts()).toBe(before + 9)
  await through.close()
  await proxy.close()
}, 60_000)
