/**
 * FHIR delete interaction, also conditional: of one resource, or of all that criteria select.
 *
 * https://hl7.org/fhir/R4/http.html#delete
 */
import { reach } from '../access/index.js'
import { forbidden, type Ref, stale, tooCostly } from '../fhir/index.js'
import type { Expression } from '../search/index.js'
import type { Stored } from '../store/index.js'
import { audited, writeEvent } from './audited.js'
import { commit, refuseChange } from './commit.js'
import type { Context, Preconditions, Written } from './context.js'
import { criteriaEvent, matches, theOne } from './criteria.js'
import { expectation, refuseIfSeen } from './expectation.js'
import { retrying } from './retrying.js'

/** What was never there, or is out of reach, is deleted already: `unchanged`, with version 0. */
export const remove = audited(
  { asked: (_context, ref: Ref, _preconditions?: Preconditions) => writeEvent('delete', ref) },
  removeNow,
)

async function removeNow(context: Context, ref: Ref, preconditions: Preconditions = {}): Promise<Written> {
  refuseChange(ref)
  return retrying(async () => {
    const current = await context.store.read(ref, reach(context.caller, 'delete', ref.type))
    if (!current) await refuseIfSeen(context, 'delete', ref)
    if (!current && preconditions.ifMatch === undefined) return neverThere(ref)
    const { expect, raced } = await expectation(context, 'delete', ref, preconditions)
    if (!current) throw stale(`there is no such ${ref.type} to match If-Match`)
    const [done] = await commit(context, {
      changes: [{ op: 'delete', ...pick(ref), ...(expect && { expect }) }],
      retry: () => raced,
    })
    return done!
  })
}

/**
 * One resource, or with `multiple` all of them in one commit, up to the server's limit. None is not an error.
 *
 * https://hl7.org/fhir/R4/http.html#3.1.0.7.1
 */
export const conditionalDelete = audited(
  {
    asked: (context, type: string, criteria: string, _how: { multiple: boolean; ifMatch?: string }) =>
      criteriaEvent(context, 'delete', type, criteria),
  },
  conditionalDeleteNow,
)

async function conditionalDeleteNow(
  context: Context,
  type: string,
  criteria: string,
  { multiple, ifMatch }: { multiple: boolean; ifMatch?: string },
): Promise<Written[]> {
  refuseChange({ type })
  const limit = multiple ? context.settings.includesMax : 1
  return retrying(async () => {
    const { found, condition } = await matches(context, type, criteria, limit)
    if (!multiple) theOne(type, found)
    if (found.length > limit) throw tooManyToDelete(limit)
    await refuseUndeletable(context, type, found)
    if (found.length === 0) return []
    const one = found.length === 1 ? found[0]! : undefined
    const { expect, raced } = one
      ? await expectation(context, 'delete', { type, id: one.id }, ifMatch === undefined ? {} : { ifMatch })
      : { expect: undefined, raced: false }
    return commit(context, {
      changes: found.map(({ id }) => ({ op: 'delete', type, id, ...(expect && { expect }) })),
      conditions: [condition],
      retry: () => raced,
    })
  })
}

/**
 * Criteria select among what the caller finds, and not all of that is theirs to delete.
 *
 * @throws FhirError forbidden
 */
export async function refuseUndeletable(
  { caller, store }: Context,
  type: string,
  found: readonly Stored[],
): Promise<void> {
  const mine = reach(caller, 'delete', type)
  if (found.length === 0 || mine.of(type).op === 'everything') return
  const where: Expression = { op: 'ids', ids: found.map(({ id }) => id) }
  const query = { types: [type], where, sort: [], include: [], count: found.length, total: false }
  const { matches } = await store.search(query, mine)
  if (matches.length < found.length) throw forbidden(`you may not delete every ${type} that matches the criteria`)
}

export const tooManyToDelete = (limit: number) =>
  tooCostly(`more than ${limit} resources match the criteria; delete fewer at a time`)

const pick = ({ type, id }: Ref): Ref => ({ type, id })

function neverThere(ref: Ref): Written {
  const stored: Stored = {
    ...pick(ref),
    version: 0,
    updated: 0,
    deleted: true,
    method: 'DELETE',
    body: Buffer.alloc(0),
  }
  return { outcome: 'unchanged', stored }
}
