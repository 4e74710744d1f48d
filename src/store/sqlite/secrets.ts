/**
 * Values by key, for what is not FHIR: codes, grants, sessions, keys.
 *
 * https://www.sqlite.org/lang_returning.html
 */
import type { Secrets } from '../store.js'
import type { Connection } from './connection.js'
import type { Pump } from './pump.js'
import { sql } from './sql.js'

export function secrets(writer: Connection, reader: Connection, pump: Pump, clock: () => number): Secrets {
  return {
    put: (key, value, expires) =>
      pump.once(() => {
        writer.run(
          sql`DELETE FROM secret WHERE key IN (SELECT key FROM secret WHERE expires <= ${clock()} ORDER BY expires LIMIT 8)`,
        )
        writer.run(
          sql`INSERT OR REPLACE INTO secret (key, value, expires) VALUES (${key}, ${value}, ${expires ?? null})`,
        )
      }),
    get: async (key) =>
      reader.get<{ value: string }>(
        sql`SELECT value FROM secret WHERE key = ${key} AND (expires IS NULL OR expires > ${clock()})`,
      )?.value,
    take: (key) =>
      pump.once(() => {
        const taken = writer.get<{ value: string; expires: number | null }>(
          sql`DELETE FROM secret WHERE key = ${key} RETURNING value, expires`,
        )
        return taken && (taken.expires === null || taken.expires > clock()) ? taken.value : undefined
      }),
    drop: (key) =>
      pump.once(() => {
        writer.run(sql`DELETE FROM secret WHERE key = ${key}`)
      }),
  }
}
