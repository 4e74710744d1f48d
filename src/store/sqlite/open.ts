/**
 * The embedded store: one file, one process, nothing to install.
 *
 * https://www.sqlite.org/wal.html
 *
 * One connection writes, one reads; readers see whole commits only.
 */
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import type { AuditLog, Database, Store } from '../store.js'
import { type Connect, Connection, connect } from './connection.js'
import { Dictionary } from './dictionary.js'
import { FullText } from './full-text.js'
import { Questions } from './functions.js'
import { History } from './history.js'
import { lock } from './lock.js'
import { Lookup } from './lookup.js'
import { maintenance } from './maintenance.js'
import { Pump } from './pump.js'
import { migrate } from './schema.js'
import { Search } from './search.js'
import { secrets } from './secrets.js'
import { type Tuning, tuning } from './tuning.js'
import { Writer } from './writer.js'

export type SqliteOptions = {
  clock?: () => number
  /** Most resources one page may include. */
  includesMax?: number
  tuning?: Partial<Tuning>
  /** How connections are made; tests give one that fails when told to. */
  connect?: Connect
}

export async function openSqlite(path: string, options: SqliteOptions = {}): Promise<Database> {
  const { clock = Date.now, includesMax = 10_000, connect: connectTo = connect } = options
  const tuned = { ...tuning, ...options.tuning }
  mkdirSync(dirname(path), { recursive: true })
  const unlock = lock(path)
  const open: Connection[] = []
  try {
    const connection = (role: 'writer' | 'reader') => {
      const made = new Connection(connectTo(path, role))
      open.push(made)
      return made
    }
    const writer = connection('writer')
    migrate(writer.db, path)
    const reader = connection('reader')
    const questions = new Questions()
    for (const { db } of open) questions.register(db)
    const dictionary = new Dictionary(writer)
    const lookup = new Lookup(reader, dictionary)
    const search = new Search(lookup, questions, includesMax, tuned)
    const deciding = new Search(new Lookup(writer, dictionary), questions, includesMax, tuned)
    const fullText = new FullText(writer)
    const writing = new Writer(
      writer,
      dictionary,
      (condition, limit) => deciding.ids(condition, limit),
      fullText,
      clock,
    )
    const pump = new Pump(writer, writing, fullText, tuned.wordingMax)
    const history = new History(lookup, questions, tuned)
    const { backup, health, ...rest } = maintenance({
      path,
      connect: connectTo,
      writer,
      reader,
      pump,
      writing,
      dictionary,
    })
    const keys = secrets(writer, reader, pump, clock)
    const store: Store = {
      read: async (ref, reach, version) => history.read(ref, reach, version),
      search: async (query, reach) => search.find(query, reach),
      history: async (query, reach) => history.find(query, reach),
      commit: (commit) => pump.commit(commit),
      changes: async (after, limit) => history.changes(after, limit),
      explain: async (query, reach) => search.explain(query, reach),
      secrets: keys,
      audit: audit(),
      maintenance: rest,
    }
    return {
      tenant: () => store,
      secrets: keys,
      backup,
      health,
      close: async () => {
        await pump.close()
        for (const each of open.reverse()) each.close()
        unlock()
      },
    }
  } catch (error) {
    for (const each of open.reverse()) each.close()
    unlock()
    throw error
  }
}

const audit = (): AuditLog => ({
  append: async () => {},
  read: async () => undefined,
  find: async () => [],
  chain: async () => [],
  head: async () => undefined,
})
