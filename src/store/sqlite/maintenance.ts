/**
 * What those who operate the server need: reindex, check, backup, counts, health.
 *
 * https://www.sqlite.org/backup.html
 */
import type { IndexEntry } from '../../search/index.js'
import type { Database, Maintenance, Stored } from '../store.js'
import type { Audit } from './audit.js'
import { check } from './check.js'
import { type Connect, Connection } from './connection.js'
import type { Names } from './names.js'
import type { Pump } from './pump.js'
import { sql } from './sql.js'
import { byRid, storedOf, type VersionRow } from './stored.js'
import type { Writer } from './writer.js'

type File = { path: string; connect: Connect; reader: Connection; pump: Pump; audit: Audit }

type Parts = { file: File; writer: Connection; writing: Writer; names: Names; tenant: string }

/** Pages copied before others have their turn. */
const backupPages = 256

/** A connection of its own that sees one state of the file throughout, while others write. */
async function snapshot<T>({ path, connect, audit }: File, work: (db: Connection) => Promise<T>): Promise<T> {
  await audit.chained()
  const db = new Connection(connect(path, 'reader'))
  try {
    db.db.exec('BEGIN')
    db.get(sql`SELECT 1 FROM type LIMIT 1`)
    return await work(db)
  } finally {
    db.close()
  }
}

/** What concerns the file, and so all tenants. */
export const ofFile = (file: File): Pick<Database, 'backup' | 'health'> => ({
  backup: (to) =>
    snapshot(file, async ({ db }) => {
      await db.backup(to, { progress: () => backupPages })
    }),
  health: async () => {
    const { path, reader, pump } = file
    if (pump.failure) return `the last write failed: ${pump.failure}`
    try {
      reader.get(sql`SELECT 1 FROM type LIMIT 1`)
      return undefined
    } catch (error) {
      return `${path} cannot be read: ${error instanceof Error ? error.message : error}`
    }
  },
})

export function maintenance({ file, writer, writing, names, tenant }: Parts): Maintenance {
  return {
    reindex: (type, after, limit, entries) =>
      file.pump.run(() => reindexed(writer, writing, names, { type, after, limit, entries })),
    check: (entries) => snapshot(file, (db) => check(db, tenant, entries)),
    count: async () => {
      const counts = names.allTypes().flatMap((type): [string, number][] => {
        const n = file.reader.value<number>(
          sql`SELECT count(*) FROM resource INDEXED BY resource_live WHERE tid = ${names.tidOf(type)!} AND live = 1`,
        )
        return n ? [[type, n]] : []
      })
      return Object.fromEntries(counts)
    },
  }
}

type Chunk = { type: string; after: number; limit: number; entries: (stored: Stored) => IndexEntry[] }

function* reindexed(
  db: Connection,
  writing: Writer,
  names: Names,
  { type, after, limit, entries }: Chunk,
): Generator<void, number | undefined> {
  const tid = names.tidOf(type)
  if (tid === undefined) return undefined
  const rids = db.column<number>(
    sql`SELECT rid FROM resource INDEXED BY resource_live WHERE tid = ${tid} AND live = 1 AND rid > ${after} ORDER BY rid LIMIT ${limit} + 0`,
  )
  for (const rid of rids) {
    const row = db.row<VersionRow>(
      sql`SELECT ${byRid}
          FROM resource r CROSS JOIN version v ON v.seq = r.seq WHERE r.rid = ${rid}`,
    )!
    writing.reindex(rid, type, entries(storedOf(row, (each) => names.typeOf(each))))
    yield
  }
  return rids.length < limit ? undefined : rids.at(-1)!
}
