/**
 * Functions that statements call: they read the packed entries of one resource.
 *
 * https://www.sqlite.org/appfunc.html
 *
 * A question that cannot be said in SQL is a closure with a number; the statement is given the number.
 */
import type Database from 'better-sqlite3'
import { cut } from './cut.js'

export type Question = (data: Buffer) => number | string | null

/** The closures of one query; their numbers are used again by the next. */
export class Questions {
  private readonly questions: Question[] = []

  add(question: Question): number {
    this.questions.push(question)
    return this.questions.length - 1
  }

  /** Forgets those added since the mark. */
  release(mark: number): void {
    this.questions.length = mark
  }

  get mark(): number {
    return this.questions.length
  }

  register(db: Database.Database): void {
    db.function('ask', (data: unknown, number: unknown) =>
      Buffer.isBuffer(data) ? this.questions[Number(number)]!(data) : null,
    )
    db.function('cut', { deterministic: true }, (text: unknown) => (typeof text === 'string' ? cut(text) : null))
    db.function('distance', { deterministic: true }, (lat1: unknown, lon1: unknown, lat2: unknown, lon2: unknown) =>
      kilometres(Number(lat1), Number(lon1), Number(lat2), Number(lon2)),
    )
  }
}

const radius = 6371

/** The great-circle distance on a sphere of the Earth's mean radius (haversine). */
export function kilometres(lat1: number, lon1: number, lat2: number, lon2: number): number {
  const rad = Math.PI / 180
  const sinLat = Math.sin(((lat2 - lat1) * rad) / 2)
  const sinLon = Math.sin(((lon2 - lon1) * rad) / 2)
  const a = sinLat * sinLat + Math.cos(lat1 * rad) * Math.cos(lat2 * rad) * sinLon * sinLon
  return 2 * radius * Math.asin(Math.min(1, Math.sqrt(a)))
}
