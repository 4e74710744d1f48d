/**
 * Search for AuditEvents: a walk through the audit log, newest first.
 *
 * https://hl7.org/fhir/R4/auditevent.html#search
 *
 * The time that was asked for and one key (a patient, an agent, an entity) narrow the walk; everything else, the
 * caller's reach first, is decided on the way. A request looks at so many events and no more: what it did not reach is
 * behind the link to the next page, so that a page may be short, or empty, and still have one.
 */
import { setImmediate } from 'node:timers/promises'
import { postedKey, reach } from '../access/index.js'
import { type Json, tooCostly, unsupported } from '../fhir/index.js'
import {
  and,
  type Expression,
  type IntervalTest,
  type Parsed,
  type Position,
  type Query,
  type SearchRequest,
  somePart,
} from '../search/index.js'
import type { AuditQuery, Match } from '../store/index.js'
import { eventsAmong, looksForWords, type Seen, seenIn } from './audit-match.js'
import type { Context, SearchResult } from './context.js'
import { pageToken } from './page.js'

/** Most events one page looks at, and one count. */
const scannedMax = 2000
const countedMax = 20_000
const chunkMax = 250

/** Whether a search is one of the audit log. @throws FhirError where it is one of that and of resources at once */
export function isOfAudit({ types, where, include }: Query, { compartment }: SearchRequest): boolean {
  if (types?.includes('AuditEvent')) {
    if (types.length === 1) return true
    // All of a compartment is what the store has of it, as all of the system is.
    if (!compartment) throw unsupported('AuditEvents are searched alone: leave the other types out', '_type')
  }
  if (leadsToAudit(where) || include.some(({ reverse, type }) => reverse && type === 'AuditEvent'))
    throw unsupported(
      'what refers to a resource in the audit log is found by searching AuditEvent, by entity or patient',
    )
  return false
}

const leadsToAudit = (where: Expression): boolean =>
  somePart(
    where,
    (part) =>
      (part.op === 'has' && part.type === 'AuditEvent') ||
      (part.op === 'chain' && part.types.length === 1 && part.types[0] === 'AuditEvent'),
  )

export async function auditSearch(
  context: Context,
  parsed: Parsed,
  { asked, now }: { asked: SearchRequest; now: number },
): Promise<SearchResult> {
  const { query } = parsed
  const mine = reach(context.caller, 'search', 'AuditEvent')
  const ascending = isAscending(query)
  const include = includesOf(query)
  const place = query.after ? placeOf(query.after) : { segment: 0 }
  const walk = { query, ascending, within: mine.of('AuditEvent') }
  const page = query.count > 0 ? await walked(context, walk, place, query.count) : { events: [] }
  const matches: Match[] = page.events.map(({ stored }) => ({ stored, mode: 'match' }))
  for (const each of await included(context, include, page.events)) matches.push(each)
  const total = query.total || query.count === 0 ? await counted(context, walk) : undefined
  const found = { matches, ...(total !== undefined && { total }), ...(page.next && { next: positionOf(page.next) }) }
  if (!page.next) return { found, parsed }
  const { types, compartment } = asked
  const state: Json = {
    t: types ?? null,
    c: compartment ? [compartment.type, compartment.id] : null,
    p: parsed.applied,
    n: now,
    a: positionOf(page.next),
  }
  return { found, parsed, next: await pageToken(context, 'search', mine, state) }
}

function isAscending({ sort }: Query): boolean {
  const [first, ...more] = sort
  if (!first) return false
  if (more.length || (first.param !== 'date' && first.param !== '_lastUpdated'))
    throw unsupported('AuditEvents are sorted by date or -date (the default), and nothing else', '_sort')
  return !first.descending
}

/** Where a walk stands: in which segment, after which record, and after how many events of the next one. */
type Place = { segment: number; after?: { at: number; id: string }; within?: { id: string; parts: number } }

