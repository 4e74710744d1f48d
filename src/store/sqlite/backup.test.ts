import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { everything } from '../../search/index.js'
import { grantReach } from '../../search/reach.js'
import { StoreUnusable } from '../store.js'
import { alone } from '../testing.js'
import { backupSqlite } from './backup.js'
import { openSqlite } from './open.js'

const all = grantReach(() => everything, 'everything')
let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'backup-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test('a copy is made while the store is open, and opens as a store', async () => {
  const path = join(folder, 'a.db')
  const store = await alone(openSqlite(path))
  const put = (id: string) =>
    store.commit({
      changes: [
        {
          op: 'put',
          method: 'PUT',
          type: 'Patient',
          id,
          serialized: { head: `{"resourceType":"Patient","id":"${id}","meta":{`, tail: '}}' },
          entries: [],
          references: [],
        },
      ],
      integrity: true,
    })
  await put('one')
  const copying = backupSqlite(path, join(folder, 'b.db'))
  await put('two')
  await copying
  await store.close()
  const copy = await alone(openSqlite(join(folder, 'b.db')))
  expect((await copy.read({ type: 'Patient', id: 'one' }, all))?.version).toBe(1)
  await copy.close()
})

test('nothing is overwritten, and no store is made where none was', async () => {
  const path = join(folder, 'a.db')
  await expect(backupSqlite(path, join(folder, 'b.db'))).rejects.toThrow(StoreUnusable)
  await (await alone(openSqlite(path))).close()
  writeFileSync(join(folder, 'b.db'), 'mine')
  await expect(backupSqlite(path, join(folder, 'b.db'))).rejects.toThrow(/there already/)
})
