/**
 * One connection to the file, with its prepared statements.
 *
 * https://www.sqlite.org/wal.html
 *
 * Statements are kept by their text (a few hundred shapes); those not used lately are let go.
 */
import Database from 'better-sqlite3'
import { Recent } from './recent.js'
import type { Sql, Value } from './sql.js'

/** Opens a file; tests put a connection between that fails when told to. */
export type Connect = (path: string, role: 'writer' | 'reader') => Database.Database

export const connect: Connect = (path, role) => {
  const db = new Database(path, { timeout: 0 })
  db.pragma('page_size = 8192')
  if (role === 'writer') db.pragma('journal_mode = WAL')
  // better-sqlite3 compiles WAL with NORMAL, which may lose acknowledged commits when the power goes.
  db.pragma('synchronous = FULL')
  // Kilobytes. Every commit empties the reader's, and the system keeps the file in memory too: more was not faster.
  db.pragma(`cache_size = ${role === 'writer' ? -16_000 : -8000}`)
  db.pragma('temp_store = MEMORY')
  db.pragma('journal_size_limit = 8388608')
  if (role === 'reader') db.pragma('query_only = ON')
  return db
}

const statementsMax = 300

/** How rows are given: as objects, as arrays, or the first column alone. */
type Mode = 'object' | 'array' | 'first'

export class Connection {
  private readonly statements: Record<Mode, Recent<string, Database.Statement>> = {
    object: new Recent(statementsMax),
    array: new Recent(statementsMax),
    first: new Recent(statementsMax),
  }

  /** Is told every statement that reads, while set. */
  trace: ((query: Sql) => void) | undefined

  constructor(readonly db: Database.Database) {}

  all<T>(query: Sql): T[] {
    return this.prepare(query, 'object').all(query.values) as T[]
  }

  get<T>(query: Sql): T | undefined {
    return this.prepare(query, 'object').get(query.values) as T | undefined
  }

  /** Rows as arrays: making objects is a third of the cost of reading a page. */
  rows<T extends Value[]>(query: Sql): T[] {
    return this.prepare(query, 'array').all(query.values) as T[]
  }

  row<T extends Value[]>(query: Sql): T | undefined {
    return this.prepare(query, 'array').get(query.values) as T | undefined
  }

  /** The first column of all rows. */
  column<T extends Value>(query: Sql): T[] {
    return this.prepare(query, 'first').all(query.values) as T[]
  }

  /** The first column of the first row. */
  value<T extends Value>(query: Sql): T | undefined {
    return this.prepare(query, 'first').get(query.values) as T | undefined
  }

  run(query: Sql): number {
    return this.prepare(query, 'object').run(query.values).changes
  }

  private prepare(query: Sql, mode: Mode): Database.Statement {
    this.trace?.(query)
    const statements = this.statements[mode]
    let statement = statements.get(query.text)
    if (!statement) {
      statement = this.db.prepare(query.text)
      if (mode === 'array') statement.raw()
      else if (mode === 'first') statement.pluck()
      statements.set(query.text, statement)
    }
    return statement
  }

  close(): void {
    for (const statements of Object.values(this.statements)) statements.clear()
    this.db.close()
  }
}