const positionOf = ({ segment, after, within }: Place): Position => [
  segment,
  after?.at ?? null,
  after?.id ?? null,
  within?.id ?? null,
  within?.parts ?? null,
]

function placeOf([segment, at, id, inside, parts]: Position): Place {
  return {
    segment: Number(segment),
    ...(typeof id === 'string' && { after: { at: Number(at), id } }),
    ...(typeof inside === 'string' && { within: { id: inside, parts: Number(parts) } }),
  }
}

type Walk = { query: Query; ascending: boolean; within: Expression }

async function walked(
  context: Context,
  walk: Walk,
  from: Place,
  count: number,
): Promise<{ events: Seen[]; next?: Place }> {
  const events: Seen[] = []
  let scanned = 0
  for await (const { looked, found, before, after } of steps(context, walk, from, Math.min(chunkMax, count + 1))) {
    for (const event of found) {
      if (events.length === count) {
        const inside = events.at(-1)
        const within = inside?.record === event.record ? { id: event.record.id, parts: inside.part + 1 } : undefined
        return { events, next: { ...before, ...(within && { within }) } }
      }
      events.push(event)
    }
    scanned += looked
    if (scanned >= scannedMax) return { events, next: after }
  }
  return { events }
}

async function counted(context: Context, walk: Walk): Promise<number> {
  let total = 0
  let scanned = 0
  for await (const { looked, found } of steps(context, walk, { segment: 0 }, chunkMax)) {
    total += found.length
    scanned += looked
    if (scanned > countedMax)
      throw tooCostly(`counting would look at more than ${countedMax} events; narrow the date, or leave the total out`)
  }
  return total
}

/** The events of one record that are found, how many were looked at, and the places before and after the record. */
type Step = { looked: number; found: Seen[]; before: Place; after: Place }

async function* steps(
  context: Context,
  { query, ascending, within }: Walk,
  from: Place,
  size: number,
): AsyncGenerator<Step> {
  const segments = segmentsOf(query.where)
  const both = and(query.where, within)
  const view = { fullText: looksForWords(both), only: keyIn(both) }
  if (ascending) segments.reverse()
  for (let segment = from.segment; segment < segments.length; segment++) {
    let before: Place = segment === from.segment ? from : { segment }
    for (;;) {
      const records = await context.store.audit.find({
        ...segments[segment]!,
        ...(before.after && { after: before.after }),
        ascending,
        count: size,
      })
      const events = records.map((record) => seenIn(context, record, view))
      const found = new Set(await eventsAmong(context, events.flat(), within, query.where))
      for (const [index, record] of records.entries()) {
        const own = events[index]!
        const skipped = before.within?.id === record.id ? before.within.parts : 0
        const after: Place = { segment, after: { at: record.at, id: record.id } }
        yield {
          looked: own.length + 1,
          found: own.filter((event) => event.part >= skipped && found.has(event)),
          before,
          after,
        }
        before = after
      }
      if (records.length < size) break
      await setImmediate()
    }
  }
}

type Range = { lo: number; hi: number }
type Segment = Pick<AuditQuery, 'key' | 'lo' | 'hi'>

/**
 * The parts of the log to be looked at, one after the other and newest first.
 *
 * What the server recorded itself stands where its date is. What clients have posted stands where it was received and
 * may tell of any time: beside the time that was asked for only they are looked at.
 */
export function segmentsOf(where: Expression): Segment[] {
  const all: Range = { lo: Number.NEGATIVE_INFINITY, hi: Number.POSITIVE_INFINITY }
  const received = terms(where).reduce((range, each) => narrowed(range, each, '_lastUpdated'), all)
  const date = terms(where).reduce((range, each) => narrowed(range, each, 'date'), all)
  const key = keyIn(where)
  return [
    segment({ lo: Math.max(received.lo, date.hi + 1), hi: received.hi }, postedKey),
    segment({ lo: Math.max(received.lo, date.lo), hi: Math.min(received.hi, date.hi) }, key),
    segment({ lo: received.lo, hi: Math.min(received.hi, date.lo - 1) }, postedKey),
  ].flatMap((each) => each ?? [])
}

