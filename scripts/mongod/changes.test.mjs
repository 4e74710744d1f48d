/**
 * Change streams through the official driver.
 *
 * https://www.mongodb.com/docs/manual/changeStreams/
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { MongoClient } from 'mongodb'
import { startMongod } from './server.mjs'

let mongod
let client
let db

beforeAll(async () => {
  mongod = await startMongod()
  client = await MongoClient.connect(mongod.url)
  db = client.db('changes')
})

afterAll(async () => {
  await client.close()
  await mongod.close()
})

async function nextOf(stream, count) {
  const events = []
  while (events.length < count) events.push(await stream.next())
  return events
}

const brief = ({ operationType, documentKey, fullDocument, updateDescription }) => ({
  operationType,
  ...(documentKey ? { id: documentKey._id } : {}),
  ...(fullDocument ? { fullDocument } : {}),
  ...(updateDescription ? { updateDescription } : {}),
})

test('every kind of change is told, in order', async () => {
  const items = db.collection('items')
  await items.insertOne({ _id: 0 })
  const stream = items.watch([], { fullDocument: 'updateLookup' })
  const events = nextOf(stream, 4)
  await new Promise((resolve) => setTimeout(resolve, 50))
  await items.insertOne({ _id: 1, n: 1, o: { a: 1, b: 2 } })
  await items.updateOne({ _id: 1 }, { $set: { n: 2, 'o.a': 3 }, $unset: { 'o.b': 1 } })
  await items.replaceOne({ _id: 1 }, { n: 3 })
  await items.deleteOne({ _id: 1 })
  expect((await events).map(brief)).toEqual([
    { operationType: 'insert', id: 1, fullDocument: { _id: 1, n: 1, o: { a: 1, b: 2 } } },
    {
      operationType: 'update',
      id: 1,
      ...((await events)[1].fullDocument ? { fullDocument: (await events)[1].fullDocument } : {}),
      updateDescription: { updatedFields: { n: 2, 'o.a': 3 }, removedFields: ['o.b'], truncatedArrays: [] },
    },
    { operationType: 'replace', id: 1, fullDocument: { _id: 1, n: 3 } },
    { operationType: 'delete', id: 1 },
  ])
  await stream.close()
})

test('a transaction is told at its commit, all of it at one time, and an aborted one never', async () => {
  for (const name of ['one', 'two']) await db.createCollection(name)
  const stream = db.watch([{ $match: { 'ns.coll': { $in: ['one', 'two'] } } }])
  const events = nextOf(stream, 3)
  await new Promise((resolve) => setTimeout(resolve, 50))
  const session = client.startSession()
  const { id } = session
  session.startTransaction()
  await db.collection('one').insertOne({ _id: 'gone' }, { session })
  await session.abortTransaction()
  session.startTransaction()
  await db.collection('one').insertOne({ _id: 1 }, { session })
  await db.collection('two').insertOne({ _id: 2 }, { session })
  await db.collection('one').insertOne({ _id: 3 })
  await session.commitTransaction()
  await session.endSession()
  const [first, second, third] = await events
  expect([first, second, third].map(({ documentKey }) => documentKey._id)).toEqual([3, 1, 2])
  expect(second.clusterTime.equals(third.clusterTime)).toBe(true)
  expect(Buffer.compare(second.lsid.id.buffer, id.id.buffer)).toBe(0)
  await stream.close()
})

test('a stream resumes after the event it was given', async () => {
  const items = db.collection('resumed')
  const stream = items.watch()
  const events = nextOf(stream, 2)
  await new Promise((resolve) => setTimeout(resolve, 50))
  await items.insertMany([{ _id: 1 }, { _id: 2 }])
  const [first] = await events
  await stream.close()
  await items.insertOne({ _id: 3 })
  for (const option of ['resumeAfter', 'startAfter']) {
    const again = items.watch([], { [option]: first._id })
    expect((await nextOf(again, 2)).map(({ documentKey }) => documentKey._id)).toEqual([2, 3])
    await again.close()
  }
  const since = items.watch([], { startAtOperationTime: first.clusterTime })
  expect((await nextOf(since, 3)).map(({ documentKey }) => documentKey._id)).toEqual([1, 2, 3])
  await since.close()
})

test('a cut connection does not lose an event', async () => {
  const items = db.collection('cut')
  const stream = items.watch()
  const events = nextOf(stream, 2)
  await new Promise((resolve) => setTimeout(resolve, 50))
  await items.insertOne({ _id: 1 })
  await client.db('admin').command({
    configureFailPoint: 'failCommand',
    mode: { times: 1 },
    data: { failCommands: ['getMore'], closeConnection: true },
  })
  await items.insertOne({ _id: 2 })
  expect((await events).map(({ documentKey }) => documentKey._id)).toEqual([1, 2])
  await stream.close()
})

test('a dropped collection ends its stream', async () => {
  const items = db.collection('dropped')
  await items.insertOne({ _id: 1 })
  const stream = items.watch()
  const events = nextOf(stream, 2)
  await new Promise((resolve) => setTimeout(resolve, 50))
  await items.drop()
  expect((await events).map(({ operationType }) => operationType)).toEqual(['drop', 'invalidate'])
  await stream.close()
})

test('what a stream cannot do is refused', async () => {
  const open = (options, stages = []) =>
    db
      .collection('items')
      .aggregate([{ $changeStream: options }, ...stages])
      .toArray()
  await expect(open({ fullDocument: 'required' })).rejects.toMatchObject({ code: 115 })
  await expect(open({ odd: 1 })).rejects.toMatchObject({ code: 40415 })
  await expect(open({}, [{ $group: { _id: 1 } }])).rejects.toMatchObject({ code: 20 })
  await expect(open({ resumeAfter: { _data: 'ff' } })).rejects.toMatchObject({ code: 260 })
})
