/**
 * Transactions through the official driver: what others see, who conflicts with whom, and that nothing is lost.
 *
 * https://www.mongodb.com/docs/manual/core/transactions/
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { MongoClient } from 'mongodb'
import { startMongod } from './server.mjs'

const OPTIONS = { readConcern: { level: 'snapshot' }, writeConcern: { w: 'majority', j: true } }

let mongod
let client
let db

beforeAll(async () => {
  mongod = await startMongod()
  client = await MongoClient.connect(mongod.url)
  db = client.db('transactions')
})

afterAll(async () => {
  await client.close()
  await mongod.close()
})

const transfer = (accounts, from, to, amount) =>
  client.withSession((session) =>
    session.withTransaction(async () => {
      const source = await accounts.findOne({ _id: from }, { session })
      if (source.balance < amount) return
      await accounts.updateOne({ _id: from }, { $inc: { balance: -amount } }, { session })
      await accounts.updateOne({ _id: to }, { $inc: { balance: amount } }, { session })
    }, OPTIONS),
  )

describe('many at once', () => {
  test('transfers neither make nor lose money, and no reader ever sees one halfway', async () => {
    const accounts = db.collection('accounts')
    await accounts.insertMany(Array.from({ length: 8 }, (_, _id) => ({ _id, balance: 100 })))
    let running = true
    const sums = new Set()
    const reading = (async () => {
      while (running) {
        const all = await client.withSession((session) =>
          session.withTransaction(() => accounts.find({}, { session, batchSize: 3 }).toArray(), OPTIONS),
        )
        sums.add(all.reduce((sum, { balance }) => sum + balance, 0))
      }
    })()
    await Promise.all(
      Array.from({ length: 6 }, async (_, worker) => {
        for (let i = 0; i < 25; i++)
          await transfer(accounts, (worker + i) % 8, (worker * 3 + i * 5 + 1) % 8, (i % 7) + 1)
      }),
    )
    running = false
    await reading
    expect([...sums]).toEqual([800])
    expect(mongod.server.store.locks.size).toBe(0)
    expect(mongod.server.store.transactions.size).toBe(0)
  })

  test('one of many wins a unique key, all others are told', async () => {
    const claims = db.collection('claims')
    await claims.createIndex({ key: 1 }, { unique: true })
    const results = await Promise.allSettled(
      Array.from({ length: 12 }, (_, i) =>
        client.withSession((session) =>
          session.withTransaction(async () => {
            await db.collection('log').insertOne({ by: i }, { session })
            await claims.insertOne({ key: 'one', by: i }, { session })
          }, OPTIONS),
        ),
      ),
    )
    const refused = results.filter(({ status }) => status === 'rejected')
    expect(refused).toHaveLength(11)
    expect(new Set(refused.map(({ reason }) => reason.code))).toEqual(new Set([11000]))
    expect(await claims.countDocuments({})).toBe(1)
    expect(await db.collection('log').countDocuments({})).toBe(1)
  })

  test('plain increments wait for transactions and none is lost', async () => {
    const counters = db.collection('counters')
    await counters.insertOne({ _id: 1, n: 0 })
    await Promise.all([
      ...Array.from({ length: 20 }, () => counters.updateOne({ _id: 1 }, { $inc: { n: 1 } })),
      ...Array.from({ length: 10 }, () =>
        client.withSession((session) =>
          session.withTransaction(() => counters.updateOne({ _id: 1 }, { $inc: { n: 10 } }, { session }), OPTIONS),
        ),
      ),
    ])
    expect(await counters.findOne({ _id: 1 })).toEqual({ _id: 1, n: 120 })
  })
})

describe('one after the other', () => {
  test('a transaction goes on reading what it saw, in batches and by index', async () => {
    const items = db.collection('items')
    await items.createIndex({ k: 1 })
    await items.insertMany(Array.from({ length: 30 }, (_, _id) => ({ _id, k: _id % 3 })))
    const session = client.startSession()
    session.startTransaction(OPTIONS)
    const cursor = items.find({ k: 1 }, { session, batchSize: 4, sort: { _id: 1 } })
    const first = await cursor.next()
    await items.deleteMany({ k: 1, _id: { $gt: 10 } })
    await items.insertOne({ _id: 100, k: 1 })
    const rest = await cursor.toArray()
    expect([first, ...rest].map(({ _id }) => _id)).toEqual([1, 4, 7, 10, 13, 16, 19, 22, 25, 28])
    expect(await items.countDocuments({ k: 1 }, { session })).toBe(10)
    await session.commitTransaction()
    await session.endSession()
    expect(await items.countDocuments({ k: 1 })).toBe(5)
  })

  test('an unfinished cursor outside goes on with what was there', async () => {
    const items = db.collection('cursor')
    await items.insertMany(Array.from({ length: 20 }, (_, _id) => ({ _id })))
    const cursor = items.find({}, { batchSize: 5, sort: { _id: 1 } })
    await cursor.next()
    await items.deleteMany({ _id: { $gte: 10 } })
    expect(await cursor.toArray()).toHaveLength(19)
  })

  test('what was committed by adoption and by merging is the same', async () => {
    const [a, b] = [db.collection('left'), db.collection('right')]
    await a.createIndex({ k: 1 })
    await b.createIndex({ k: 1 })
    const [one, other] = [client.startSession(), client.startSession()]
    one.startTransaction(OPTIONS)
    other.startTransaction(OPTIONS)
    await a.insertMany(
      [
        { _id: 1, k: [1, 2] },
        { _id: 2, k: 3 },
      ],
      { session: one },
    )
    await b.insertMany(
      [
        { _id: 1, k: [1, 2] },
        { _id: 2, k: 3 },
      ],
      { session: other },
    )
    await a.updateOne({ _id: 1 }, { $set: { k: [2, 9] } }, { session: one })
    await b.updateOne({ _id: 1 }, { $set: { k: [2, 9] } }, { session: other })
    await one.commitTransaction()
    await other.commitTransaction()
    for (const collection of [a, b]) {
      expect(await collection.find({ k: { $gte: 0 } }, { hint: { k: 1 }, sort: { _id: 1 } }).toArray()).toEqual([
        { _id: 1, k: [2, 9] },
        { _id: 2, k: 3 },
      ])
      expect(await collection.countDocuments({ k: 1 })).toBe(0)
    }
  })

  test('a transaction that deletes may insert the same key again', async () => {
    const unique = db.collection('again')
    await unique.createIndex({ k: 1 }, { unique: true })
    await unique.insertOne({ _id: 1, k: 'x' })
    await client.withSession((session) =>
      session.withTransaction(async () => {
        await unique.deleteOne({ _id: 1 }, { session })
        await unique.insertOne({ _id: 2, k: 'x' }, { session })
        await unique.insertOne({ _id: 1, k: 'y' }, { session })
      }, OPTIONS),
    )
    expect(await unique.find({}, { sort: { _id: 1 } }).toArray()).toEqual([
      { _id: 1, k: 'y' },
      { _id: 2, k: 'x' },
    ])
  })

  test('a commit sent again succeeds again', async () => {
    const session = client.startSession()
    session.startTransaction(OPTIONS)
    await db.collection('twice').insertOne({ _id: 1 }, { session })
    await session.commitTransaction()
    await session.commitTransaction()
    expect(await db.collection('twice').countDocuments({})).toBe(1)
    await session.endSession()
  })

  test('an index is made only when no transaction uses the collection', async () => {
    const items = db.collection('indexed')
    await items.insertOne({ _id: 1, k: 1 })
    const session = client.startSession()
    session.startTransaction(OPTIONS)
    await items.insertOne({ _id: 2, k: 2 }, { session })
    await expect(
      db.command({ createIndexes: 'indexed', indexes: [{ key: { k: 1 }, name: 'k' }], maxTimeMS: 50 }),
    ).rejects.toMatchObject({ code: 50 })
    const making = items.createIndex({ k: 1 })
    await session.commitTransaction()
    await making
    expect(await items.find({ k: 2 }, { hint: { k: 1 } }).toArray()).toEqual([{ _id: 2, k: 2 }])
    await session.endSession()
  })

  test('one that lives too long is aborted and lets the others go on', async () => {
    const items = db.collection('long')
    await items.insertOne({ _id: 1, n: 0 })
    await client.db('admin').command({ setParameter: 1, transactionLifetimeLimitSeconds: 0.1 })
    const session = client.startSession()
    session.startTransaction(OPTIONS)
    await items.updateOne({ _id: 1 }, { $set: { n: 1 } }, { session })
    await client.db('admin').command({ setParameter: 1, transactionLifetimeLimitSeconds: 60 })
    await items.updateOne({ _id: 1 }, { $set: { n: 2 } })
    await expect(session.commitTransaction()).rejects.toMatchObject({ code: 251 })
    expect(await items.findOne({ _id: 1 })).toEqual({ _id: 1, n: 2 })
    await session.endSession()
  })
})
