/**
 * Functions that statements call: they read the packed entries of one resource.
 *
 * https://www.sqlite.org/appfunc.html
 *
 * A test that cannot be said in SQL is a closure with a number; the statement is given the number.
 */
import type Database from 'better-sqlite3'
import { intervalKey, targetsOf, termsOf } from './posted.js'

export type Holds = (data: Buffer) => boolean

/** The closures of one query; numbers are used again by the next. */
export class Closures {
  private readonly closures: Holds[] = []

  add(holds: Holds): number {
    this.closures.push(holds)
    return this.closures.length - 1
  }

  clear(): void {
    this.closures.length = 0
  }

  register(db: Database.Database): void {
    db.function('holds', { safeIntegers: false }, (data: unknown, number: unknown) =>
      Buffer.isBuffer(data) && this.closures[Number(number)]!(data) ? 1 : 0,
    )
    db.function('low', { deterministic: true }, (data: unknown, pid: unknown, largest: unknown) =>
      Buffer.isBuffer(data) ? intervalKey(data, Number(pid), largest === 1) : null,
    )
    db.function('targets', { deterministic: true }, (data: unknown, pids: unknown) =>
      Buffer.isBuffer(data) ? `[${targetsOf(data, numbers(pids))}]` : '[]',
    )
    db.function('terms', { deterministic: true }, (data: unknown, pid: unknown) =>
      Buffer.isBuffer(data) ? `[${termsOf(data, Number(pid))}]` : '[]',
    )
    db.function('distance', { deterministic: true }, (lat1: unknown, lon1: unknown, lat2: unknown, lon2: unknown) =>
      kilometres(Number(lat1), Number(lon1), Number(lat2), Number(lon2)),
    )
  }
}

const numbers = (value: unknown): number[] =>
  typeof value === 'number' ? [value] : String(value).split(',').map(Number)

const radius = 6371

/** The great-circle distance on a sphere of the Earth's mean radius (haversine). */
export function kilometres(lat1: number, lon1: number, lat2: number, lon2: number): number {
  const rad = Math.PI / 180
  const sinLat = Math.sin(((lat2 - lat1) * rad) / 2)
  const sinLon = Math.sin(((lon2 - lon1) * rad) / 2)
  const a = sinLat * sinLat + Math.cos(lat1 * rad) * Math.cos(lat2 * rad) * sinLon * sinLon
  return 2 * radius * Math.asin(Math.min(1, Math.sqrt(a)))
}