function segment({ lo, hi }: Range, key: string | undefined): Segment | undefined {
  if (lo > hi || lo === Number.POSITIVE_INFINITY || hi === Number.NEGATIVE_INFINITY) return undefined
  return {
    ...(key !== undefined && { key }),
    ...(Number.isFinite(lo) && { lo }),
    ...(Number.isFinite(hi) && { hi }),
  }
}

const terms = (where: Expression): Expression[] => (where.op === 'and' ? where.of : [where])

/** Never narrower than the test: what is let through is judged by the test itself. */
function narrowed(range: Range, test: Expression, param: string): Range {
  if (test.op !== 'interval' || test.param !== param) return range
  const { lo, hi } = bounds(test)
  return { lo: Math.max(range.lo, lo), hi: Math.min(range.hi, hi) }
}

function bounds({ prefix, lo, hi }: IntervalTest): Range {
  switch (prefix) {
    case 'eq':
    case 'ap':
      return { lo, hi }
    case 'gt':
    case 'sa':
      return { lo: hi, hi: Number.POSITIVE_INFINITY }
    case 'ge':
      return { lo, hi: Number.POSITIVE_INFINITY }
    case 'lt':
    case 'eb':
      return { lo: Number.NEGATIVE_INFINITY, hi: lo }
    case 'le':
      return { lo: Number.NEGATIVE_INFINITY, hi }
    case 'ne':
      return { lo: Number.NEGATIVE_INFINITY, hi: Number.POSITIVE_INFINITY }
  }
}

const keyed = new Set(['patient', 'agent', 'entity'])

/** A key that every event that is looked for has; organizations are in too many events to help, and are no keys. */
function keyIn(where: Expression): string | undefined {
  for (const each of terms(where)) {
    if (each.op === 'typed') {
      const own = each.of['AuditEvent']
      const key = own && keyIn(own)
      if (key !== undefined) return key
    }
    if (each.op !== 'reference' || !keyed.has(each.param) || !('id' in each.target)) continue
    const { type, id } = each.target
    if (type !== 'Organization') return `${type}/${id}`
  }
  return undefined
}

function includesOf({ include }: Query): Query['include'] {
  const other = include.find(
    ({ reverse, type, iterate }) => reverse || iterate || (type !== 'AuditEvent' && type !== '*'),
  )
  if (other)
    throw unsupported(
      'a search for AuditEvents includes what they refer to, such as _include=AuditEvent:patient',
      '_include',
    )
  return include
}

/** What the events refer to, as far as the caller sees it. */
async function included(context: Context, include: Query['include'], events: readonly Seen[]): Promise<Match[]> {
  if (include.length === 0) return []
  const wanted = new Map<string, Set<string>>()
  let count = 0
  for (const { subject } of events)
    for (const entry of subject.entries) {
      if (entry.kind !== 'reference' || entry.type === 'AuditEvent') continue
      const asked = include.some(
        ({ param, target }) => (param === '*' || param === entry.param) && (target ?? entry.type) === entry.type,
      )
      if (!asked) continue
      const ids = wanted.get(entry.type) ?? new Set()
      if (!ids.has(entry.id)) count++
      wanted.set(entry.type, ids.add(entry.id))
    }
  const { includesMax } = context.settings
  if (count > includesMax)
    throw tooCostly(`the page includes more than ${includesMax} resources; ask for a smaller _count or fewer includes`)
  const mine = reach(context.caller, 'search')
  const found: Match[] = []
  for (const [type, ids] of wanted) {
    const where: Expression = { op: 'ids', ids: [...ids] }
    const query = { types: [type], where, sort: [], include: [], count: ids.size, total: false }
    const { matches } = await context.store.search(query, mine)
    for (const { stored } of matches) found.push({ stored, mode: 'include' })
  }
  return found
}
