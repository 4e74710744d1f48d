/**
 * The audit log of two processes: one chain, nothing lost, nothing changed unseen.
 *
 * https://www.rfc-editor.org/rfc/rfc9162#section-2.1
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { MongoClient } from 'mongodb'
import { Verifier } from '../audit-chain.js'
import type { AuditEntry, AuditRecord } from '../store.js'
import { type Alone, alone, put } from '../testing.js'
import { openMongo } from './index.js'
import { databaseOf, dropDatabase, type Mongod, startMongod, startProxy } from './testing.js'

let mongod: Mongod
let proxy: Awaited<ReturnType<typeof startProxy>>
let url: string
let one: Alone
let other: Alone

beforeAll(async () => {
  mongod = await startMongod()
  proxy = await startProxy(mongod.port)
  url = databaseOf(mongod.url, 'audit')
  one = await alone(openMongo(url))
  other = await alone(openMongo(databaseOf(proxy.url, 'audit')))
})
afterAll(async () => {
  await one.close()
  await other.close()
  await dropDatabase(url)
  await proxy.close()
  await mongod.close()
})

const entry = (id: string): AuditEntry => ({ id, at: 1000, keys: ['Patient/1', `id ${id}`], text: `{"id":"${id}"}` })

async function chain(count: number): Promise<AuditRecord[]> {
  for (;;) {
    const records = await one.audit.chain(0, 10_000)
    if (records.length >= count) return records
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

test('what both append and commit at once is one chain', async () => {
  await Promise.all(
    Array.from({ length: 200 }, (_, i) => {
      const store = i % 2 ? one : other
      if (i % 10) return store.audit.append([entry(`a${i}`)])
      return store.commit({ changes: [put(`Patient/${i}`)], audit: () => [entry(`a${i}`)], integrity: true })
    }),
  )
  const verifier = new Verifier()
  for (const record of await chain(200)) verifier.add(record)
  expect(verifier.end()).toEqual([])
  expect(await one.audit.head()).toEqual(verifier.head)
  expect(verifier.head.sequence).toBe(200)
})

test('many who append at the same time share a command', async () => {
  await new Promise((resolve) => setTimeout(resolve, 200))
  proxy.reset()
  await Promise.all(Array.from({ length: 100 }, (_, i) => other.audit.append([entry(`b${i}`)])))
  expect(proxy.commands.filter((name) => name === 'insert').length).toBeLessThanOrEqual(2)
  await chain(300)
})

test('an entry whose acknowledgement is lost is there once', async () => {
  for (const n of [1, 2, 3]) {
    proxy.reset()
    proxy.plan(n, 'cutReply')
    await other.audit.append([entry(`c${n}`)])
    await other.audit.append([entry(`d${n}`)])
    expect(await one.audit.read(`c${n}`)).toBeDefined()
  }
  expect((await chain(306)).length).toBe(306)
})

test('another entry under the same id is refused, and its neighbours are kept', async () => {
  const appended = await Promise.allSettled([
    one.audit.append([entry('e1')]),
    one.audit.append([{ ...entry('a1'), text: 'another' }]),
    one.audit.append([entry('e2')]),
  ])
  expect(appended.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  expect((await one.audit.read('a1'))!.text).toBe('{"id":"a1"}')
  await chain(308)
})

test('finding looks at as many keys as it finds', async () => {
  const client = new MongoClient(url)
  const { executionStats } = await client
    .db()
    .collection('commits')
    .find({ t: 'default', sq: { $gte: 0 }, keys: 'Patient/1' })
    .sort({ at: -1, id: -1 })
    .limit(20)
    .explain('executionStats')
  expect(executionStats.totalKeysExamined).toBeLessThanOrEqual(21)
  await client.close()
})

test('a check finds what was changed behind our back', async () => {
  expect(await one.maintenance.check(() => [])).toEqual([])
  const client = new MongoClient(url)
  const commits = client.db().collection<{ _id: string }>('commits')
  await commits.updateOne({ _id: 'default/audit/a50' }, { $set: { text: '{"id":"nobody"}' } })
  await commits.deleteOne({ _id: 'default/audit/a70' })
  await client.close()
  const found = await one.maintenance.check(() => [])
  expect(found.filter((sentence) => sentence.startsWith('the audit log')).length).toBeGreaterThanOrEqual(2)
})
