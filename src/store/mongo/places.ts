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
  private resumed: Promise<void> | undefined

  constructor(private readonly clock: () => number) {}

  /** Goes on after the last commit the tenant has, whatever the clock says. */
  resume(db: Db, tenant: string): Promise<void> {
    this.resumed ??= this.lookBack(db, tenant).catch((error: unknown) => {
      this.resumed = undefined
      throw error
    })
    return this.resumed
  }

  private async lookBack(db: Db, tenant: string): Promise<void> {
    const marks = db.collection<CommitDocument>(commitsCollection)
    for (const [seq, sort] of [
      [{ $gt: 0 }, { seq: -1 }],
      [0, { w: -1 }],
    ] as const) {
      const [last] = await marks.find({ t: tenant, seq }).sort(sort).limit(1).toArray()
      if (last) this.saw({ w: last.w, lu: last.at })
    }
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
