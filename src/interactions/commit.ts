/**
 * The one way to the store for what changes: hospital rules, then one atomic commit, and what a refusal means in FHIR.
 *
 * https://hl7.org/fhir/R4/http.html#transactional-integrity
 */
import { isUnlimited, reach } from '../access/index.js'
import { business, conflict, type FhirError, type Ref, stale } from '../fhir/index.js'
import { type Change, type Claim, CommitRefused, type Committed, type Condition } from '../store/index.js'
import type { Context } from './context.js'

export type Unit = {
  changes: Change[]
  conditions?: Condition[]
  claims?: Claim[]
  /** Whether what the change expects comes from our own look: finding something else is a race to run again. */
  retry?: (index: number) => boolean
  /** Whether the id of a change came with the body of a conditional update that matches nothing. */
  idFromBody?: (index: number) => boolean
  /** Where the change stands in the request, for the outcome. */
  place?: (index: number) => string | undefined
}

/**
 * What became of each change, in order.
 *
 * @throws CommitRefused where starting over can help (`retrying`), or a claim was taken (`once`)
 */
export async function commit(context: Context, unit: Unit): Promise<Committed[]> {
  const changes = context.rules.length ? await withConsequences(context, unit.changes) : unit.changes
  const { conditions = [], claims = [] } = unit
  try {
    const committed = await context.store.commit({
      changes,
      conditions,
      claims,
      integrity: context.settings.integrity,
    })
    return committed.slice(0, unit.changes.length)
  } catch (error) {
    if (error instanceof CommitRefused) throw refusal(error, unit, changes, isUnlimited(context.caller))
    throw error
  }
}

async function withConsequences(context: Context, changes: Change[]): Promise<Change[]> {
  const all = [...changes]
  for (const change of changes) {
    const act = change.op === 'put' ? 'update' : 'delete'
    const before = await context.store.read({ type: change.type, id: change.id }, reach(context.caller, act))
    for (const rule of context.rules) all.push(...(await rule(change, before, context)))
  }
  return all
}

function refusal(refused: CommitRefused, unit: Unit, changes: Change[], seesAll: boolean): FhirError | CommitRefused {
  const { reason } = refused
  if (reason.kind === 'condition' || reason.kind === 'claim') return refused
  if ((reason.kind === 'version' || reason.kind === 'exists') && unit.retry?.(reason.index)) return refused
  const { type, expect } = changes[reason.index]!
  const place = unit.place?.(reason.index)
  const options = { cause: refused }
  switch (reason.kind) {
    case 'version':
      return stale(
        reason.current === undefined
          ? `there is no such ${type} any more; leave If-Match out to create it`
          : `version ${expect?.version ?? ''} of this ${type} was replaced by version ${reason.current}; read it again before changing it`,
        place,
        options,
      )
    case 'exists':
      // "No matches, id provided and already exist: the server rejects the update with a 409 Conflict error".
      return unit.idFromBody?.(reason.index)
        ? conflict(
            `nothing matches the criteria, but a ${type} with the id in the body exists; update it by its id, or leave the id out`,
            place,
            options,
          )
        : stale(`a ${type} with this id exists already`, place, options)
    case 'absent':
      return stale(`this ${type} does not exist; leave If-Match out to create it`, place, options)
    case 'dangling':
      return dangling(type, reason.ref, place, options)
    case 'referred':
      return conflict(
        // What refers to it may be what the caller must not know of.
        seesAll
          ? `this ${type} is referred to by ${written(reason.by)}; delete or change that first, or both in one transaction`
          : `this ${type} is referred to by other resources`,
        place,
        options,
      )
  }
}

/** A reference to what is not there, or is out of the caller's reach: the same answer. */
export const dangling = (type: string, ref: Ref, place?: string, options?: FhirError['options']): FhirError =>
  business(
    `the ${type} refers to ${written(ref)}, which does not exist; create it first, or send both in one transaction`,
    place,
    options,
  )

const written = ({ type, id }: Ref) => `${type}/${id}`
