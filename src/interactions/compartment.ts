/**
 * Membership in a compartment as an expression for each type.
 *
 * https://hl7.org/fhir/R4/compartmentdefinition.html
 *
 * Only the parameters that the CompartmentDefinition names confer membership: an Observation whose focus is somebody
 * else does not belong to that person's record.
 */
import { compartments } from '../fhir/index.js'
import { type Expression, or } from '../search/index.js'

/** The resources a compartment is about: one, several by their ids, or all there are. */
export type Focus = { type: string; ids: string[] | 'all' }

/** What a resource of each type must be to belong; `only` narrows the types. */
export function members(focus: Focus, only?: ReadonlySet<string>): Record<string, Expression> {
  const of: Record<string, Expression> = {}
  for (const [type, params] of Object.entries(compartments[focus.type] ?? {}))
    if (!only || only.has(type)) of[type] = or(...params.map((param) => refersTo(focus, param)), ...itself(focus, type))
  if (!only || only.has(focus.type)) of[focus.type] ??= or(...itself(focus, focus.type))
  return of
}

function itself({ type, ids }: Focus, memberType: string): Expression[] {
  if (type !== memberType) return []
  return [ids === 'all' ? { op: 'everything' } : { op: 'ids', ids }]
}

/** The definition writes `{def}` where it means the focus itself. */
function refersTo({ type, ids }: Focus, param: string): Expression {
  if (param === '{def}') return { op: 'nothing' }
  if (ids === 'all') return { op: 'chain', param, types: [type], of: { op: 'everything' } }
  return or(...ids.map((id): Expression => ({ op: 'reference', param, target: { type, id } })))
}
