/**
 * A query as the audit log may keep it: what was asked for, without what opens doors.
 *
 * https://profiles.ihe.net/ITI/BALP/StructureDefinition-IHE.BasicAudit.Query.html
 *
 * BALP stores the raw request. We do not know every name that somebody may give a token, a code or a password, but we
 * know what can be searched by: the value of anything else is left out. `code` is kept for an Observation, where it is
 * a search parameter, and left out for a Patient, where it is none.
 */
import type { SearchParams } from '../search/index.js'

/** Longer queries are cut: what follows was asked as well, and its length is told. */
const queryMax = 16_384

const hidden = '(redacted)'

/** Tokens may also be written where a search parameter expects something else. */
const tokenLike = /\beyJ[\w-]{8,}\.[\w-]+(\.[\w-]*)?|\bBearer\s+\S+/gi

export function redacted(
  parameters: readonly (readonly [name: string, value: string])[],
  { types, searchParams }: { types: readonly string[] | undefined; searchParams: Pick<SearchParams, 'find'> },
): string {
  const parts = parameters.map(([name, value]) =>
    isKnown(name, types ?? [], searchParams)
      ? `${clean(name)}=${clean(value)}`
      : // The name itself may be what should not be written down: `?eyJ…` is a name without a value.
        `${name.length <= nameMax ? clean(name) : hidden}=${hidden}`,
  )
  const query = parts.join('&')
  return query.length <= queryMax ? query : `${query.slice(0, queryMax)}… (${query.length} characters)`
}

const nameMax = 64

const clean = (text: string): string => (text.length < 16 ? text : text.replace(tokenLike, hidden))

/** Of every type, and about the result: https://hl7.org/fhir/R4/search.html#all */
const ofAll =
  /^_(id|lastUpdated|tag|profile|security|source|text|content|list|has|type|filter|sort|count|include|revinclude|summary|total|elements|contained|containedType|explain|since|at|format|pretty)$/

function isKnown(name: string, types: readonly string[], searchParams: Pick<SearchParams, 'find'>): boolean {
  const [base = ''] = name.split(/[:.]/, 1)
  if (ofAll.test(base)) return true
  return types.length > 0 && types.every((type) => searchParams.find(type, base) !== undefined)
}
