/**
 * The way to the database, and whether it is one the store can be built on: each reason against it is a sentence.
 *
 * https://www.mongodb.com/docs/manual/reference/command/hello/
 */
import { type Db, MongoClient, type MongoClientOptions, MongoError } from 'mongodb'
import { StoreUnavailable, StoreUnusable } from '../store.js'
import { layout } from './collections.js'
import { codeOf, isOfTheWay, sentenceOf } from './failures.js'

const versionMin = 6
const skewMaxMs = 10_000

const databaseDefault = 'hospitallink'

export async function connect(url: string, timeLimitMs: number): Promise<{ client: MongoClient; db: Db }> {
  const client = newClient(url, timeLimitMs)
  try {
    await client.connect()
    const db = client.db(databaseOf(url))
    await checkServer(db)
    await checkContents(db, timeLimitMs)
    return { client, db }
  } catch (error) {
    await client.close().catch(() => undefined)
    throw unusable(error)
  }
}

/** What keeps the store from being opened, as a sentence, where it is no bug of ours; it can be mended while we wait. */
export function unusable(error: unknown): unknown {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT')
    return new StoreUnusable('A file that STORE names, such as tlsCAFile, is not there', { cause: error })
  if (error instanceof StoreUnavailable)
    return new StoreUnusable(error.message, { cause: error.cause ?? error, passing: true })
  if (!(error instanceof MongoError) && !isOfTheWay(error)) return error
  return new StoreUnusable(`MongoDB cannot be used: ${sentenceOf(error)}`, { cause: error, passing: true })
}

const refuse = (sentence: string, cause?: unknown): never => {
  throw new StoreUnusable(sentence, { passing: true, ...(cause !== undefined && { cause }) })
}

export function newClient(url: string, timeLimitMs: number): MongoClient {
  try {
    return new MongoClient(url, {
      retryReads: true,
      retryWrites: true,
      readPreference: 'primary',
      readConcern: { level: 'majority' },
      writeConcern: { w: 'majority', journal: true },
      ignoreUndefined: true,
      ...unnamed(url, {
        appName: 'hospitallink',
        serverSelectionTimeoutMS: Math.min(5_000, timeLimitMs),
        connectTimeoutMS: 5_000,
        // The server's own limit, which every command carries, comes first.
        socketTimeoutMS: timeLimitMs + 1_000,
        waitQueueTimeoutMS: timeLimitMs,
      }),
    })
  } catch (cause) {
    throw new StoreUnusable('STORE is not a MongoDB address the driver understands', { cause })
  }
}

/** Who names one of these in the address wants it so. */
const unnamed = (url: string, options: MongoClientOptions): MongoClientOptions =>
  Object.fromEntries(Object.entries(options).filter(([name]) => !new RegExp(`[?&]${name}=`, 'i').test(url)))

/** The database named in the address, ours by name otherwise. */
function databaseOf(url: string): string {
  const [, path = ''] = /^mongodb(?:\+srv)?:\/\/[^/?]*\/([^?]*)/.exec(url) ?? []
  return decodeURIComponent(path) || databaseDefault
}

async function checkServer(db: Db): Promise<void> {
  const before = Date.now()
  const hello = await db.command({ hello: 1 })
  const after = Date.now()
  const { version } = await db.command({ buildInfo: 1 })
  if (Number.parseInt(String(version), 10) < versionMin)
    refuse(`MongoDB is of version ${version}; the store needs ${versionMin}.0 or later`)
  if (!hello['setName'] && hello['msg'] !== 'isdbgrid')
    refuse(
      'MongoDB runs standalone, and transactions need a replica set: start mongod with --replSet rs0 and run rs.initiate() once; one member is enough',
    )
  if (hello['setName'] && !hello['isWritablePrimary'])
    refuse(
      'STORE names one member of the replica set, which is not the primary: name all members and replicaSet=…, without directConnection',
    )
  const time = hello['localTime']
  const skew = time instanceof Date ? Math.max(before - time.getTime(), time.getTime() - after, 0) : 0
  if (skew > skewMaxMs)
    refuse(
      `The clocks of MongoDB and of this machine differ by ${Math.round(skew / 1000)} seconds; let both follow a time server`,
    )
}

/** Ours, or empty; and a user who may write. */
async function checkContents(db: Db, timeLimitMs: number): Promise<void> {
  const about = db.collection<{ _id: string; layout: number }>('about')
  const found = await allowed(db, about.findOne({ _id: 'store' }, { maxTimeMS: timeLimitMs }))
  if (found && found.layout > layout)
    refuse(
      `The database "${db.databaseName}" was written by a newer version of the server (layout ${found.layout}, this one knows ${layout}); start that version`,
    )
  if (found && found.layout < layout)
    refuse(
      `The database "${db.databaseName}" has a layout this version no longer reads (${found.layout}, this one knows ${layout}); load it anew, or start the version that wrote it`,
    )
  if (!found) {
    const others = await db.listCollections({ name: { $nin: ['about'] } }, { nameOnly: true }).toArray()
    if (others.some(({ name }) => !name.startsWith('system.')))
      refuse(
        `The database "${db.databaseName}" holds collections of somebody else; name an empty one in STORE, such as mongodb://host/${databaseDefault}`,
      )
  }
  await allowed(db, about.updateOne({ _id: 'store' }, { $set: { layout } }, { upsert: true, maxTimeMS: timeLimitMs }))
}

async function allowed<T>(db: Db, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (codeOf(error) !== 13) throw error
    return refuse(
      `The user of STORE may not read and write the database "${db.databaseName}"; give it the role readWrite there`,
      error,
    )
  }
}
