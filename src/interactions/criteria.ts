/**
 * The criteria of a conditional interaction: what they find now, and the condition that they still find it at commit.
 *
 * https://hl7.org/fhir/R4/http.html#ccreate
 *
 * Always strict, whatever the client prefers: an ignored criterion would select the wrong resources.
 */
import { type Interaction, reach, redacted } from '../access/index.js'
import { FhirError, invalid, multipleMatches } from '../fhir/index.js'
import { type Expression, parse, readParameters } from '../search/index.js'
import type { Condition, Stored } from '../store/index.js'
import { type Event, writeEvent } from './audited.js'
import type { Context } from './context.js'

/** `found` has at most `limit` + 1 resources, so that more than `limit` can be told. */
export type Matches = { found: Stored[]; condition: Condition }

export async function matches(context: Context, type: string, criteria: string, limit = 1): Promise<Matches> {
  return find(context, type, await selection(context, type, criteria), limit)
}

/** The criteria as an expression. */
export async function selection(context: Context, type: string, criteria: string): Promise<Expression> {
  const { searchParams, terminology, baseUrls, settings } = context
  const { query, summary, elements, applied } = await parse(
    { types: [type], parameters: readParameters(criteria) },
    { searchParams, terminology, baseUrls, now: context.clock(), ...settings, handling: 'strict' },
  )
  const result = applied.find(([name]) => resultParameters.has(name))?.[0]
  if (result !== undefined || query.include.length || query.sort.length || summary || elements)
    throw invalid(`criteria select resources; ${result ?? 'a parameter'} says how to return them, leave it out`)
  if (query.where.op === 'everything')
    throw invalid(`the criteria select every ${type}; state at least one search parameter`)
  return query.where
}

const resultParameters = new Set(['_count', '_total', '_contained', '_containedType', '_explain'])

export async function find(context: Context, type: string, where: Expression, limit: number): Promise<Matches> {
  const query = { types: [type], where, sort: [], include: [], count: limit + 1, total: false }
  const mine = reach(context.caller, 'search', type)
  const { matches } = await context.store.search(query, mine)
  const found = matches.map(({ stored }) => stored)
  return { found, condition: { query, reach: mine, ids: found.map(({ id }) => id) } }
}

/** The event of a conditional write, as long as nobody knows which resource it is about. */
export function criteriaEvent({ searchParams }: Context, what: Interaction, type: string, criteria: string): Event {
  try {
    const query = redacted(readParameters(criteria), { types: [type], searchParams })
    return { ...writeEvent(what, { type }), query: `${type}?${query}` }
  } catch (error) {
    // Criteria that cannot be read are refused for it; who knows what they hold.
    if (!(error instanceof FhirError)) throw error
    return writeEvent(what, { type })
  }
}

/** @throws FhirError multiple-matches */
export function theOne(type: string, found: Stored[]): Stored | undefined {
  if (found.length > 1) throw multipleMatches(`more than one ${type} matches the criteria; make them more selective`)
  return found[0]
}
