/**
 * One process at a time: what the writer remembers of the file must stay true.
 *
 * https://www.sqlite.org/lockingv3.html
 *
 * The lock is a small file beside the store, held by the operating system, so it is gone when the process is, however
 * it ended.
 */
import Database from 'better-sqlite3'
import { StoreUnusable } from '../store.js'

/** @returns what releases it. */
export function lock(path: string): () => void {
  const db = new Database(`${path}.lock`, { timeout: 0 })
  try {
    db.pragma('journal_mode = MEMORY')
    db.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    db.close()
    throw new StoreUnusable(
      `${path} is in use by another process: stop it first (a backup can be made while it runs)`,
      { cause: error },
    )
  }
  return () => db.close()
}
