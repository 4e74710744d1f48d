/**
 * A MongoDB to test against: MONGODB_URL, else a `mongod` on the PATH or in MONGOMS_SYSTEM_BINARY, else the stand-in.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { accessSync, constants, mkdtempSync, rmSync, writeSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll } from '@jest/globals'
import { MongoClient } from 'mongodb'
import type { Engine } from '../testing.js'
import { alone } from '../testing.js'
import { type MongoOptions, openMongo } from './index.js'

export type Mongod = { url: string; port: number; standIn: boolean; close(): Promise<void> }

export async function startMongod(): Promise<Mongod> {
  const given = process.env['MONGODB_URL']
  if (given) {
    say('the MongoDB of MONGODB_URL')
    return { url: given, port: Number(new URL(given).port || 27017), standIn: false, close: async () => {} }
  }
  const binary = process.env['MONGOMS_SYSTEM_BINARY'] ?? onPath('mongod')
  if (binary) {
    say(`a real mongod, ${binary}`)
    return real(binary)
  }
  say('the stand-in of scripts/mongod: no MONGODB_URL, and no mongod on the PATH')
  const { startMongod: standIn } = (await import(standInModule)) as {
    startMongod(): Promise<{ url: string; port: number; close(): Promise<void> }>
  }
  const { url, port, close } = await standIn()
  return { url, port, standIn: true, close }
}

/** What the stand-in can pass itself off as: scripts/mongod/pose.mjs. */
export type Pose = {
  standalone?: boolean
  version?: string
  skewMs?: number
  user?: { role: 'read' | 'readWrite'; db: string }
}

/** The stand-in, also where a real MongoDB is at hand: for what a real one cannot be made to say in a test. */
export async function startStandIn(options: { pose?: Pose; tls?: { key: string; cert: string; ca?: string } } = {}) {
  const { startMongod: start } = (await import(standInModule)) as {
    startMongod(options: object): Promise<{
      url: string
      port: number
      server: { steppedDownUntil: number; counts: Map<string, number>; forbidden: string[]; pose: Pose }
      close(): Promise<void>
    }>
  }
  return start(options)
}

export type Fate =
  | 'cutReply'
  | 'cutRequest'
  | 'dropReply'
  | 'dropRequest'
  | { delayMs: number }
  | ((name: string) => Promise<unknown>)

/** A way to the database that loses what it is told to lose. */
export async function startProxy(port: number) {
  const { startProxy: start } = (await import(proxyModule)) as {
    startProxy(target: { port: number }): Promise<{
      url: string
      commands: string[]
      /** What each of them names first: its collection, mostly. */
      collections: unknown[]
      reset(): void
      plan(n: number, fate: Fate): void
      down(): void
      /** Takes everything and answers nothing. */
      silence(): void
      up(): void
      close(): Promise<void>
    }>
  }
  return start({ port })
}

const proxyModule = new URL('../../../scripts/mongod/proxy.mjs', import.meta.url).href
const standInModule = new URL('../../../scripts/mongod/server.mjs', import.meta.url).href

/** Jest keeps back what is printed by other means. */
const say = (what: string): void => {
  writeSync(1, `MongoDB: tested on ${what}\n`)
}

function onPath(name: string): string | undefined {
  return (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK)
        return true
      } catch {
        return false
      }
    })
}

/** A replica set of one, in a folder that goes with it. */
async function real(binary: string): Promise<Mongod> {
  const folder = mkdtempSync(join(tmpdir(), 'hospitallink-mongod-'))
  const port = await freePort()
  const child = spawn(
    binary,
    [
      '--replSet',
      'rs0',
      '--port',
      String(port),
      '--dbpath',
      folder,
      '--bind_ip',
      '127.0.0.1',
      '--setParameter',
      'enableTestCommands=1',
    ],
    { stdio: 'ignore' },
  )
  const url = `mongodb://127.0.0.1:${port}/?directConnection=true`
  const client = new MongoClient(url, { serverSelectionTimeoutMS: 60_000 })
  const admin = client.db('admin')
  await admin.command({ replSetInitiate: { _id: 'rs0', members: [{ _id: 0, host: `127.0.0.1:${port}` }] } })
  while (!(await admin.command({ hello: 1 }))['isWritablePrimary']) await pause(50)
  await client.close()
  return {
    url,
    port,
    standIn: false,
    close: async () => {
      await ended(child)
      rmSync(folder, { recursive: true })
    },
  }
}

const ended = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    child.once('exit', () => resolve())
    child.kill()
  })

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })

/** The address of a database of its own. */
export function databaseOf(url: string, name = `test-${randomBytes(6).toString('hex')}`): string {
  const at = new URL(url)
  at.pathname = `/${name}`
  return at.href
}

export async function dropDatabase(url: string): Promise<void> {
  const client = new MongoClient(url)
  await client.db(new URL(url).pathname.slice(1)).dropDatabase()
  await client.close()
}

/** One MongoDB for a file of tests; each opens a database of its own. */
export function mongo(own: MongoOptions = {}): Engine {
  let mongod: Mongod | undefined
  beforeAll(async () => {
    mongod = await startMongod()
  })
  afterAll(async () => {
    await mongod?.close()
  })
  const engine = {
    name: 'MongoDB',
    restore: async () => {
      throw new Error('MongoDB is backed up by its own tools')
    },
    skip: Object.fromEntries(
      [
        'a backup made while others write is a whole store',
        'all tenants come back when the store is opened again, and from a backup',
        'a check verifies the chain, and a backup contains it',
      ].map((name) => [name, 'MongoDB is backed up by its own tools']),
    ),
    open: async (options?: MongoOptions) => {
      const url = databaseOf(mongod!.url)
      const open = () => alone(openMongo(url, { ...own, ...options }))
      let store = await open()
      return {
        store,
        reopen: async () => {
          await store.close()
          store = await open()
          return store
        },
        dispose: async () => {
          await store.close()
          await dropDatabase(url)
        },
      }
    },
  }
  return engine
}
