/**
 * FHIR conditional update: the new content of the resource that criteria select, or of a new one where they select none.
 *
 * https://hl7.org/fhir/R4/http.html#cond-update
 */
import { conflict, FhirError, invalid, type Resource, stale } from '../fhir/index.js'
import { CommitRefused, type Condition, type Put, type Stored } from '../store/index.js'
import { admit } from './admit.js'
import { commit } from './commit.js'
import type { Context, Preconditions, Written } from './context.js'
import { matches, theOne } from './criteria.js'
import { expectation } from './expectation.js'
import { inTurn } from './in-turn.js'
import { prepare } from './prepare.js'
import { retrying } from './retrying.js'
import { checkType } from './update.js'

export async function conditionalUpdate(
  context: Context,
  type: string,
  criteria: string,
  resource: Resource,
  preconditions: Preconditions = {},
): Promise<Written> {
  checkType(type, resource)
  return inTurn(context.store, `${type}?${criteria}`, () =>
    retrying(async () => {
      const { found, condition } = await matches(context, type, criteria)
      const existing = theOne(type, found)
      const target = updateTarget(context, resource, existing, preconditions)
      const { expect, raced } = existing
        ? await expectation(context, 'update', { type, id: target.id }, preconditions)
        : { expect: { exists: false }, raced: false }
      const put = prepare(context, resource, { ...target, ...(expect && { expect }) })
      admit(context, existing ? 'update' : 'create', put)
      return commitTarget(context, put, condition, raced)
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
    return resource.id === undefined
      ? { id: context.newId(), method: 'POST' }
      : { id: resource.id, method: 'PUT' }
  }
  if (resource.id !== undefined && resource.id !== existing.id)
    throw invalid(
      'the resource that matches the criteria has another id than the body; leave the id out or correct it',
      `${resource.resourceType}.id`,
    )
  return { id: existing.id, method: 'PUT' }
}

async function commitTarget(context: Context, put: Put, condition: Condition, raced: boolean): Promise<Written> {
  try {
    const [done] = await commit(context, { changes: [put], conditions: [condition], retryVersions: raced })
    return done!
  } catch (error) {
    throw idTaken(error)
  }
}

/** "No matches, id provided and already exist: the server rejects the update with a 409 Conflict error". */
export function idTaken(error: unknown): unknown {
  if (!(error instanceof FhirError) || !(error.options.cause instanceof CommitRefused)) return error
  if (error.options.cause.reason.kind !== 'exists') return error
  return conflict(
    'nothing matches the criteria, but a resource with the id in the body exists; update it by its id or leave the id out',
    undefined,
    { cause: error },
  )
}
