/**
 * Values by key, for what is not FHIR: codes, grants, sessions, keys.
 *
 * https://www.sqlite.org/lang_returning.html
 */
import type { Secrets } from '../store.js'
import type { Connection } from './connection.js'
import type { Pump } from './pump.js'
import { raw, type Sql, sql } from './sql.js'
import { after as behind } from './terms.js'

/** Whose they are: a tenant, which need not be known yet, or the site. */
export type Owner = { readonly known: number | undefined; number(): number }

export const site: Owner = { known: 0, number: () => 0 }

type Parts = { writer: Connection; reader: Connection; pump: Pump; clock: () => number; owner: Owner }

export function secrets({ writer, reader, pump, clock, owner }: Parts): Secrets {
  const living = (): Sql => sql`(expires IS NULL OR expires > ${clock()})`
  const set = (key: string, value: string, expires: number | undefined) => {
    const tenant = owner.number()
    // A few of those that are over are swept with each new one.
    writer.run(
      sql`DELETE FROM secret WHERE tenant = ${tenant} AND key IN
          (SELECT key FROM secret WHERE tenant = ${tenant} AND expires <= ${clock()} ORDER BY expires LIMIT 8)`,
    )
    writer.run(
      sql`INSERT OR REPLACE INTO secret (tenant, key, value, expires) VALUES (${tenant}, ${key}, ${value}, ${expires ?? null})`,
    )
  }
  const get = (db: Connection, key: string) =>
    db.value<string>(sql`SELECT value FROM secret WHERE tenant = ${owner.known ?? -1} AND key = ${key} AND ${living()}`)
  return {
    put: (key, value, expires) => pump.once(() => set(key, value, expires)),
    swap: (key, was, value, expires) =>
      pump.once(() => {
        if (get(writer, key) !== was) return false
        set(key, value, expires)
        return true
      }),
    list: async (prefix, limit, after = '') => {
      const end = behind(prefix)
      return reader.rows<[key: string, value: string]>(
        sql`SELECT key, value FROM secret WHERE tenant = ${owner.known ?? -1} AND key >= ${prefix} AND key > ${after}
            AND ${end === undefined ? raw('1') : sql`key < ${end}`} AND ${living()} ORDER BY key LIMIT ${limit} + 0`,
      )
    },
    get: async (key) => get(reader, key),
    take: (key) =>
      pump.once(() => {
        const taken = writer.get<{ value: string; expires: number | null }>(
          sql`DELETE FROM secret WHERE tenant = ${owner.known ?? -1} AND key = ${key} RETURNING value, expires`,
        )
        return taken && (taken.expires === null || taken.expires > clock()) ? taken.value : undefined
      }),
    drop: (key) =>
      pump.once(() => {
        writer.run(sql`DELETE FROM secret WHERE tenant = ${owner.known ?? -1} AND key = ${key}`)
      }),
  }
}
