/**
 * Dates of any precision as the closed period of milliseconds they cover.
 *
 * https://hl7.org/fhir/R4/search.html#date
 *
 * A date without a zone is read in the hospital's zone; `2013-01` is the whole month, `10:00` the whole minute.
 */

/** Milliseconds since 1970, both ends included. Open ends are `dateMin` and `dateMax`. */
export type Period = { lo: number; hi: number }

export const dateMin = -8.64e15
export const dateMax = 8.64e15

const HOUR = 3_600_000
const DAY = 24 * HOUR

const pattern =
  /^(\d{4})(?:-(\d{2})(?:-(\d{2})(?:T(\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9})\d*)?)?(Z|[+-]\d{2}:\d{2})?)?)?)?$/

/**
 * The period a date, dateTime or instant covers; undefined if it is none (also 2021-02-30 and 24:01).
 *
 * @param zone IANA name of the zone for text without an offset
 */
export function period(text: string, zone = 'UTC'): Period | undefined {
  const match = pattern.exec(text)
  if (!match) return undefined
  const [, year, month, day, hour, minute, second, fraction, offset] = match
  const y = Number(year)
  const m = month === undefined ? 1 : Number(month)
  const d = day === undefined ? 1 : Number(day)
  const h = Number(hour ?? 0)
  const s = Number(second ?? 0)
  if (y === 0 || m < 1 || m > 12 || d < 1 || d > daysIn(y, m)) return undefined
  if (h > 23 || Number(minute ?? 0) > 59 || s > 60) return undefined
  if (offset && (Math.abs(offsetMs(offset)) > 14 * HOUR || Number(offset.slice(4)) > 59)) return undefined
  const start = utc(y, m, d, h, Number(minute ?? 0), s)
  const end =
    month === undefined
      ? utc(y + 1, 1, 1)
      : day === undefined
        ? utc(m === 12 ? y + 1 : y, m === 12 ? 1 : m + 1, 1)
        : hour === undefined
          ? start + DAY
          : second === undefined
            ? start + 60_000
            : start + 1000
  const within = fraction === undefined ? undefined : fractionMs(fraction)
  const lo = start + (within?.lo ?? 0)
  const hi = within ? start + within.hi : end - 1
  if (offset === undefined) return { lo: zoned(lo, zone).first, hi: zoned(hi, zone).last }
  return { lo: lo - offsetMs(offset), hi: hi - offsetMs(offset) }
}

/** The milliseconds a fraction of a second covers: `.5` is 500 to 599, `.123` one, `.1234` the one it lies in. */
function fractionMs(fraction: string): Period {
  const lo = Number(fraction.slice(0, 3).padEnd(3, '0'))
  return { lo, hi: lo + 10 ** Math.max(0, 3 - fraction.length) - 1 }
}

function utc(year: number, month: number, day: number, hour = 0, minute = 0, second = 0): number {
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  return date.setUTCHours(hour, minute, second)
}

const daysIn = (year: number, month: number): number =>
  new Date(Date.UTC(year < 100 ? year + 400 : year, month, 0)).getUTCDate()

function offsetMs(offset: string): number {
  if (offset === 'Z') return 0
  const sign = offset[0] === '-' ? -1 : 1
  return sign * (Number(offset.slice(1, 3)) * 60 + Number(offset.slice(4))) * 60_000
}

/**
 * The first and the last instant at which clocks in `zone` show what `wall`, read as UTC, shows: two when clocks are
 * set back. A time that clocks skip is read as if they had not been set forward, as java.time does.
 */
function zoned(wall: number, zone: string): { first: number; last: number } {
  if (zone === 'UTC') return { first: wall, last: wall }
  const before = offsetAt(wall - DAY, zone)
  const after = offsetAt(wall + DAY, zone)
  const shifted = { first: wall - before, last: wall - before }
  if (before === after) return shifted
  const shown = [wall - before, wall - after].filter((instant) => instant + offsetAt(instant, zone) === wall)
  return shown.length ? { first: Math.min(...shown), last: Math.max(...shown) } : shifted
}

const midnights = new Map<string, Map<number, number>>()
const midnightsMax = 100_000

/** How far clocks in a zone are ahead of UTC. Asking Intl takes microseconds, so offsets at midnight are remembered. */
function offsetAt(instant: number, zone: string): number {
  const day = Math.floor(instant / DAY)
  const offset = offsetAtMidnight(day, zone)
  return offset === offsetAtMidnight(day + 1, zone) ? offset : shownOffset(instant, zone)
}

function offsetAtMidnight(day: number, zone: string): number {
  let offsets = midnights.get(zone)
  if (!offsets || offsets.size > midnightsMax) {
    offsets = new Map()
    midnights.set(zone, offsets)
  }
  let offset = offsets.get(day)
  if (offset === undefined) {
    offset = shownOffset(day * DAY, zone)
    offsets.set(day, offset)
  }
  return offset
}

const formats = new Map<string, Intl.DateTimeFormat>()

function shownOffset(instant: number, zone: string): number {
  let format = formats.get(zone)
  if (!format) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      era: 'short',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
    formats.set(zone, format)
  }
  const part = Object.fromEntries(format.formatToParts(instant).map(({ type, value }) => [type, value]))
  const year = Number(part['year'])
  const shown = utc(
    part['era'] === 'BC' ? 1 - year : year,
    Number(part['month']),
    Number(part['day']),
    Number(part['hour']),
    Number(part['minute']),
    Number(part['second']),
  )
  return shown - Math.floor(instant / 1000) * 1000
}
