/**
 * What those who operate the server need: reindex, check, backup, counts, health.
 *
 * https://www.sqlite.org/backup.html
 */
import type { IndexEntry } from '../../search/index.js'
import type { Database, Maintenance, Stored } from '../store.js'
import { check } from './check.js'
import { type Connect, Connection } from './connection.js'
import type { Dictionary } from './dictionary.js'
import type { Pump } from './pump.js'
import { sql } from './sql.js'
import { byRid, storedOf, type VersionRow } from './stored.js'
import type { Writer } from './writer.js'

type Parts = {
  path: string
  connect: Connect
  writer: Connection
  reader: Connection
  pump: Pump
  writing: Writer
  dictionary: Dictionary
}

/** Pages copied before others have their turn. */
const backupPages = 256

export function maintenance({
  path,
  connect,
  writer,
  reader,
  pump,
  writing,
  dictionary,
}: Parts): Maintenance & Pick<Database, 'backup' | 'health'> {
  /** A connection of its own that sees one state of the file throughout, while others write. */
  const snapshot = async <T>(work: (db: Connection) => Promise<T>): Promise<T> => {
    const db = new Connection(connect(path, 'reader'))
    try {
      db.db.exec('BEGIN')
      db.get(sql`SELECT 1 FROM type LIMIT 1`)
      return await work(db)
    } finally {
      db.close()
    }
  }
  return {
    reindex: (type, after, limit, entries) =>
      pump.run(() => reindexed(writer, writing, dictionary, { type, after, limit, entries })),
    check: (entries) => snapshot((db) => check(db, entries)),
    backup: (to) =>
      snapshot(async ({ db }) => {
        await db.backup(to, { progress: () => backupPages })
      }),
    count: async () => {
      const rows = reader.all<{ tid: number; n: number }>(
        sql`SELECT tid, count(*) AS n FROM resource INDEXED BY resource_live WHERE live = 1 GROUP BY tid`,
      )
      return Object.fromEntries(rows.map(({ tid, n }) => [dictionary.typeOf(tid), n]))
    },
    health: async () => {
      if (pump.failure) return `the last write failed: ${pump.failure}`
      try {
        reader.get(sql`SELECT 1 FROM type LIMIT 1`)
        return undefined
      } catch (error) {
        return `${path} cannot be read: ${error instanceof Error ? error.message : error}`
      }
    },
  }
}

type Chunk = { type: string; after: number; limit: number; entries: (stored: Stored) => IndexEntry[] }

function* reindexed(
  db: Connection,
  writing: Writer,
  dictionary: Dictionary,
  { type, after, limit, entries }: Chunk,
): Generator<void, number | undefined> {
  const tid = dictionary.tidOf(type)
  if (tid === undefined) return undefined
  const rids = db.column<number>(
    sql`SELECT rid FROM resource INDEXED BY resource_live WHERE tid = ${tid} AND live = 1 AND rid > ${after} ORDER BY rid LIMIT ${limit} + 0`,
  )
  for (const rid of rids) {
    const row = db.row<VersionRow>(
      sql`SELECT ${byRid}
          FROM resource r CROSS JOIN version v ON v.seq = r.seq WHERE r.rid = ${rid}`,
    )!
    writing.reindex(rid, type, entries(storedOf(row, (each) => dictionary.typeOf(each))))
    yield
  }
  return rids.length < limit ? undefined : rids.at(-1)!
}
