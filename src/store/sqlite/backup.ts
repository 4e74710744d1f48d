/**
 * A consistent copy of the file, made by any process, also while the server writes to it. What was appended to the audit
 * log and waits beside the file is in the copy.
 *
 * https://www.sqlite.org/backup.html
 */
import { existsSync, rmSync } from 'node:fs'
import Database from 'better-sqlite3'
import { StoreUnusable } from '../store.js'
import { type Appended, AuditFile, disk, readAppended } from './audit-file.js'
import { connect } from './connection.js'
import { auditFileOf, openSqlite } from './open.js'

/** Pages copied before others have their turn. */
const backupPages = 256

/** @throws StoreUnusable */
export async function backupSqlite(path: string, to: string): Promise<void> {
  if (!existsSync(path)) throw new StoreUnusable(`there is no store at ${path}`)
  if (existsSync(to)) throw new StoreUnusable(`${to} is there already: name a new file`)
  // First what is appended to the audit log: whatever of it the copy lacks is in what was read.
  const { appended } = readAppended(auditFileOf(path))
  const db = connect(path, 'reader')
  try {
    // One state of the file throughout, whatever is written meanwhile.
    db.exec('BEGIN')
    db.prepare('SELECT count(*) FROM sqlite_schema').get()
    await db.backup(to, { progress: () => backupPages })
  } finally {
    db.close()
  }
  if (appended.length) await takeOver(to, appended)
  const copy = new Database(to, { readonly: true })
  try {
    const [finding] = copy.pragma('quick_check(1)') as { quick_check: string }[]
    if (finding?.quick_check !== 'ok') throw new StoreUnusable(`the copy is not whole: ${finding?.quick_check}`)
  } finally {
    copy.close()
  }
}

/** The copy is opened with the entries beside it, which chains those that it lacks. */
async function takeOver(to: string, appended: readonly Appended[]): Promise<void> {
  const beside = auditFileOf(to)
  const file = new AuditFile(beside, disk)
  await file.write(appended, true)
  file.close()
  const store = await openSqlite(to)
  await store.close()
  rmSync(beside)
  rmSync(`${to}.lock`, { force: true })
}
