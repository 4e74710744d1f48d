/**
 * The embedded store: one file, one process, nothing to install.
 *
 * https://www.sqlite.org/wal.html
 *
 * One connection writes, one reads; readers see whole commits only. All tenants are in the one file, each under numbers
 * of its own (docs/decisions/0013-sqlite-tenants.md).
 */
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Database, Store } from '../store.js'
import { Watchers } from '../watchers.js'
import { Audit } from './audit.js'
import { AuditFile, type Disk, disk } from './audit-file.js'
import { AuditReader, auditLog } from './audit-log.js'
import { type Connect, Connection, connect } from './connection.js'
import { Decisions } from './decisions.js'
import { Dictionary } from './dictionary.js'
import { FullText } from './full-text.js'
import { Questions } from './functions.js'
import { History } from './history.js'
import { lock } from './lock.js'
import { Lookup } from './lookup.js'
import { maintenance, ofFile } from './maintenance.js'
import { Names } from './names.js'
import { Numbers } from './numbers.js'
import { type Kept, Pump } from './pump.js'
import { RowWriter } from './rows.js'
import { migrate } from './schema.js'
import { Search } from './search.js'
import { secrets, site } from './secrets.js'
import { Sight } from './sight.js'
import { type Tuning, tuning } from './tuning.js'
import { type Finder, type Told, Writer } from './writer.js'

export type SqliteOptions = {
  clock?: () => number
  /** Most resources one page may include. */
  includesMax?: number
  tuning?: Partial<Tuning>
  /** How connections are made; tests give one that fails when told to. */
  connect?: Connect
  /** How the file of audit entries is written; tests give one that fails when told to. */
  disk?: Disk
}

/** Beside the store: appended audit entries that are not in it yet. */
export const auditFileOf = (path: string): string => `${path}-audit`

export async function openSqlite(path: string, options: SqliteOptions = {}): Promise<Database> {
  const { clock = Date.now, includesMax = 10_000, connect: connectTo = connect, disk: files = disk } = options
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
    const fullText = new FullText(writer)
    const numbers = new Numbers(writer)
    const decisions = new Decisions()
    const audit: Audit = new Audit(writer, dictionary, new AuditFile(auditFileOf(path), files), (soon) =>
      pump.empty(soon),
    )
    const kept: Kept = {
      mark: () => {
        numbers.mark()
        dictionary.mark()
        audit.mark()
      },
      rollback: () => {
        numbers.rollback()
        dictionary.rollback()
        audit.rollback()
      },
      reload: () => {
        audit.reload()
        dictionary.reload()
        numbers.reload()
        fullText.recount()
      },
      seal: () => audit.seal(),
      committed: (soon) => {
        decisions.committed()
        audit.committed(soon)
      },
    }
    const pump = new Pump(writer, kept, fullText, tuned.wordingMax)
    // What was appended before the process ended; if it cannot be chained now (a full disk), it is when it can.
    await audit.chained().catch(() => undefined)
    const rows = new RowWriter(writer)
    const file = { path, connect: connectTo, reader, pump, audit }
    const storeOf = (tenant: string): Store => {
      const names = new Names(dictionary, tenant)
      const lookup = new Lookup(reader, names)
      const sight = new Sight(lookup, questions, decisions, tenant, tuned)
      const search = new Search(lookup, questions, includesMax, tuned, sight)
      const deciding = new Search(new Lookup(writer, names), questions, includesMax, tuned)
      const find: Finder = (condition, limit) => deciding.ids(condition, limit)
      const told: Told = {
        audited: (entries) => audit.commit(tenant, entries),
        wrote: (type, rids) => decisions.wrote(tenant, type, rids),
        wroteAnew: () => decisions.wroteAnew(),
      }
      const writing = new Writer(writer, names, numbers, rows, find, fullText, told, clock)
      const history = new History(lookup, questions, tuned, sight)
      const watchers = new Watchers()
      return {
        read: async (ref, reach, version) => history.read(ref, reach, version),
        search: async (query, reach) => search.find(query, reach),
        history: async (query, reach) => history.find(query, reach),
        commit: async (commit) => {
          const committed = await pump.commit(writing, commit)
          if (committed.some(({ outcome }) => outcome !== 'unchanged')) watchers.tell()
          return committed
        },
        changes: async (after, limit) => history.changes(after, limit),
        watch: watchers.watch,
        explain: async (query, reach) => search.explain(query, reach),
        secrets: secrets({ writer, reader, pump, clock, owner: names }),
        audit: auditLog(audit, new AuditReader(reader, names), tenant),
        maintenance: maintenance({ file, writer, writing, names, tenant }),
      }
    }
    // As many as the site has: a name is not asked for before it is known.
    const tenants = new Map<string, Store>()
    return {
      tenant: (name) => {
        const known = tenants.get(name) ?? storeOf(name)
        tenants.set(name, known)
        return known
      },
      secrets: secrets({ writer, reader, pump, clock, owner: site }),
      ...ofFile(file),
      close: async () => {
        await audit.close()
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
