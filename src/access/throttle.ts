/**
 * How often somebody may ask: a rate, and a burst above it.
 *
 * https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm
 *
 * One number is kept for each key: when what was asked so far will have been paid off. It costs a look into a map, no
 * timer and no promise, because every request of the API passes here. A key that is paid off is as good as a new one
 * and may be forgotten.
 */
import { detached } from '../fhir/index.js'

export type Rate = { perSecond: number; burst: number }

const keysMaxDefault = 100_000

export class Throttle {
  private readonly paidOff = new Map<string, number>()
  private sweepAt = 1000

  constructor(
    private readonly clock: () => number = performance.now.bind(performance),
    private readonly keysMax = keysMaxDefault,
  ) {}

  /** Takes one turn. 0 where it may go on, else the whole seconds until it may. */
  take(key: string, { perSecond, burst }: Rate): number {
    const now = this.clock()
    const cost = 1000 / perSecond
    const known = this.paidOff.get(key)
    const paidOff = Math.max(known ?? 0, now) + cost
    const over = paidOff - now - cost * burst
    // A millionth, because sums of fractions are not exact.
    if (over > cost * 1e-6) return Math.ceil(over / 1000)
    if (known === undefined) this.makeRoom(now)
    this.paidOff.set(known === undefined ? detached(key) : key, paidOff)
    return 0
  }

  /** The number of keys that are remembered. */
  get size(): number {
    return this.paidOff.size
  }

  /** Forgets what is paid off, seldom enough that it costs nothing; then the oldest, who gain a burst by it. */
  private makeRoom(now: number): void {
    if (this.paidOff.size < Math.min(this.sweepAt, this.keysMax)) return
    for (const [key, paidOff] of this.paidOff) if (paidOff <= now) this.paidOff.delete(key)
    this.sweepAt = Math.max(1000, this.paidOff.size * 2)
    for (const key of this.paidOff.keys()) {
      if (this.paidOff.size < this.keysMax) return
      this.paidOff.delete(key)
    }
  }
}
