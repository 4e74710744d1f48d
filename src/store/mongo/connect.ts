/**
 * The way to the database, and whether it is one the store can be built on: each reason against it is a sentence.
 *
 * https://www.mongodb.com/docs/manual/reference/command/hello/
 */
import { type Db, MongoClient } from 'mongodb'
import { StoreUnusable } from '../store.js'
import { layout } from './collections.js'
import { codeOf, sentenceOf } from './failures.js'

const versionMin = 6
const skewMaxMs = 10_000

const databaseDefault = 'hospitallink'

export async function connect(url: string, timeLimitMs: number): Promise<{ client: MongoClient; db: Db }> {
  const client = newClient(url, timeLimitMs)
  try {
    await client.connect()
    const db = client.db(databaseOf(url))
    await checkServer(db)
    await checkContents(db)
    return { client, db }
  } catch (error) {
    await client.close().catch(() => undefined)
    if (error instanceof StoreUnusable) throw error
    throw new StoreUnusable(`MongoDB cannot be used: ${sentenceOf(error)}`, { cause: error })
  }
}

function newClient(url: string, timeLimitMs: number): MongoClient {
  try {
    return new MongoClient(url, {
      appName: 'hospitallink',
      retryReads: true,
      retryWrites: true,
      readPreference: 'primary',
      readConcern: { level: 'majority' },
      writeConcern: { w: 'majority', journal: true },
      serverSelectionTimeoutMS: Math.min(5_000, timeLimitMs),
      connectTimeoutMS: 5_000,
      socketTimeoutMS: 2 * timeLimitMs,
      ignoreUndefined: true,
    })
  } catch (cause) {
    throw new StoreUnusable('STORE is not a MongoDB address the driver understands', { cause })
  }
}

/** The database named in the address, ours by name otherwise. */
function databaseOf(url: string): string {
  const [, path = ''] = /^mongodb(?:\+srv)?:\/\/[^/?]*\/([^?]*)/.exec(url) ?? []
  return decodeURIComponent(path) || databaseDefault
}

async function checkServer(db: Db): Promise<void> {
  const before = Date.now()
  const hello = await db.command({ hello: 1 })
  const after = Date.now()
  if (!hello['setName'] && hello['msg'] !== 'isdbgrid')
    throw new StoreUnusable(
      'MongoDB runs standalone, and transactions need a replica set: start mongod with --replSet rs0 and run rs.initiate() once; one member is enough',
    )
  const { version } = await db.command({ buildInfo: 1 })
  if (Number.parseInt(String(version), 10) < versionMin)
    throw new StoreUnusable(`MongoDB is of version ${version}; the store needs ${versionMin}.0 or later`)
  const time = hello['localTime']
  const skew = time instanceof Date ? Math.max(before - time.getTime(), time.getTime() - after, 0) : 0
  if (skew > skewMaxMs)
    throw new StoreUnusable(
      `The clocks of MongoDB and of this machine differ by ${Math.round(skew / 1000)} seconds; let both follow a time server`,
    )
}

/** Ours, or empty; and a user who may write. */
async function checkContents(db: Db): Promise<void> {
  const about = db.collection<{ _id: string; layout: number }>('about')
  const found = await about.findOne({ _id: 'store' })
  if (found && found.layout > layout)
    throw new StoreUnusable(
      `The database "${db.databaseName}" was written by a newer version of the server (layout ${found.layout}, this one knows ${layout}); start that version`,
    )
  if (!found) {
    const others = await db.listCollections({ name: { $nin: ['about'] } }, { nameOnly: true }).toArray()
    if (others.some(({ name }) => !name.startsWith('system.')))
      throw new StoreUnusable(
        `The database "${db.databaseName}" holds collections of somebody else; name an empty one in STORE, such as mongodb://host/${databaseDefault}`,
      )
  }
  try {
    await about.updateOne({ _id: 'store' }, { $set: { layout } }, { upsert: true })
  } catch (error) {
    if (codeOf(error) !== 13) throw error
    throw new StoreUnusable(
      `The user of STORE may not write to the database "${db.databaseName}"; give it the role readWrite there`,
      { cause: error },
    )
  }
}
