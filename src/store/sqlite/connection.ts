/**
 * One connection to the file, with its prepared statements.
 *
 * https://www.sqlite.org/wal.html
 *
 * Statements are kept by their text (a few hundred shapes); those used least recently are let go.
 */
import Database from 'better-sqlite3'
import type { Sql } from './sql.js'

export type Row = Record<string, string | number | null | Buffer>

/** Opens a file; tests put a connection between that fails when told to. */
export type Connect = (path: string, role: 'writer' | 'reader') => Database.Database

export const connect: Connect = (path, role) => {
  const db = new Database(path, { timeout: 0 })
  // The defaults are for a phone: 8 KB pages hold a resource each, and neither cache nor map may fill the memory.
  db.pragma('page_size = 8192')
  if (role === 'writer') db.pragma('journal_mode = WAL')
  // better-sqlite3 compiles WAL with NORMAL, which may lose acknowledged commits when the power goes.
  db.pragma('synchronous = FULL')
  db.pragma(`cache_size = ${role === 'writer' ? -24_000 : -24_000}`)
  db.pragma('temp_store = MEMORY')
  db.pragma('journal_size_limit = 16777216')
  if (role === 'reader') db.pragma('query_only = ON')
  return db
}

const statementsMax = 400

export class Connection {
  private readonly statements = new Map<string, Database.Statement>()

  /** Is told every statement that reads, while set. */
  trace: ((query: Sql) => void) | undefined

  constructor(readonly db: Database.Database) {}

  all<T = Row>(query: Sql): T[] {
    this.trace?.(query)
    return this.prepare(query.text).all(...query.values) as T[]
  }

  get<T = Row>(query: Sql): T | undefined {
    this.trace?.(query)
    return this.prepare(query.text).get(...query.values) as T | undefined
  }

  run(query: Sql): number {
    return this.prepare(query.text).run(...query.values).changes
  }

  private prepare(text: string): Database.Statement {
    let statement = this.statements.get(text)
    if (statement) {
      this.statements.delete(text)
    } else {
      statement = this.db.prepare(text)
      if (this.statements.size >= statementsMax) this.statements.delete(this.statements.keys().next().value!)
    }
    this.statements.set(text, statement)
    return statement
  }

  close(): void {
    this.statements.clear()
    this.db.close()
  }
}
