/** A database the store cannot be built on is refused at the start, in a sentence a person can act on. */
import { type AddressInfo, createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type Document, MongoClient } from 'mongodb'
import { alone } from '../testing.js'
import { layout } from './collections.js'
import { openMongo } from './index.js'
import { databaseOf, dropDatabase, type Mongod, type Pose, startMongod, startStandIn } from './testing.js'

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
  expect(await refusalOf((client) => about(client, { layout }))).toBe('accepted')
})

test('data of a newer version is left alone', async () => {
  expect(await refusalOf((client) => about(client, { layout: 99 }))).toMatch(
    /written by a newer version .*layout 99.*start that version/,
  )
})

test('data of an older layout is not misread', async () => {
  expect(await refusalOf((client) => about(client, { layout: 1 }))).toMatch(/no longer reads .*load it anew/)
})

test("somebody else's collections are left alone", async () => {
  expect(await refusalOf((client) => client.db().collection('Patient').insertOne({ name: 'x' }))).toMatch(
    /holds collections of somebody else; name an empty one/,
  )
})

test('an index of our name with other keys is named', async () => {
  const spoil = async (client: MongoClient) => {
    await about(client, { layout })
    await client.db().collection('commits').createIndex({ other: 1 }, { name: 'sequence' })
  }
  expect(await refusalOf(spoil)).toMatch(/collection commits has an index of the same name .*drop it and start again/)
})

test('where nobody listens, the address is not repeated with its password', async () => {
  const refused = openMongo('mongodb://me:word@127.0.0.1:1/x?serverSelectionTimeoutMS=200', { timeLimitMs: 300 })
  await expect(refused).rejects.toThrow(/^MongoDB cannot be used: the database cannot be reached$/)
})

test('an address that is none is said to be so', async () => {
  await expect(openMongo('mongodb://a b/?nonsense=1')).rejects.toThrow(/not a MongoDB address/)
})

describe('a server the store cannot be built on is told apart (the stand-in poses as it)', () => {
  test.each<[string, Pose, string, RegExp]>([
    ['a standalone', { standalone: true }, '', /^MongoDB runs standalone.*start mongod with --replSet rs0/],
    ['a standalone', { standalone: true }, '?replicaSet=rs0', /no address in STORE is of a member of the replica set/],
    ['another set', {}, '?replicaSet=other', /no address in STORE is of a member of the replica set/],
    ['version 5.0.9', { version: '5.0.9' }, '', /^MongoDB is of version 5\.0\.9; the store needs 6\.0 or later$/],
    ['version 4.2.1', { version: '4.2.1' }, '', /^MongoDB cannot be used: it is older than the version 6\.0/],
    [
      'a clock that is ahead',
      { skewMs: 60_000 },
      '',
      /clocks .* differ by (59|60) seconds; let both follow a time server/,
    ],
    ['a clock that is behind', { skewMs: -60_000 }, '', /differ by (59|60) seconds/],
    [
      'a reader',
      { user: { role: 'read', db: 'mine' } },
      '',
      /may not read and write .*"mine"; give it the role readWrite/,
    ],
    ["another database's user", { user: { role: 'readWrite', db: 'x' } }, '', /may not read and write .*"mine"/],
  ])('%s: %j %s', async (_, pose, query, sentence) => {
    const standIn = await startStandIn({ pose })
    try {
      const opening = openMongo(`mongodb://127.0.0.1:${standIn.port}/mine${query}`, { timeLimitMs: 500 })
      await expect(opening).rejects.toMatchObject({ name: 'StoreUnusable', passing: true })
      await expect(opening).rejects.toThrow(sentence)
    } finally {
      await standIn.close()
    }
  })

  test('a clock that differs by little, and versions 6 to 8, are taken', async () => {
    for (const pose of [{ skewMs: 5_000 }, { version: '6.0.1' }, { version: '8.0.4' }]) {
      const standIn = await startStandIn({ pose })
      const store = await alone(openMongo(databaseOf(standIn.url)))
      await store.close()
      await standIn.close()
    }
  })

  test('a set without a primary, and one member that is not it', async () => {
    const standIn = await startStandIn()
    standIn.server.steppedDownUntil = Number.POSITIVE_INFINITY
    await expect(openMongo(databaseOf(standIn.url), { timeLimitMs: 300 })).rejects.toThrow(/no primary at the moment/)
    const direct = `mongodb://127.0.0.1:${standIn.port}/x?directConnection=true`
    await expect(openMongo(direct, { timeLimitMs: 300 })).rejects.toThrow(/not the primary: name all members/)
    await standIn.close()
  })

  test('a host that no name service knows', async () => {
    const opening = openMongo('mongodb://db.invalid/x', { timeLimitMs: 300 })
    await expect(opening).rejects.toThrow(/host named in STORE is not known to the name service/)
  })

  test('something that listens and is no MongoDB', async () => {
    const server = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const opening = openMongo(`mongodb://127.0.0.1:${port}/x`, { timeLimitMs: 300 })
    await expect(opening).rejects.toThrow(/^MongoDB cannot be used: the database cannot be reached$/)
    server.close()
  })

  test('a file of certificates that is not there', async () => {
    const opening = openMongo('mongodb://127.0.0.1:1/x?tls=true&tlsCAFile=/nowhere.pem', { timeLimitMs: 300 })
    await expect(opening).rejects.toThrow('A file that STORE names, such as tlsCAFile, is not there')
  })
})
