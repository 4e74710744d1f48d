/**
 * The most recent Observations that a search finds, by code.
 *
 * https://hl7.org/fhir/R4/observation-operation-lastn.html
 *
 * Codes are equal when they share a coding, through translations also transitively; a text counts where there is no
 * coding. Of observations with the same time as the last one that fits, all are answered.
 */
import { setImmediate } from 'node:timers/promises'
import { reach, redacted } from '../access/index.js'
import { isObject, type Json, type JsonObject, parseJson, period, type Resource } from '../fhir/index.js'
import type { Position, Query } from '../search/index.js'
import type { Stored } from '../store/index.js'
import { audited, perPatient } from './audited.js'
import type { Context } from './context.js'
import { patientsAsked } from './search-event.js'

type Asked = { query: Query; applied: [name: string, value: string][]; max: number }

/** Up to `max` of each code, the newest first. */
export const newestByCode = audited(
  {
    asked: ({ searchParams }, { applied }: Asked) => ({
      what: 'operation',
      operation: 'lastn',
      query: `Observation/$lastn?${redacted(applied, { types: ['Observation'], searchParams })}`,
    }),
    answered: (newest: Stored[], event, _context, { query }) => perPatient(event, newest, patientsAsked(query.where)),
  },
  found,
)

const chunk = 500

/** `codings` and the text name the group; `time` is undefined where the observation has none. */
type Candidate = { stored: Stored; time: number | undefined }

/** Codes that are equal, and the newest observations with one of them. */
type Group = { codes: Set<string>; newest: Candidate[] }

async function found(context: Context, { query, max }: Asked): Promise<Stored[]> {
  const groups = new Map<string, Group>()
  let after: Position | undefined
  do {
    const page: Query = { ...query, sort: [], include: [], count: chunk, total: false, ...(after && { after }) }
    const { matches, next } = await context.store.search(page, reach(context.caller, 'search'))
    for (const { stored } of matches) add(groups, stored, context.settings.zone, max)
    after = next
    await setImmediate()
  } while (after)
  return [...new Set(groups.values())]
    .flatMap(({ newest }) => newest)
    .sort(newestFirst)
    .map(({ stored }) => stored)
}

function add(groups: Map<string, Group>, stored: Stored, zone: string, max: number): void {
  const observation = parseJson(stored.body) as Resource
  const codes = codesOf(observation['code'])
  const equal = [...new Set(codes.flatMap((code) => groups.get(code) ?? []))]
  const group: Group = { codes: new Set(codes), newest: [{ stored, time: timeOf(observation, zone) }] }
  for (const other of equal) {
    for (const code of other.codes) group.codes.add(code)
    group.newest.push(...other.newest)
  }
  group.newest = first(group.newest, max)
  for (const code of group.codes) groups.set(code, group)
}

/** What is not among the newest of its own code is not among those of more codes, so that it can be let go at once. */
function first(candidates: Candidate[], max: number): Candidate[] {
  if (candidates.length <= max) return candidates
  const sorted = candidates.sort(newestFirst)
  const last = sorted[max - 1]!.time
  return sorted.filter(({ time }, index) => index < max || (time === last && time !== undefined))
}

const newestFirst = (a: Candidate, b: Candidate) =>
  a.time === b.time ? 0 : (b.time ?? Number.NEGATIVE_INFINITY) - (a.time ?? Number.NEGATIVE_INFINITY)

/** Names of the code that equal codes share: system and code of each coding, or the text where there is none. */
function codesOf(concept: Json | undefined): string[] {
  const { coding, text } = isObject(concept) ? concept : {}
  const codes = (Array.isArray(coding) ? coding : [])
    .filter((each) => isObject(each))
    .filter(({ code }) => typeof code === 'string')
    .map(({ system, code }) => JSON.stringify([system ?? null, code]))
  return codes.length ? codes : [JSON.stringify(text ?? null)]
}

/** The end of a period, the last event of a timing; none is older than any. */
function timeOf(observation: JsonObject, zone: string): number | undefined {
  const { effectiveDateTime, effectiveInstant, effectivePeriod, effectiveTiming } = observation
  const events = isObject(effectiveTiming) && Array.isArray(effectiveTiming['event']) ? effectiveTiming['event'] : []
  const ends = isObject(effectivePeriod) ? [effectivePeriod['end'] ?? effectivePeriod['start']] : []
  const times = [effectiveDateTime, effectiveInstant, ...ends, ...events]
    .map((text) => (typeof text === 'string' ? period(text, zone)?.lo : undefined))
    .filter((time) => time !== undefined)
  return times.length ? Math.max(...times) : undefined
}
