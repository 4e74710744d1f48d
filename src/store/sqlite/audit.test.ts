/**
 * What somebody does to the file behind the store's back shows, and what a crash leaves in the file of appends is used.
 *
 * https://www.sqlite.org/atomiccommit.html
 */
import { appendFileSync, copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from '@jest/globals'
import Database from 'better-sqlite3'
import type { AuditEntry } from '../store.js'
import { alone, put } from '../testing.js'
import { readAppended } from './audit-file.js'
import { backupSqlite, openSqlite } from './index.js'
import { auditFileOf } from './open.js'

const folders: string[] = []
const newFolder = () => {
  const folder = mkdtempSync(join(tmpdir(), 'hospitallink-'))
  folders.push(folder)
  return folder
}
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

const entry = (id: string, at = 1000): AuditEntry => ({ id, at, keys: ['k', `of ${id}`], text: `{"id":"${id}"}` })
const open = (path: string) => alone(openSqlite(path))

async function filled(path: string, count: number): Promise<void> {
  const store = await open(path)
  for (let i = 1; i <= count; i++) {
    await store.audit.append([entry(`e${i}`)])
    if (i % 40 === 0) await store.audit.head()
  }
  await store.close()
}

test.each<[string, string, RegExp]>([
  ['an edit', `UPDATE audit SET data = CAST(replace(data, '"e50"', '"e51"') AS BLOB)`, /audit record 50 is not what/],
  [
    'a row that is gone',
    'DELETE FROM audit WHERE place = (SELECT min(place) + 32 FROM audit)',
    /audit record 33 is missing/,
  ],
  [
    'rows in another order',
    `UPDATE audit SET data = (SELECT b.data FROM audit b WHERE b.place <> audit.place AND b.place % 2 = audit.place % 2 LIMIT 1)`,
    /is not what was chained here/,
  ],
  [
    'an index row that is gone',
    'DELETE FROM audit_key WHERE bucket = (SELECT min(bucket) FROM audit_key)',
    /not found by its keys/,
  ],
  ['nothing', 'SELECT 1', /^$/],
])('%s shows in a check', async (_, statement, finding) => {
  const path = join(newFolder(), 'test.db')
  await filled(path, 100)
  const db = new Database(path)
  db.exec(statement)
  db.close()
  const store = await open(path)
  expect((await store.maintenance.check(() => [])).join('\n')).toMatch(finding)
  await store.close()
})

/** The files as a process that was killed would leave them. */
function crashed(path: string): string {
  const copy = join(newFolder(), 'test.db')
  for (const suffix of ['', '-wal', '-audit']) copyFileSync(`${path}${suffix}`, `${copy}${suffix}`)
  return copy
}

test('what was appended and not chained yet is chained when the store is opened again', async () => {
  const path = join(newFolder(), 'test.db')
  const store = await open(path)
  await store.commit({ changes: [put('Patient/1')], audit: () => [entry('made')], integrity: true })
  await Promise.all([
    store.audit.append([entry('e1'), entry('e2')]),
    store.database.tenant('b').audit.append([entry('e1')]),
  ])
  await store.audit.append([entry('e3')])
  const copy = crashed(path)
  await store.close()

  const again = await open(copy)
  expect((await again.audit.chain(0, 10)).map(({ id }) => id)).toEqual(['made', 'e1', 'e2', 'e3'])
  expect((await again.database.tenant('b').audit.chain(0, 10)).map(({ id }) => id)).toEqual(['e1'])
  await again.audit.append([entry('e4')])
  expect(await again.maintenance.check(() => [])).toEqual([])
  await again.close()
  const last = await open(copy)
  expect((await last.audit.chain(0, 10)).map(({ id }) => id)).toEqual(['made', 'e1', 'e2', 'e3', 'e4'])
  await last.close()
})

test('when the power goes, what was chained without being synced is chained anew, in the same order', async () => {
  const path = join(newFolder(), 'test.db')
  const store = await open(path)
  await store.commit({ changes: [put('Patient/1')], audit: () => [entry('made')], integrity: true })
  // The log is folded into the file when nobody writes for a while.
  for (let tries = 0; statSync(`${path}-wal`).size > 0 && tries < 100; tries++)
    await new Promise((resolve) => setTimeout(resolve, 50))
  const ids = Array.from({ length: 700 }, (_, i) => `e${i}`)
  for (let i = 0; i < ids.length; i += 50) await store.audit.append(ids.slice(i, i + 50).map((id) => entry(id)))
  for (let tries = 0; statSync(`${path}-wal`).size === 0 && tries < 100; tries++)
    await new Promise((resolve) => setTimeout(resolve, 20))
  const copy = crashed(path)
  rmSync(`${copy}-wal`)
  await store.close()
  const again = await open(copy)
  expect((await again.audit.chain(0, 1000)).map(({ id }) => id)).toEqual(['made', ...ids])
  expect(await again.maintenance.check(() => [])).toEqual([])
  await again.close()
})

test('a write that was cut off was not acknowledged and is passed over', async () => {
  const path = join(newFolder(), 'test.db')
  const store = await open(path)
  await store.audit.append([entry('e1')])
  await store.audit.append([entry('e2')])
  const copy = crashed(path)
  await store.close()
  const { end } = readAppended(auditFileOf(copy))
  const bytes = readFileSync(auditFileOf(copy))
  bytes[end - 3]! ^= 1
  writeFileSync(auditFileOf(copy), bytes)
  const again = await open(copy)
  expect((await again.audit.chain(0, 10)).map(({ id }) => id)).toEqual(['e1'])
  await again.audit.append([entry('e3')])
  expect((await again.audit.chain(0, 10)).map(({ id }) => id)).toEqual(['e1', 'e3'])
  await again.close()
})

test('a file of appends that is not one is left out', async () => {
  const path = join(newFolder(), 'test.db')
  await filled(path, 3)
  appendFileSync(auditFileOf(path), 'x'.repeat(100))
  writeFileSync(auditFileOf(path), 'something else, and shorter than it was')
  const store = await open(path)
  expect(await store.audit.chain(0, 10)).toHaveLength(3)
  await store.audit.append([entry('e4')])
  expect(await store.audit.chain(0, 10)).toHaveLength(4)
  await store.close()
})

test('a backup made by another process has what was appended, chained or not', async () => {
  const path = join(newFolder(), 'test.db')
  const store = await open(path)
  for (let i = 1; i <= 5; i++) await store.audit.append([entry(`e${i}`)])
  const copy = join(newFolder(), 'copy.db')
  await backupSqlite(path, copy)
  const head = await store.audit.head()
  await store.close()
  const restored = await open(copy)
  expect(await restored.audit.head()).toEqual(head)
  expect(await restored.maintenance.check(() => [])).toEqual([])
  await restored.close()
})

test('a record is found among many thousands', async () => {
  const path = join(newFolder(), 'test.db')
  const store = await open(path)
  const many = Array.from({ length: 20_000 }, (_, i) => entry(`e${i}`, 1000 + i))
  for (let i = 0; i < many.length; i += 1000) await store.audit.append(many.slice(i, i + 1000))
  for (const i of [0, 1, 4094, 4095, 4096, 4097, 9999, 19_999]) {
    expect(await store.audit.read(`e${i}`)).toMatchObject(many[i]!)
    expect(await store.audit.find({ key: `of e${i}`, count: 5 })).toHaveLength(1)
    expect((await store.audit.find({ key: 'k', hi: 1000 + i, count: 1 }))[0]?.id).toBe(`e${i}`)
    expect((await store.audit.find({ lo: 1000 + i, ascending: true, count: 1 }))[0]?.id).toBe(`e${i}`)
  }
  expect(await store.audit.find({ key: 'k', hi: 999, count: 1 })).toEqual([])
  expect(await store.maintenance.check(() => [])).toEqual([])
  await store.close()
})
