/**
 * Values by key, for what is not FHIR: codes, grants, sessions, keys.
 *
 * https://www.sqlite.org/lang_returning.html
 */
import type { Secrets } from '../store.js'
import type { Connection } from './connection.js'
import type { Pump } from './pump.js'
import { sql } from './sql.js'

/** The last code point: after every key that begins with a prefix. */
const last = '\u{10ffff}'

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
    swap: (key, was, value, expires) =>
      pump.once(() => {
        const current = writer.get<{ value: string }>(
          sql`SELECT value FROM secret WHERE key = ${key} AND (expires IS NULL OR expires > ${clock()})`,
        )?.value
        if (current !== was) return false
        writer.run(
          sql`INSERT OR REPLACE INTO secret (key, value, expires) VALUES (${key}, ${value}, ${expires ?? null})`,
        )
        return true
      }),
    list: async (prefix, limit, after) =>
      reader
        .all<{ key: string; value: string }>(
          sql`SELECT key, value FROM secret WHERE key >= ${prefix} AND key < ${prefix + last} AND key > ${after ?? ''}
              AND (expires IS NULL OR expires > ${clock()}) ORDER BY key LIMIT ${limit} + 0`,
        )
        .map(({ key, value }) => [key, value]),
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
