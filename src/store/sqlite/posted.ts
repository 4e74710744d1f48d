/**
 * All that search knows of one resource, packed into a few bytes.
 *
 * https://hl7.org/fhir/R4/search.html
 *
 * The rows of the indexes follow from it alone, so an update takes back exactly what was stored and no more. Tests that
 * an index cannot answer for one resource (an interval, a composite) and sort keys are read from it too.
 */

/** A closed interval in one series: the dates of a parameter, or the quantities of a parameter in one unit. */
export type Interval = { pid: number; series: number; lo: number; hi: number }
export type Target = { pid: number; target: number }
export type Terms = { pid: number; terms: number[] }

/** One value of a component of a composite. */
export type ComponentValue =
  | { kind: 'term'; term: number }
  | { kind: 'target'; target: number }
  | { kind: 'interval'; series: number; lo: number; hi: number }

export type Composite = { pid: number; components: ComponentValue[][] }
export type Place = { pid: number; latitude: number; longitude: number }
/** `digest` tells whether the words of the full text changed. */
export type Words = { pid: number; digest: number }

export type Posted = {
  intervals: Interval[]
  targets: Target[]
  terms: Terms[]
  composites: Composite[]
  places: Place[]
  words: Words[]
  /** The patients whose resources of this type are kept by date, and the parameter the date is of. */
  timeline: { pid: number; targets: number[] } | undefined
}

export const nothingPosted: Posted = {
  intervals: [],
  targets: [],
  terms: [],
  composites: [],
  places: [],
  words: [],
  timeline: undefined,
}

/** The same with other numbers for the resources referred to. */
export function retarget(posted: Posted, to: (target: number) => number): Posted {
  const { targets, composites, timeline } = posted
  return {
    ...posted,
    targets: targets.map(({ pid, target }) => ({ pid, target: to(target) })),
    composites: composites.map((composite) =>
      composite.components.some((values) => values.some(({ kind }) => kind === 'target'))
        ? {
            ...composite,
            components: composite.components.map((values) =>
              values.map((value) => (value.kind === 'target' ? { ...value, target: to(value.target) } : value)),
            ),
          }
        : composite,
    ),
    timeline: timeline && { ...timeline, targets: timeline.targets.map(to) },
  }
}

class Writer {
  private buffer = Buffer.allocUnsafe(4096)
  private at = 0

  private room(bytes: number): void {
    if (this.at + bytes <= this.buffer.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.buffer.length * 2, this.at + bytes))
    this.buffer.copy(larger, 0, 0, this.at)
    this.buffer = larger
  }

  number(value: number): void {
    this.room(10)
    let rest = value
    while (rest > 127) {
      this.buffer[this.at++] = (rest % 128) | 128
      rest = Math.floor(rest / 128)
    }
    this.buffer[this.at++] = rest
  }

  double(value: number): void {
    this.room(8)
    this.at = this.buffer.writeDoubleLE(value, this.at)
  }

  /** Whole numbers (dates) take as few bytes as they need; the lowest bit of `series` says which. */
  interval(series: number, lo: number, hi: number): void {
    const whole = isWhole(lo) && isWhole(hi) && hi >= lo
    this.number(series * 2 + (whole ? 1 : 0))
    if (whole) {
      this.number(lo < 0 ? -lo * 2 - 1 : lo * 2)
      this.number(hi - lo)
    } else {
      this.double(lo)
      this.double(hi)
    }
  }

  take(): Buffer {
    const taken = Buffer.from(this.buffer.subarray(0, this.at))
    this.at = 0
    return taken
  }
}

const isWhole = (value: number): boolean =>
  Number.isInteger(value) && Math.abs(value) < 2 ** 51 && !Object.is(value, -0)

const writer = new Writer()

export function pack(posted: Posted): Buffer {
  writer.number(posted.intervals.length)
  for (const { pid, series, lo, hi } of posted.intervals) {
    writer.number(pid)
    writer.interval(series, lo, hi)
  }
  writer.number(posted.targets.length)
  for (const { pid, target } of posted.targets) {
    writer.number(pid)
    writer.number(target)
  }
  writer.number(posted.terms.length)
  for (const { pid, terms } of posted.terms) {
    writer.number(pid)
    writer.number(terms.length)
    let last = 0
    for (const term of terms) {
      writer.number(term - last)
      last = term
    }
  }
  writer.number(posted.composites.length)
  for (const { pid, components } of posted.composites) {
    writer.number(pid)
    writer.number(components.length)
    for (const values of components) {
      writer.number(values.length)
      for (const value of values) packValue(value)
    }
  }
  const { places, words, timeline } = posted
  if (places.length || words.length || timeline) {
    writer.number(places.length)
    for (const { pid, latitude, longitude } of places) {
      writer.number(pid)
      writer.double(latitude)
      writer.double(longitude)
    }
    writer.number(words.length)
    for (const { pid, digest } of words) {
      writer.number(pid)
      writer.number(digest)
    }
    if (timeline) {
      writer.number(timeline.pid)
      writer.number(timeline.targets.length)
      for (const target of timeline.targets) writer.number(target)
    }
  }
  return writer.take()
}

function packValue(value: ComponentValue): void {
  switch (value.kind) {
    case 'term':
      writer.number(0)
      writer.number(value.term)
      break
    case 'target':
      writer.number(1)
      writer.number(value.target)
      break
    case 'interval':
      writer.number(2)
      writer.interval(value.series, value.lo, value.hi)
      break
  }
}

/** Reads the sections in the order in which they were written. */
class Reader {
  private at = 0
  series = 0
  lo = 0
  hi = 0

  constructor(private readonly data: Buffer) {}

  get more(): boolean {
    return this.at < this.data.length
  }

