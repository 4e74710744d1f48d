import { appendFileSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import Database from 'better-sqlite3'
import { Binary, MongoClient } from 'mongodb'
import { auditCommands } from './audit-command.js'
import type { Input, Operated } from './command.js'
import { readConfig } from './config.js'
import { startServer } from './server.js'
import { openSite, type Site } from './site.js'
import { genesis, linkOf } from './store/audit-chain.js'
import { commitsCollection } from './store/mongo/marks.js'
import { type Mongod, startMongod } from './store/mongo/testing.js'
import { unpackRecords } from './store/sqlite/audit-rows.js'
import type { AuditEntry } from './store/store.js'

type Record = AuditEntry & { hash: Buffer }

/** What somebody who can write the files or documents might do. */
const tamperings: [string, (records: Record[]) => Record[], found: RegExp][] = [
  ['an edit', (all) => all.with(3, { ...all[3]!, text: all[3]!.text.replace('"read"', '"vread"') }), /record 4 is not/],
  ['another patient', (all) => all.with(3, { ...all[3]!, keys: ['Patient/other'] }), /record 4 is not/],
  ['another time', (all) => all.with(3, { ...all[3]!, at: all[3]!.at - 1 }), /record 4 is/],
  ['a gap', (all) => all.toSpliced(3, 1), /record 4 is not/],
  ['another order', (all) => all.with(2, all[3]!).with(3, all[2]!), /record 3 is not/],
  [
    'an insertion',
    (all) => all.toSpliced(3, 0, chained(all[2]!.hash, { ...all[3]!, id: 'forged' })),
    /record 5 is not/,
  ],
  ['a repetition', (all) => all.toSpliced(3, 0, all[2]!), /record 4 is not/],
  ['a missing end', (all) => all.slice(0, -4), /the end of the chain is missing/],
  [
    'a chain made anew after an edit',
    (all) => anew(all.with(3, { ...all[3]!, text: '{}' })),
    /differs from its anchor/,
  ],
  ['a chain made anew without a record', (all) => anew(all.toSpliced(3, 1)), /differs from its anchor/],
]

const chained = (previous: Buffer, entry: AuditEntry): Record => ({ ...entry, hash: linkOf(previous, entry) })

function anew(records: readonly Record[]): Record[] {
  let hash: Buffer = genesis
  return records.map((record) => {
    hash = linkOf(hash, record)
    return { ...record, hash }
  })
}

const audit = (site: Site, command: string, input: Input = {}) =>
  auditCommands.actions[`audit ${command}`]!({ site } as Operated, input)

/** Some patients, read by somebody. */
async function someAccesses(base: string): Promise<void> {
  const headers = { 'content-type': 'application/fhir+json' }
  for (let i = 0; i < 4; i++) {
    const body = JSON.stringify({ resourceType: 'Patient', id: `p${i}` })
    await fetch(`${base}/Patient/p${i}`, { method: 'PUT', body, headers })
    await fetch(`${base}/Patient/p${i}`)
  }
}

const settings = { AUTH: 'off', AUDIT: 'on', PORT: '0', LOG_LEVEL: 'silent', CLOSE_TIMEOUT: '1' }
let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hospitallink-'))
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** All the log has is chained. */
async function settled(site: Site): Promise<void> {
  const { audit: log } = site.database.tenant('default')
  for (let tries = 0; tries < 200; tries++) {
    const head = await log.head()
    if (head && (await log.find({ count: 1 }))[0]?.sequence === head.sequence) return
    await sleep(50)
  }
}

describe('a SQLite file', () => {
  let anchors: string
  let original: string

  beforeAll(async () => {
    original = join(folder, 'original.db')
    anchors = join(folder, 'anchors')
    const server = await startServer(readConfig({ ...settings, STORE: `sqlite:${original}` }))
    await someAccesses(`${server.origin}/fhir`)
    writeFileSync(anchors, `${(await audit(server.site, 'anchor')).join('\n')}\n`)
    await someAccesses(`${server.origin}/fhir`)
    appendFileSync(anchors, `${(await audit(server.site, 'anchor')).join('\n')}\n`)
    writeFileSync(join(folder, 'key.json'), (await audit(server.site, 'key'))[0]!)
    await server.close()
  })

  const copied = (name: string): string => {
    const path = join(folder, `${name.replace(/\W/g, '-')}.db`)
    for (const suffix of ['', '-wal', '-audit'])
      try {
        copyFileSync(original + suffix, path + suffix)
      } catch {
        // There may be none.
      }
    return path
  }

  const verify = async (path: string, input: Input = {}): Promise<string[]> => {
    const site = await openSite(readConfig({ ...settings, STORE: `sqlite:${path}` }))
    try {
      return await audit(site, 'verify', input)
    } finally {
      await site.close()
    }
  }

  function tamper(path: string, change: (records: Record[]) => Record[]): void {
    const db = new Database(path)
    const rows = db.prepare('SELECT place, data FROM audit ORDER BY place').all() as { place: number; data: Buffer }[]
    const before = rows.flatMap(({ data }) => unpackRecords(1, data))
    db.prepare('DELETE FROM audit').run()
    change(before).forEach(({ id, at, keys, text, hash }, index) => {
      const bytes = Buffer.from(`${JSON.stringify([id, at, ...keys])}\n${text}`)
      const length = Buffer.alloc(4)
      length.writeUInt32LE(bytes.length)
      const insert = db.prepare('INSERT INTO audit (place, lo, data) VALUES (?, ?, ?)')
      insert.run(rows[0]!.place + index, at, Buffer.concat([length, hash, bytes]))
    })
    db.close()
  }

  test('as it was written is in order', async () => {
    expect(await verify(copied('same'))).toEqual([
      expect.stringMatching(/^\d+ records of default, held against \d+ anchors: all in order\.$/),
    ])
    const kept = { anchor: anchors, key: join(folder, 'key.json') }
    expect(await verify(copied('kept'), kept)).toEqual([expect.stringMatching(/all in order/)])
  })

  test('packed in another way is the same log', async () => {
    const path = copied('repacked')
    tamper(path, (all) => all)
    expect(await verify(path)).toEqual([expect.stringMatching(/all in order/)])
  })

  test.each(tamperings)('%s is found', async (name, change, found) => {
    const path = copied(name)
    tamper(path, change)
    await expect(verify(path)).rejects.toThrow(found)
  })

  test('a missing end is found by anchors kept elsewhere, also where those in the store are gone', async () => {
    const path = copied('cut')
    tamper(path, (all) => all.slice(0, 2))
    const db = new Database(path)
    db.prepare("DELETE FROM secret WHERE CAST(key AS TEXT) LIKE '%audit/anchor/%'").run()
    db.close()
    expect(await verify(path)).toEqual([expect.stringMatching(/all in order/)])
    await expect(verify(path, { anchor: anchors })).rejects.toThrow(/the end of the chain is missing/)
  })

  test('anchors that somebody else signed prove nothing', async () => {
    const forged = join(folder, 'forged')
    const line = readFileSync(anchors, 'utf8').split('\n')[0]!
    writeFileSync(forged, `${line.slice(0, -6)}AAAAAA\nnonsense\n`)
    await expect(verify(copied('forged'), { anchor: forged })).rejects.toThrow(/not signed by the key of this site/)
  })

  test.each([
    ['anchor', 'no-such-file', /cannot be read/],
    ['key', 'anchors', /holds no key/],
  ])('--%s %s: a sentence', async (option, name, sentence) => {
    await expect(verify(copied(`sentence-${option}`), { [option]: join(folder, name) })).rejects.toThrow(sentence)
  })
})

describe('documents in MongoDB', () => {
  let mongod: Mongod
  let client: MongoClient
  let records: Record[]
  const name = 'audit-tampering'

  beforeAll(async () => {
    mongod = await startMongod()
    client = await new MongoClient(mongod.url).connect()
    const server = await startServer(readConfig({ ...settings, STORE: storeUrl() }))
    await someAccesses(`${server.origin}/fhir`)
    await settled(server.site)
    await audit(server.site, 'anchor')
    await someAccesses(`${server.origin}/fhir`)
    await settled(server.site)
    await audit(server.site, 'anchor')
    await settled(server.site)
    await server.close()
    const documents = await log()
      .find({ sq: { $gt: 0 } })
      .sort({ sq: 1 })
      .toArray()
    records = documents.map(({ hash, ...rest }) => ({
      ...(rest as unknown as AuditEntry),
      hash: Buffer.from((hash as Binary).buffer),
    }))
  }, 60_000)

  afterAll(async () => {
    await client?.db(name).dropDatabase()
    await client?.close()
    await mongod?.close()
  })

  const storeUrl = (): string => {
    const url = new URL(mongod.url)
    url.pathname = `/${name}`
    return url.href
  }
  const log = () => client.db(name).collection(commitsCollection)

  const verify = async (): Promise<string[]> => {
    const site = await openSite(readConfig({ ...settings, STORE: storeUrl() }))
    try {
      return await audit(site, 'verify')
    } finally {
      await site.close()
    }
  }

  async function write(changed: readonly Record[]): Promise<void> {
    await log().deleteMany({ sq: { $gte: 0 } })
    await log().insertMany(
      changed.map(({ hash, ...entry }, index) => ({
        ...entry,
        _id: `${index} ${entry.id}` as never,
        t: 'default',
        w: index,
        sq: index + 1,
        hash: new Binary(hash),
      })),
    )
  }

  test('as they were written are in order', async () => {
    expect(await verify()).toEqual([expect.stringMatching(/all in order/)])
  }, 30_000)

  test.each(tamperings)(
    '%s is found',
    async (_, change, found) => {
      await write(change(records))
      try {
        await expect(verify()).rejects.toThrow(found)
      } finally {
        await write(records)
      }
    },
    30_000,
  )
})
