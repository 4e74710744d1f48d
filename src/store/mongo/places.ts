/**
 * Places in the order of creation and of writing: numbers that no other process gives, later ones being larger.
 *
 * https://cse.buffalo.edu/tech-reports/2014-04.pdf (hybrid logical clocks)
 *
 * A place is the time in 1/1024 ms, whose last six bits are the number of the process' lane. What was read is always
 * smaller than what is given next, so that a version comes after the one it replaces whatever the clocks say.
 */
import type { Db } from 'mongodb'
import { type CommitDocument, commitsCollection } from './marks.js'

const perMs = 1024
/** Processes that write to one database at the same time, at most. */
export const lanesMax = 64

export class Places {
  private last = 0
  private updated = 0

  constructor(private readonly clock: () => number) {}

  /** Goes on after the last commit there is, whatever the clock says. */
  async resume(db: Db): Promise<void> {
    const [last] = await db
      .collection<CommitDocument>(commitsCollection)
      .find()
      .sort({ seq: -1, w: -1 })
      .limit(1)
      .toArray()
    if (last?.at !== undefined) this.saw({ w: last.w, lu: last.at })
    const [waiting] = await db
      .collection<CommitDocument>(commitsCollection)
      .find({ seq: 0 })
      .sort({ seq: -1, w: -1 })
      .limit(1)
      .toArray()
    if (waiting) this.saw({ w: waiting.w, lu: waiting.at })
  }

  /** The time of the next commit: never before that of one that was seen. */
  now(): number {
    this.updated = Math.max(this.clock(), this.updated)
    return this.updated
  }

  /** Another's place and time, which ours come after. */
  saw({ w, lu }: { w: number; lu: number }): void {
    if (w > this.last) this.last = w
    if (lu > this.updated) this.updated = lu
  }

  next(lane: number): number {
    const least = Math.max(this.last + 1, this.now() * perMs)
    const place = Math.ceil((least - lane) / lanesMax) * lanesMax + lane
    this.last = place
    return place
  }
}
