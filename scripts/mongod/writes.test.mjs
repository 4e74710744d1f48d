/**
 * Writes and reads through the official driver, where the recorded answers say nothing: whole types, many at once, refusals.
 */
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Binary, Decimal128, Double, GridFSBucket, Int32, Long, MongoClient, ObjectId, Timestamp } from 'mongodb'
import { startMongod } from './server.mjs'
import { expireDocuments } from './ttl.mjs'

let mongod
let client
let db

beforeAll(async () => {
  mongod = await startMongod()
  client = await MongoClient.connect(mongod.url)
  db = client.db('writes')
})

afterAll(async () => {
  await client.close()
  await mongod.close()
})

test('every type comes back as it went, from the bytes and through an update', async () => {
  const document = {
    _id: new ObjectId(),
    int: new Int32(1),
    double: new Double(2),
    fraction: new Double(2.5),
    negativeZero: new Double(-0),
    long: Long.fromString('9007199254740993'),
    decimal: Decimal128.fromString('1E+2'),
    text: 'é😀\0',
    bytes: new Binary(Buffer.from([0, 255])),
    date: new Date(-5),
    time: new Timestamp({ t: 5, i: 1 }),
    list: [new Double(1), [], {}, null],
    inner: { constructor: 'x', 'a.b': 1, ['__proto__']: 2 },
    pattern: /^a/i,
  }
  const exact = { promoteValues: false }
  const items = db.collection('types')
  await items.insertOne(document)
  const plain = await items.findOne({ _id: document._id }, exact)
  await items.updateOne({ _id: document._id }, { $set: { more: 1 } })
  const { more, ...updated } = await items.findOne({ _id: document._id }, exact)
  expect(more.valueOf()).toBe(1)
  expect(updated).toEqual(plain)
  expect(Object.keys(plain)).toEqual(Object.keys(document))
  expect(plain.double).toEqual(new Double(2))
  expect(Object.is(plain.negativeZero.value, -0)).toBe(true)
  expect(plain.decimal.toString()).toBe('1E+2')
  expect(plain.long.toString()).toBe('9007199254740993')
})

test('a bulk write does what it says, ordered and not', async () => {
  const items = db.collection('bulk')
  const writes = [
    { insertOne: { document: { _id: 1 } } },
    { insertOne: { document: { _id: 1 } } },
    { updateOne: { filter: { _id: 2 }, update: { $set: { n: 1 } }, upsert: true } },
    { replaceOne: { filter: { _id: 1 }, replacement: { n: 2 } } },
    { deleteOne: { filter: { _id: 2 } } },
  ]
  await expect(items.bulkWrite(writes)).rejects.toMatchObject({ code: 11000, result: { insertedCount: 1 } })
  expect(await items.find().toArray()).toEqual([{ _id: 1 }])
  await expect(items.bulkWrite(writes, { ordered: false })).rejects.toMatchObject({
    result: { insertedCount: 0, upsertedCount: 1, modifiedCount: 1, deletedCount: 1 },
  })
  expect(await items.find().toArray()).toEqual([{ _id: 1, n: 2 }])
})

test('one update of many documents and one of an array', async () => {
  const items = db.collection('arrays')
  await items.insertMany([
    {
      _id: 1,
      t: [
        { a: 1, n: 1 },
        { a: 2, n: 1 },
      ],
    },
    { _id: 2, t: [{ a: 2, n: 1 }] },
  ])
  await items.updateMany({}, { $inc: { 't.$[e].n': 10 } }, { arrayFilters: [{ 'e.a': 2 }] })
  await items.updateOne({ _id: 1, 't.a': 1 }, { $set: { 't.$.n': 5 } })
  await items.updateMany({}, { $push: { t: { $each: [{ a: 0, n: 0 }], $sort: { a: 1 }, $slice: 2 } } })
  await items.updateOne({ _id: 2 }, { $pull: { t: { n: { $gt: 5 } } } })
  expect(await items.find({}, { sort: { _id: 1 } }).toArray()).toEqual([
    {
      _id: 1,
      t: [
        { a: 0, n: 0 },
        { a: 1, n: 5 },
      ],
    },
    { _id: 2, t: [{ a: 0, n: 0 }] },
  ])
})

test('large answers come in batches of bytes', async () => {
  const items = db.collection('large')
  const body = Buffer.alloc(4_000_000)
  for (let _id = 0; _id < 6; _id++) await items.insertOne({ _id, body })
  const found = await items.find({}, { batchSize: 1000 }).toArray()
  expect(found.map(({ _id, body: bytes }) => [_id, bytes.length()])).toEqual(
    [0, 1, 2, 3, 4, 5].map((id) => [id, 4_000_000]),
  )
})

