/**
 * Failures on demand as the store's fault tests use them: by the fail point, and by the proxy that loses replies.
 *
 * https://www.mongodb.com/docs/manual/core/retryable-writes/
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { MongoClient } from 'mongodb'
import { startProxy } from './proxy.mjs'
import { startMongod } from './server.mjs'

/** After a failure a driver looks at the server again at the earliest after half a second, unless it is told otherwise. */
const SOON = { minHeartbeatFrequencyMS: 10 }

const OPTIONS = { readConcern: { level: 'snapshot' }, writeConcern: { w: 'majority', j: true } }

let mongod
let client
let db

const failing = (mode, data) =>
  client.db('admin').command({ configureFailPoint: 'failCommand', mode, ...(data ? { data } : {}) })

beforeAll(async () => {
  mongod = await startMongod()
  client = await MongoClient.connect(mongod.url, SOON)
  db = client.db('failures')
})

afterEach(() => failing('off'))

afterAll(async () => {
  await client.close()
  await mongod.close()
})

describe('failCommand', () => {
  test.each([
    ['an error with its label', { errorCode: 91 }],
    ['a closed connection', { closeConnection: true }],
    ['an election', { errorCode: 10107 }],
    [
      'a write concern error after the command ran',
      { writeConcernError: { code: 91, codeName: 'ShutdownInProgress', errmsg: 'x' } },
    ],
  ])('a write is done once in spite of %s', async (_name, data) => {
    const items = db.collection(`once-${Object.keys(data)}-${data.errorCode ?? ''}`)
    await failing({ times: 1 }, { failCommands: ['insert', 'update', 'findAndModify'], ...data })
    await items.insertOne({ _id: 1, n: 0 })
    await failing({ times: 1 }, { failCommands: ['update'], ...data })
    await items.updateOne({ _id: 1 }, { $inc: { n: 1 } })
    await failing({ times: 1 }, { failCommands: ['findAndModify'], ...data })
    expect(await items.findOneAndUpdate({ _id: 1 }, { $inc: { n: 1 } }, { returnDocument: 'after' })).toEqual({
      _id: 1,
      n: 2,
    })
  })

  test('a read is tried again', async () => {
    await failing({ times: 1 }, { failCommands: ['find'], errorCode: 11602 })
    expect(await db.collection('none').findOne({})).toBeNull()
  })

  test('a transaction whose commit is in doubt is committed once', async () => {
    const items = db.collection('doubt')
    for (const data of [
      { closeConnection: true },
      { errorCode: 91 },
      { writeConcernError: { code: 64, errmsg: 'waited too long' } },
    ]) {
      await failing({ times: 1 }, { failCommands: ['commitTransaction'], ...data })
      await client.withSession((session) =>
        session.withTransaction(() => items.insertOne({ data: Object.keys(data)[0] }, { session }), OPTIONS),
      )
    }
    expect(await items.countDocuments({})).toBe(3)
  })

  test('skip lets the first ones through, alwaysOn lets none', async () => {
    const items = db.collection('skip')
    await failing({ skip: 2 }, { failCommands: ['insert'], errorCode: 2 })
    await items.insertOne({ _id: 1 })
    await items.insertOne({ _id: 2 })
    await expect(items.insertOne({ _id: 3 })).rejects.toMatchObject({ code: 2 })
    await failing('alwaysOn', { failCommands: ['insert'], errorCode: 14031 })
    await expect(items.insertOne({ _id: 3 })).rejects.toMatchObject({ codeName: 'OutOfDiskSpace' })
    await failing('off')
    await items.insertOne({ _id: 3 })
  })

  test('a fail point that is not known is refused', async () => {
    await expect(client.db('admin').command({ configureFailPoint: 'hang', mode: 'alwaysOn' })).rejects.toMatchObject({
      code: 115,
    })
    await expect(failing({ times: 1 }, { failCommands: ['insert'], odd: 1 })).rejects.toMatchObject({ code: 115 })
  })
})

test('a primary that steps down ends transactions, and writes go on when it is back', async () => {
  const items = db.collection('election')
  await items.insertOne({ _id: 1 })
  const session = client.startSession()
  session.startTransaction(OPTIONS)
  await items.insertOne({ _id: 2 }, { session })
  await client.db('admin').command({ replSetStepDown: 1, force: true })
  await items.insertOne({ _id: 3 })
  await expect(session.commitTransaction()).rejects.toMatchObject({ code: 251 })
  await session.endSession()
  expect(await items.distinct('_id')).toEqual([1, 3])
}, 20_000)

describe('the proxy', () => {
  let proxy
  let through
  beforeAll(async () => {
    proxy = await startProxy({ port: mongod.port })
    through = await MongoClient.connect(proxy.url, { ...SOON, serverSelectionTimeoutMS: 1000 })
  })
  afterAll(async () => {
    await through.close()
    await proxy.close()
  })

  test.each(['cutReply', 'cutRequest'])('%s at any command of a transaction: it is done once', async (fate) => {
    const items = through.db('failures').collection(`walk-${fate}`)
    await items.insertOne({ _id: 'there' })
    const work = (key) =>
      through.withSession((session) =>
        session.withTransaction(async () => {
          await items.insertOne({ _id: key }, { session })
          await items.updateOne({ _id: 'there' }, { $inc: { n: 1 } }, { session })
        }, OPTIONS),
      )
    for (let n = 1; n <= 3; n++) {
      proxy.reset()
      proxy.plan(n, fate)
      await work(n)
      expect(proxy.commands.length).toBeGreaterThan(3)
    }
    expect(await items.findOne({ _id: 'there' })).toEqual({ _id: 'there', n: 3 })
    expect(await items.countDocuments({})).toBe(4)
  })

  test('a plain write whose reply is lost is done once', async () => {
    const items = through.db('failures').collection('lost')
    for (const fate of ['cutReply', 'cutRequest']) {
      proxy.reset()
      proxy.plan(1, fate)
      await items.updateOne({ _id: 1 }, { $inc: { n: 1 } }, { upsert: true })
      expect(proxy.commands).toEqual(['update', 'update'])
    }
    expect(await items.findOne({ _id: 1 })).toEqual({ _id: 1, n: 2 })
  })

  test.each([
    ['dropReply', 1],
    ['dropRequest', 0],
  ])(
    '%s: the caller runs into its own limit',
    async (fate, done) => {
      const limits = { ...SOON, socketTimeoutMS: 100, serverSelectionTimeoutMS: 300, connectTimeoutMS: 300 }
      const impatient = await MongoClient.connect(proxy.url, { ...limits, retryWrites: false })
      const items = impatient.db('failures').collection(`silent-${fate}`)
      proxy.reset()
      proxy.plan(1, fate)
      await expect(items.insertOne({ _id: 1 })).rejects.toThrow(/timed out/)
      expect(await items.countDocuments({})).toBe(done)
      proxy.silence()
      await expect(items.findOne({})).rejects.toThrow()
      proxy.up()
      expect(await items.countDocuments({})).toBe(done)
      await impatient.close()
    },
    20_000,
  )

  test('a reply can be late, and the server out of reach for a while', async () => {
    const items = through.db('failures').collection('lost')
    proxy.reset()
    proxy.plan(1, { delayMs: 80 })
    const started = Date.now()
    await items.findOne({ _id: 1 })
    expect(Date.now() - started).toBeGreaterThanOrEqual(75)
    proxy.down()
    await expect(items.findOne({ _id: 1 })).rejects.toThrow()
    proxy.up()
    expect(await items.findOne({ _id: 1 })).toEqual({ _id: 1, n: 2 })
  }, 20_000)
})
