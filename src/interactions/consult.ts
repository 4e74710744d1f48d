/**
 * Answers a question to terminology: who may read definitions of the type may ask, and that it was asked is recorded.
 *
 * https://hl7.org/fhir/R4/terminology-service.html
 */
import { reach } from '../access/index.js'
import { parseJson, type Resource } from '../fhir/index.js'
import { and } from '../search/index.js'
import { audited } from './audited.js'
import type { Context } from './context.js'

export type Consulted<T> = { operation: string; type: string; answer(): Promise<T> }

/** @throws FhirError forbidden where the caller may not read the type */
export function consult<T>(context: Context, asked: Consulted<T>): Promise<T> {
  return recorded(context, asked as Consulted<unknown>) as Promise<T>
}

const recorded = audited(
  {
    asked: (_context, { operation, type }: Consulted<unknown>) => ({ what: 'operation', operation, data: [type] }),
  },
  async ({ caller }: Context, { type, answer }: Consulted<unknown>): Promise<unknown> => {
    reach(caller, 'read', type)
    return answer()
  },
)

/** Most stored concept maps that one translation looks at. */
const mapsMax = 200

/** The stored concept maps that map codes of a system, as the caller may see them. */
export async function conceptMapsOf(
  { store, caller }: Context,
  side: 'source-system' | 'target-system',
  system: string,
): Promise<Resource[]> {
  const { matches } = await store.search(
    {
      types: ['ConceptMap'],
      where: and({ op: 'uri', param: side, how: 'exact', value: system }),
      sort: [{ param: '_lastUpdated', descending: true }],
      include: [],
      count: mapsMax,
      total: false,
    },
    reach(caller, 'search'),
  )
  return matches.map(({ stored }) => parseJson(stored.body) as Resource)
}
