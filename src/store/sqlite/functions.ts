/**
 * Functions that statements call: they read the packed entries of one resource.
 *
 * https://www.sqlite.org/appfunc.html
 *
 * A question that cannot be said in SQL is a closure with a number; the statement is given the number.
 */
import type Database from 'better-sqlite3'
import { distanceKm } from '../../search/index.js'
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
      distanceKm(
        { latitude: Number(lat1), longitude: Number(lon1) },
        { latitude: Number(lat2), longitude: Number(lon2) },
      ),
    )
  }
}
