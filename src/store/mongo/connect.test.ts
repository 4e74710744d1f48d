/** A database the store cannot be built on is refused at the start, in a sentence a person can act on. */
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { type Document, MongoClient } from 'mongodb'
import { alone } from '../testing.js'
import { openMongo } from './index.js'
import { databaseOf, dropDatabase, type Mongod, startMongod } from './testing.js'

let mongod: Mongod
beforeAll(async () => {
  mongod = await startMongod()
})
afterAll(() => mongod.close())

/** Opens a database in which something is there already; it changes nothing when it refuses. */
async function refusalOf(prepare: (client: MongoClient) => Promise<unknown>): Promise<string> {
  const url = databaseOf(mongod.url)
  const client = new MongoClient(url)
  try {
    await prepare(client)
    const store = await alone(openMongo(url))
    await store.close()
    return 'accepted'
  } catch (error) {
    expect((error as Error).name).toBe('StoreUnusable')
    return (error as Error).message
  } finally {
    await client.close()
    await dropDatabase(url)
  }
}

const about = (client: MongoClient, document: Document) =>
  client
    .db()
    .collection<Document & { _id: string }>('about')
    .insertOne({ _id: 'store', ...document })

test('an empty database, and one of ours, are taken', async () => {
  expect(await refusalOf(async () => {})).toBe('accepted')
  expect(await refusalOf((client) => about(client, { layout: 1 }))).toBe('accepted')
})

test('data of a newer version is left alone', async () => {
  expect(await refusalOf((client) => about(client, { layout: 99 }))).toMatch(
    /written by a newer version .*layout 99.*start that version/,
  )
})

test("somebody else's collections are left alone", async () => {
  expect(await refusalOf((client) => client.db().collection('Patient').insertOne({ name: 'x' }))).toMatch(
    /holds collections of somebody else; name an empty one/,
  )
})

test('an index of our name with other keys is named', async () => {
  const spoil = async (client: MongoClient) => {
    await about(client, { layout: 1 })
    await client.db().collection('commits').createIndex({ other: 1 }, { name: 'sequence' })
  }
  expect(await refusalOf(spoil)).toMatch(/collection commits has an index of the same name .*drop it and start again/)
})

test('where nobody answers, the address is not repeated with its password', async () => {
  const refused = openMongo('mongodb://me:word@127.0.0.1:1/x?serverSelectionTimeoutMS=200', { timeLimitMs: 300 })
  await expect(refused).rejects.toThrow(/^MongoDB cannot be used: the database cannot be reached$/)
})

test('an address that is none is said to be so', async () => {
  await expect(openMongo('mongodb://a b/?nonsense=1')).rejects.toThrow(/not a MongoDB address/)
})
