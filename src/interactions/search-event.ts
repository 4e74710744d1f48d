/**
 * The event of a search: what was asked, and each patient who was found or asked for.
 *
 * https://profiles.ihe.net/ITI/BALP/StructureDefinition-IHE.BasicAudit.PatientQuery.html
 */
import { isNobodys, redacted } from '../access/index.js'
import type { Expression, SearchRequest } from '../search/index.js'
import type { Stored } from '../store/index.js'
import { type Event, perPatient } from './audited.js'
import type { Context, SearchResult } from './context.js'

export function searchEvent(context: Context, { types, compartment, parameters }: SearchRequest): Event {
  const { searchParams } = context
  const within = compartment && `${compartment.type}/${compartment.id}`
  const path = [within, types?.length === 1 ? types[0] : within && '*'].filter((part) => part !== undefined).join('/')
  return {
    what: types?.length === 1 ? 'search-type' : 'search-system',
    query: `${path}?${redacted(parameters, { types, searchParams })}`,
    ...(compartment?.type === 'Patient' && { patients: [compartment.id] }),
  }
}

/** The event of an answered search; none where all of it is nobody's data. */
export function searchAnswered(
  { found, parsed }: SearchResult,
  event: Event,
  context: Context,
  request: SearchRequest & { page?: string },
): Event | undefined {
  const { types, where } = parsed.query
  const stored = found.matches.map((match) => match.stored)
  if (types?.every(isNobodys) && stored.every(({ type }) => isNobodys(type))) return undefined
  // The link of a page says nothing by itself; what it resumes was understood from its token.
  const { page, ...first } = request
  const asked =
    page === undefined ? event : searchEvent(context, { ...first, ...(types && { types }), parameters: parsed.applied })
  return perPatient(asked, stored, patientsAsked(where))
}

/** Patients who are named by their ids in what all of the answer must satisfy. */
export function patientsAsked(where: Expression): string[] {
  switch (where.op) {
    case 'and':
    case 'or':
      return where.of.flatMap(patientsAsked)
    case 'reference':
      return 'id' in where.target && where.target.type === 'Patient' ? [where.target.id] : []
    case 'typed':
      return Object.values(where.of).flatMap(patientsAsked)
    default:
      return []
  }
}

/** The event of a history of a type or of all, which is asked like a search. */
export function historyAnswered(event: Event, found: readonly Stored[], type: string | undefined): Event | undefined {
  if (type !== undefined && isNobodys(type)) return undefined
  return perPatient(event, found)
}
