/** The embedded store keeps the contract, and agrees with the matcher however it goes about a search. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { agreement } from './agreement.js'
import { contract } from './contract.js'
import { openSqlite, type SqliteOptions } from './sqlite/index.js'
import { alone, commit, type Engine, put, token } from './testing.js'

const sqlite = (name: string, own: SqliteOptions = {}): Engine => ({
  name,
  open: async (options) => {
    const folder = mkdtempSync(join(tmpdir(), 'hospitallink-'))
    const open = () => alone(openSqlite(join(folder, 'test.db'), { ...own, ...options }))
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
        rmSync(folder, { recursive: true })
      },
    }
  },
  restore: (path) => alone(openSqlite(path)),
})

const eager = {
  probesMax: 1,
  termsMax: 2,
  partsMax: 2,
  setMax: 2,
  sortedMin: 0,
  scannedMin: 2,
  repeatedMin: 1,
  timelineMin: 1,
  fewMax: 2,
  wordingMax: 5,
}

contract(sqlite('SQLite'))

test('a small commit does not wait for all of a large one', async () => {
  const { store, dispose } = await sqlite('SQLite').open()
  const order: string[] = []
  const changes = Array.from({ length: 1000 }, (_, i) => put(`Observation/${i}`, { entries: [token('code', `${i}`)] }))
  await Promise.all([
    store.commit({ changes, integrity: true }).then(() => order.push('large')),
    commit(store, put('Patient/1')).then(() => order.push('small')),
  ])
  expect(order).toEqual(['small', 'large'])
  await dispose()
})

agreement(sqlite('SQLite'))
agreement(sqlite('SQLite as with many resources', { tuning: eager }))
