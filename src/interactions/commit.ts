/**
 * The one way to the store for what changes: hospital rules, then one atomic commit, and what a refusal means in FHIR.
 *
 * https://hl7.org/fhir/R4/http.html#transactional-integrity
 */
import { isUnlimited, reach } from '../access/index.js'
import { business, conflict, type FhirError, notAllowed, type Ref, stale } from '../fhir/index.js'
import { type Change, type Claim, CommitRefused, type Committed, type Condition, type Stored } from '../store/index.js'
import { type Event, entriesOf, markLeft, withResource, writeEvent } from './audited.js'
import type { Context, Rule } from './context.js'

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
  for (const change of unit.changes) refuseChange(change)
  const before = await beforeOf(context, unit.changes)
  const changes = await withConsequences(context, unit.changes, before)
  const { conditions = [], claims = [] } = unit
  const { audit } = context.settings
  try {
    const committed = await context.store.commit({
      changes,
      conditions,
      claims,
      integrity: context.settings.integrity,
      ...(audit && { audit: (committed) => entriesOf(context, eventsOf(changes, committed, before)) }),
    })
    if (audit) for (const one of committed) markLeft(one)
    return committed.slice(0, unit.changes.length)
  } catch (error) {
    if (error instanceof CommitRefused) throw refusal(error, unit, changes, isUnlimited(context.caller))
    throw error
  }
}

/**
 * The audit log is append-only by every route: no interaction changes an AuditEvent, and none can come here.
 *
 * @throws FhirError 405
 */
export function refuseChange({ type }: { type: string }): void {
  if (type !== 'AuditEvent') return
  throw notAllowed('AuditEvents are added by POST, one by one, and never changed', undefined, {
    headers: { Allow: 'GET, HEAD, POST, OPTIONS' },
  })
}

/** What the changes replace, where anybody wants to know: rules, and the event of a deletion, which has no content. */
async function beforeOf(context: Context, changes: readonly Change[]): Promise<Map<Change, Stored | undefined>> {
  const before = new Map<Change, Stored | undefined>()
  for (const change of changes) {
    const isDelete = change.op === 'delete'
    if (
      !context.rules.some((rule) => !rule.onlyAfter && concerns(rule, change)) &&
      !(isDelete && context.settings.audit)
    )
      continue
    const mine = reach(context.caller, isDelete ? 'delete' : 'update')
    before.set(change, await context.store.read({ type: change.type, id: change.id }, mine))
  }
  return before
}

const concerns = ({ types }: Rule, { type }: Change): boolean => types?.has(type) ?? true

async function withConsequences(
  context: Context,
  changes: Change[],
  before: ReadonlyMap<Change, Stored | undefined>,
): Promise<Change[]> {
  if (context.rules.length === 0) return changes
  const all = [...changes]
  for (const change of changes)
    for (const rule of context.rules)
      if (concerns(rule, change)) all.push(...(await rule(change, before.get(change), context)))
  return all
}

/** One event for each change, those that follow from rules included. */
function eventsOf(
  changes: readonly Change[],
  committed: readonly Committed[],
  before: ReadonlyMap<Change, Stored | undefined>,
): Event[] {
  return committed.map(({ stored }, index): Event => {
    const change = changes[index]!
    if (change.op === 'put') return withResource(writeEvent(interactionOf[change.method], change), stored)
    const was = before.get(change)
    const event = writeEvent('delete', change)
    return was && !was.deleted ? { ...withResource(event, was), ...(event.data && { data: event.data }) } : event
  })
}

const interactionOf = { POST: 'create', PUT: 'update', PATCH: 'patch' } as const

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
