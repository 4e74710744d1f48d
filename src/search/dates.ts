/**
 * Date search: instants, dates of any precision, periods and timings as closed intervals of milliseconds.
 *
 * https://hl7.org/fhir/R4/search.html#date
 */
import { dateMax, dateMin, invalid, isObject, type Json, type Period, period } from '../fhir/index.js'
import type { Emit } from './entries.js'
import type { IntervalTest } from './expression.js'
import { readPrefix } from './numbers.js'

export function dateEmitter(param: string, type: string): Emit | undefined {
  const read = readers[type]
  return (
    read &&
    ((value, { entries, zone }) => {
      const found = read(value, zone)
      if (found) entries.push({ kind: 'interval', param, lo: found.lo, hi: found.hi })
    })
  )
}

const moment = (value: Json | undefined, zone: string): Period | undefined =>
  typeof value === 'string' ? period(value, zone) : undefined

const readers: Record<string, (value: Json, zone: string) => Period | undefined> = {
  date: moment,
  dateTime: moment,
  instant: moment,
  Period: periodOf,
  Timing: timingOf,
}

/** A Period without an end goes on, without a start it always was. */
function periodOf(value: Json | undefined, zone: string): Period | undefined {
  if (!isObject(value)) return undefined
  const start = moment(value['start'], zone)
  const end = moment(value['end'], zone)
  return start || end ? { lo: start?.lo ?? dateMin, hi: end?.hi ?? dateMax } : undefined
}

/** "The specific scheduling details are ignored and only the outer limits matter." */
function timingOf(value: Json, zone: string): Period | undefined {
  if (!isObject(value)) return undefined
  const { event, repeat } = value
  const found = (Array.isArray(event) ? event : []).map((each) => moment(each, zone))
  if (isObject(repeat)) found.push(periodOf(repeat['boundsPeriod'], zone))
  return found.reduce(
    (all, each) => (all && each ? { lo: Math.min(all.lo, each.lo), hi: Math.max(all.hi, each.hi) } : (all ?? each)),
    undefined,
  )
}

/** No date is longer, even with a dozen digits of a second. */
const lengthMax = 48

/**
 * A searched date. `ap` reaches a tenth of the distance to now to either side, at least as far as the date is precise.
 *
 * @throws FhirError naming the parameter
 */
export function dateTest(
  param: string,
  text: string,
  name: string,
  { zone, now }: { zone: string; now: number },
): IntervalTest {
  const { prefix, rest } = readPrefix(text)
  // A client that forgot to encode the plus of +02:00 sent a space.
  const asked = rest.length <= lengthMax ? period(rest.replace(/ (?=\d\d:\d\d$)/, '+'), zone) : undefined
  if (!asked) throw invalid(`"${name}" takes a date such as 2013-01-14 or 2013-01-14T10:00:00Z`, name)
  const { lo, hi } = asked
  if (prefix !== 'ap') return { op: 'interval', param, prefix, lo, hi }
  const reach = Math.max(Math.round(Math.abs(now - (lo + hi) / 2) / 10), hi - lo + 1)
  return { op: 'interval', param, prefix, lo: Math.max(lo - reach, dateMin), hi: Math.min(hi + reach, dateMax) }
}