test('reads of a snapshot session are of one time', async () => {
  const items = db.collection('times')
  await items.insertMany([{ _id: 1 }, { _id: 2 }])
  const session = client.startSession({ snapshot: true })
  expect(await items.find({}, { session }).toArray()).toHaveLength(2)
  await items.deleteOne({ _id: 1 })
  expect(await items.find({}, { session }).toArray()).toHaveLength(2)
  expect(await items.aggregate([{ $count: 'n' }], { session }).toArray()).toEqual([{ n: 2 }])
  expect(await items.distinct('_id', {}, { session })).toEqual([1, 2])
  await session.endSession()
  expect(await items.find({}).toArray()).toHaveLength(1)
})

test('files of any size are kept in pieces', async () => {
  const bucket = new GridFSBucket(db)
  const content = Buffer.alloc(700_000, 'ab')
  const upload = bucket.openUploadStream('scan')
  await pipeline(Readable.from([content]), upload)
  const pieces = []
  for await (const piece of bucket.openDownloadStream(upload.id)) pieces.push(piece)
  expect(Buffer.concat(pieces).equals(content)).toBe(true)
  await bucket.delete(upload.id)
  expect(await db.collection('fs.chunks').countDocuments({})).toBe(0)
})

test('documents expire', async () => {
  const items = db.collection('expiring')
  await items.createIndex({ until: 1 }, { expireAfterSeconds: 0 })
  await items.insertMany([
    { _id: 1, until: new Date(Date.now() - 1000) },
    { _id: 2, until: new Date(Date.now() + 60_000) },
    { _id: 3 },
  ])
  expireDocuments(mongod.server.store)
  expect(await items.distinct('_id')).toEqual([2, 3])
})

test('a partial unique index lets those through that it leaves out', async () => {
  const items = db.collection('partial')
  await items.createIndex({ k: 1 }, { unique: true, partialFilterExpression: { live: true } })
  await items.insertMany([
    { _id: 1, k: 1, live: true },
    { _id: 2, k: 1, live: false },
  ])
  await expect(items.updateOne({ _id: 2 }, { $set: { live: true } })).rejects.toMatchObject({ code: 11000 })
  await items.deleteOne({ _id: 1 })
  await items.updateOne({ _id: 2 }, { $set: { live: true } })
  expect(await items.findOne({ k: 1, live: true })).toMatchObject({ _id: 2 })
})

describe('what is not supported is refused', () => {
  test.each([
    ['a command', { dataSize: 'a.b' }, 59],
    ['a command for accounts', { saslStart: 1 }, 59],
    ['an operator', { find: 'a', filter: { x: { $bitsAllSet: 1 } } }, 115],
    ['code', { find: 'a', filter: { $where: '1' } }, 2],
    ['text search', { find: 'a', filter: { $text: { $search: 'x' } } }, 115],
    ['a stage', { aggregate: 'a', pipeline: [{ $setWindowFields: {} }], cursor: {} }, 115],
    ['an expression', { aggregate: 'a', pipeline: [{ $project: { x: { $dateTrunc: {} } } }], cursor: {} }, 168],
    [
      'a group operator',
      { aggregate: 'a', pipeline: [{ $group: { _id: 1, x: { $stdDevPop: 1 } } }], cursor: {} },
      15952,
    ],
    ['a collation', { find: 'a', filter: {}, collation: { locale: 'de' } }, 115],
    ['a tailable cursor', { find: 'a', filter: {}, tailable: true }, 115],
    ['a view', { create: 'v', viewOn: 'a' }, 115],
    ['a 2dsphere index', { createIndexes: 'a', indexes: [{ key: { p: '2dsphere' }, name: 'p' }] }, 115],
    ['a field of an update', { update: 'a', updates: [{ q: {}, u: {}, odd: 1 }] }, 40415],
    ['$bit', { update: 'a', updates: [{ q: {}, u: { $bit: { x: { and: 1 } } } }] }, 115],
    ['a read concern', { find: 'a', filter: {}, readConcern: { level: 'odd' } }, 9],
  ])('%s', async (_what, command, code) => {
    const reply = db.command(command)
    const failed = await reply.then(
      ({ writeErrors }) => writeErrors?.[0],
      (error) => error,
    )
    expect(failed?.code).toBe(code)
  })
})
