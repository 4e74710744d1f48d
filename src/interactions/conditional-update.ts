/**
 * FHIR conditional update: the new content of the resource that criteria select, or of a new one where they select none.
 *
 * https://hl7.org/fhir/R4/http.html#cond-update
 */
import { invalid, type Resource, stale } from '../fhir/index.js'
import type { Stored } from '../store/index.js'
import { admit } from './admit.js'
import { audited, withResource } from './audited.js'
import { commit, refuseChange } from './commit.js'
import type { Context, Preconditions, Written } from './context.js'
import { criteriaEvent, matches, theOne } from './criteria.js'
import { type Expectation, expectation, refuseChosenId } from './expectation.js'
import { inTurn } from './in-turn.js'
import { prepare } from './prepare.js'
import { retrying } from './retrying.js'
import { checkType } from './update.js'

export const conditionalUpdate = audited(
  {
    asked: (context, type: string, criteria: string, _resource: Resource, _preconditions?: Preconditions) =>
      criteriaEvent(context, 'update', type, criteria),
    answered: ({ stored }: Written, event) => withResource(event, stored),
  },
  conditionalUpdateNow,
)

async function conditionalUpdateNow(
  context: Context,
  type: string,
  criteria: string,
  resource: Resource,
  preconditions: Preconditions = {},
): Promise<Written> {
  refuseChange({ type })
  checkType(type, resource)
  return inTurn(context.store, `${type}?${criteria}`, () =>
    retrying(async () => {
      const { found, condition } = await matches(context, type, criteria)
      const existing = theOne(type, found)
      const target = updateTarget(context, resource, existing, preconditions)
      const { expect, raced, before }: Expectation = existing
        ? await expectation(context, 'update', { type, id: target.id }, preconditions)
        : { expect: { exists: false }, raced: false }
      const put = prepare(context, resource, { ...target, ...(expect && { expect }), ...(before && { before }) })
      await admit(context, [{ act: existing ? 'update' : 'create', put, ...(before && { before }) }])
      const [done] = await commit(context, {
        changes: [put],
        conditions: [condition],
        retry: () => raced,
        idFromBody: () => !existing && resource.id !== undefined,
      })
      return done!
    }),
  )
}

/**
 * Which resource a conditional update is about.
 *
 * @throws FhirError where the resource carries the id of another one
 */
export function updateTarget(
  context: Context,
  resource: Resource,
  existing: Stored | undefined,
  { ifMatch }: Preconditions,
): { id: string; method: 'POST' | 'PUT' } {
  if (!existing) {
    if (ifMatch !== undefined) throw stale('nothing matches the criteria, so no version can match If-Match')
    if (resource.id === undefined) return { id: context.newId(), method: 'POST' }
    refuseChosenId(context, resource.resourceType)
    return { id: resource.id, method: 'PUT' }
  }
  if (resource.id !== undefined && resource.id !== existing.id)
    throw invalid(
      'the resource that matches the criteria has another id than the body; leave the id out or correct it',
      `${resource.resourceType}.id`,
    )
  return { id: existing.id, method: 'PUT' }
}
