/**
 * One process at a time: what the writer remembers of the file must stay true.
 *
 * https://www.sqlite.org/lockingv3.html
 *
 * The lock is a small file beside the store, held by the operating system, so it is gone when the process is, however
 * it ended.
 */
import Database from 'better-sqlite3'

/** @returns what releases it. */
export function lock(path: string): () => void {
  const db = new Database(`${path}.lock`, { timeout: 0 })
  try {
    db.pragma('journal_mode = MEMORY')
    db.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    db.close()
    throw new Error(
      `${path} is in use by another process: stop it first, or send the request to it (a server that runs makes backups and reindexes itself)`,
      { cause: error },
    )
  }
  return () => db.close()
}
