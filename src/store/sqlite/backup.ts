/**
 * A consistent copy of the file, made by any process, also while the server writes to it.
 *
 * https://www.sqlite.org/backup.html
 */
import { existsSync } from 'node:fs'
import Database from 'better-sqlite3'
import { StoreUnusable } from '../store.js'
import { connect } from './connection.js'

/** Pages copied before others have their turn. */
const backupPages = 256

/** @throws StoreUnusable */
export async function backupSqlite(path: string, to: string): Promise<void> {
  if (!existsSync(path)) throw new StoreUnusable(`there is no store at ${path}`)
  if (existsSync(to)) throw new StoreUnusable(`${to} is there already: name a new file`)
  const db = connect(path, 'reader')
  try {
    // One state of the file throughout, whatever is written meanwhile.
    db.exec('BEGIN')
    db.prepare('SELECT count(*) FROM sqlite_schema').get()
    await db.backup(to, { progress: () => backupPages })
  } finally {
    db.close()
  }
  const copy = new Database(to, { readonly: true })
  try {
    const [finding] = copy.pragma('quick_check(1)') as { quick_check: string }[]
    if (finding?.quick_check !== 'ok') throw new StoreUnusable(`the copy is not whole: ${finding?.quick_check}`)
  } finally {
    copy.close()
  }
}
