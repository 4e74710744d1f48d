/**
 * $lastn: the most recent Observations of a patient, by code.
 *
 * https://hl7.org/fhir/R4/observation-operation-lastn.html
 *
 * Codes are equal when they share a coding, through translations also transitively; a text counts where there is no
 * coding. Of observations with the same time as the last one that fits, all are answered.
 */
import { setImmediate } from 'node:timers/promises'
import { reach } from '../access/index.js'
import {
  invalid,
  isObject,
  type Json,
  type JsonObject,
  parseJson,
  period,
  type Resource,
  unsupported,
} from '../fhir/index.js'
import { type Context, writeBundle } from '../interactions/index.js'
import { type Parsed, type Position, parse, type Query } from '../search/index.js'
import type { Stored } from '../store/index.js'
import { argumentsOf, positiveOf, textsOf } from './arguments.js'
import type { Operation } from './operation.js'

const chunk = 500

export const lastn: Operation = {
  definition: 'http://hl7.org/fhir/OperationDefinition/Observation-lastn',
  code: 'lastn',
  system: false,
  types: ['Observation'],
  type: true,
  instance: false,
  affectsState: false,
  async run(context, call) {
    // Any search parameter says which observations.
    const given = argumentsOf(call, { definition: lastn.definition, others: () => true })
    const max = positiveOf(given, 'max') ?? 1
    const names = [...new Set(given.map(({ name }) => name))].filter((name) => name !== 'max')
    const parameters = names.flatMap((name) => textsOf(given, name).map((value): [string, string] => [name, value]))
    const { query, applied } = await understood(context, parameters)
    const newest = await newestByCode(context, query, max)
    const matches = newest.map(({ stored }) => ({ stored, mode: 'match' as const }))
    const self = [['max', String(max)], ...applied].map((pair) => pair.map(encodeURIComponent).join('='))
    const links = [{ relation: 'self', url: `${call.url}?${self.join('&')}` }]
    const baseUrl = context.baseUrls[0]!
    return { kind: 'bytes', body: writeBundle({ type: 'searchset', matches, links, baseUrl, total: matches.length }) }
  },
}

/** The parameters as a search; how to order, count or include is not theirs to say. */
async function understood(context: Context, parameters: [string, string][]): Promise<Parsed> {
  const { searchParams, terminology, baseUrls, settings } = context
  const result = parameters.find(([name]) => aboutTheResult.test(name))?.[0]
  if (result !== undefined) throw unsupported(`$lastn decides itself what to answer; leave "${result}" out`, result)
  const codes = parameters.map(([name]) => name.split(/[:.]/)[0]!)
  if (!codes.some((code) => code === 'patient' || code === 'subject'))
    throw invalid('$lastn needs whose observations: state "patient" or "subject"', 'patient')
  const saysWhat = (code: string) => {
    const { expression, component = [] } = searchParams.find('Observation', code) ?? {}
    return [expression, ...component.map((part) => part.expression)].some((text) => text && /\bcode\b/.test(text))
  }
  if (!codes.some((code) => code === 'category' || saysWhat(code)))
    throw invalid('$lastn needs which observations: state "category", "code" or another parameter with a code', 'code')
  return parse(
    { types: ['Observation'], parameters },
    { searchParams, terminology, baseUrls, ...settings, handling: 'strict' },
  )
}

const aboutTheResult = /^_(count|sort|include|revinclude|total|summary|elements|contained|containedType|explain)(:|$)/

/** `codings` and the text name the group; `time` is undefined where the observation has none. */
type Candidate = { stored: Stored; time: number | undefined }

/** Codes that are equal, and the newest observations with one of them. */
type Group = { codes: Set<string>; newest: Candidate[] }

async function newestByCode(context: Context, query: Query, max: number): Promise<Candidate[]> {
  const groups = new Map<string, Group>()
  let after: Position | undefined
  do {
    const page: Query = { ...query, sort: [], include: [], count: chunk, total: false, ...(after && { after }) }
    const found = await context.store.search(page, reach(context.caller, 'search'))
    for (const { stored } of found.matches) add(groups, stored, context.settings.zone, max)
    after = found.next
    await setImmediate()
  } while (after)
  return [...new Set(groups.values())].flatMap(({ newest }) => newest).sort(newestFirst)
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