  number(): number {
    const { data } = this
    let byte = data[this.at++]!
    if (byte < 128) return byte
    let value = byte & 127
    let scale = 128
    do {
      byte = data[this.at++]!
      value += (byte & 127) * scale
      scale *= 128
    } while (byte > 127)
    return value
  }

  double(): number {
    const value = this.data.readDoubleLE(this.at)
    this.at += 8
    return value
  }

  /** Into `series`, `lo` and `hi`: this is read for every candidate of a search. */
  interval(): void {
    const tagged = this.number()
    this.series = Math.floor(tagged / 2)
    if (tagged % 2) {
      const sign = this.number()
      this.lo = sign % 2 ? -(sign + 1) / 2 : sign / 2
      this.hi = this.lo + this.number()
    } else {
      this.lo = this.double()
      this.hi = this.double()
    }
  }

  skipIntervals(): void {
    for (let left = this.number(); left > 0; left--) {
      this.number()
      this.interval()
    }
  }

  skipTargets(): void {
    for (let left = this.number() * 2; left > 0; left--) this.number()
  }

  skipTerms(): void {
    for (let left = this.number(); left > 0; left--) {
      this.number()
      for (let terms = this.number(); terms > 0; terms--) this.number()
    }
  }

  value(): ComponentValue {
    switch (this.number()) {
      case 0:
        return { kind: 'term', term: this.number() }
      case 1:
        return { kind: 'target', target: this.number() }
      default:
        this.interval()
        return { kind: 'interval', series: this.series, lo: this.lo, hi: this.hi }
    }
  }

  composite(): Composite {
    const pid = this.number()
    const components: ComponentValue[][] = []
    for (let left = this.number(); left > 0; left--) {
      const values: ComponentValue[] = []
      for (let each = this.number(); each > 0; each--) values.push(this.value())
      components.push(values)
    }
    return { pid, components }
  }
}

const list = <T>(length: number, each: () => T): T[] => Array.from({ length }, each)

export function unpack(data: Buffer): Posted {
  const reader = new Reader(data)
  const intervals = list(reader.number(), () => {
    const pid = reader.number()
    reader.interval()
    return { pid, series: reader.series, lo: reader.lo, hi: reader.hi }
  })
  const targets = list(reader.number(), () => ({ pid: reader.number(), target: reader.number() }))
  const terms = list(reader.number(), () => {
    const pid = reader.number()
    let last = 0
    return { pid, terms: list(reader.number(), () => (last += reader.number())) }
  })
  const composites = list(reader.number(), () => reader.composite())
  if (!reader.more) return { ...nothingPosted, intervals, targets, terms, composites }
  const places = list(reader.number(), () => ({
    pid: reader.number(),
    latitude: reader.double(),
    longitude: reader.double(),
  }))
  const words = list(reader.number(), () => ({ pid: reader.number(), digest: reader.number() }))
  const timeline = reader.more
    ? { pid: reader.number(), targets: list(reader.number(), () => reader.number()) }
    : undefined
  return { intervals, targets, terms, composites, places, words, timeline }
}

/** Whether an interval of the parameter passes the test. */
export function anyInterval(
  data: Buffer,
  pids: readonly number[],
  passes: (series: number, lo: number, hi: number) => boolean,
): boolean {
  const reader = new Reader(data)
  for (let left = reader.number(); left > 0; left--) {
    const pid = reader.number()
    reader.interval()
    if (pids.includes(pid) && passes(reader.series, reader.lo, reader.hi)) return true
  }
  return false
}

/**
 * The largest upper end of the parameters' intervals, or the smallest lower end. Where a quantity has canonical numbers
 * (they follow it), these count.
 */
export function intervalKey(
  data: Buffer,
  pids: readonly number[],
  canonical: number | undefined,
  descending: boolean,
): number | null {
  const reader = new Reader(data)
  let key: number | null = null
  let pending: number | null = null
  const better = (value: number) => key === null || (descending ? value > key : value < key)
  for (let left = reader.number(); left > 0; left--) {
    const pid = reader.number()
    reader.interval()
    if (pending !== null && pid !== canonical && better(pending)) key = pending
    const value = descending ? reader.hi : reader.lo
    pending = pids.includes(pid) ? value : null
    if (pid === canonical && better(value)) key = value
  }
  return pending !== null && better(pending) ? pending : key
}

/** The resources referred to by one of the parameters, or by any that has a name. */
export function targetsOf(data: Buffer, pids: readonly number[] | undefined): number[] {
  const reader = new Reader(data)
  const targets: number[] = []
  reader.skipIntervals()
  for (let left = reader.number(); left > 0; left--) {
    const pid = reader.number()
    const target = reader.number()
    if (pids ? pids.includes(pid) : pid !== 0) targets.push(target)
  }
  return targets
}

export function termsOf(data: Buffer, pid: number): number[] {
  const reader = new Reader(data)
  const terms: number[] = []
  reader.skipIntervals()
  reader.skipTargets()
  for (let left = reader.number(); left > 0; left--) {
    const mine = reader.number() === pid
    let last = 0
    for (let each = reader.number(); each > 0; each--) {
      last += reader.number()
      if (mine) terms.push(last)
    }
  }
  return terms
}

/** Whether one occurrence of the composite passes all tests, each on its component. */
export function anyComposite(
  data: Buffer,
  pid: number,
  tests: readonly ((value: ComponentValue) => boolean)[],
): boolean {
  const reader = new Reader(data)
  reader.skipIntervals()
  reader.skipTargets()
  reader.skipTerms()
  for (let left = reader.number(); left > 0; left--) {
    const composite = reader.composite()
    if (composite.pid === pid && tests.every((test, i) => composite.components[i]?.some(test))) return true
  }
  return false
}
