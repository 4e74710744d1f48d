/**
 * If-Match and If-None-Match of a write, as what the commit shall expect of the resource.
 *
 * https://hl7.org/fhir/R4/http.html#concurrency
 *
 * Preconditions are looked at only after visibility: what is out of reach is answered like an id that never was.
 */
import { type Act, isUnlimited, reach } from '../access/index.js'
import { forbidden, notAllowed, parseJson, type Ref, type Resource, stale } from '../fhir/index.js'
import type { Expect, Stored } from '../store/index.js'
import type { Context, Preconditions } from './context.js'
import { versionsIn } from './etag.js'

/**
 * `raced`: the version comes from our own look at the store and not from the client, so that finding another one at
 * commit means to start over. `before`: what the caller saw there, where they are limited.
 */
export type Expectation = { expect?: Expect; raced: boolean; before?: Resource }

/** @throws FhirError stale where the precondition fails already, or where the caller may not do so */
export async function expectation(
  context: Context,
  act: Act,
  ref: Ref,
  { ifMatch, ifNoneMatch }: Preconditions,
): Promise<Expectation> {
  const { caller, store } = context
  const mine = reach(caller, act, ref.type)
  const limited = !isUnlimited(caller)
  const match = ifMatch === undefined ? undefined : versionsIn(ifMatch)
  const noneMatch = ifNoneMatch === undefined ? undefined : versionsIn(ifNoneMatch)
  if (!limited && noneMatch === undefined) {
    if (match === undefined) return { raced: false }
    if (match === '*') return { expect: { exists: true }, raced: false }
    if (match.length === 1) return { expect: { version: match[0]! }, raced: false }
  }
  if (!limited && noneMatch === '*' && match === undefined) return { expect: { exists: false }, raced: false }
  const current = await store.read(ref, mine)
  const version = current?.version
  const there = current !== undefined && !current.deleted
  if (!current) await refuseIfSeen(context, act, ref)
  if (match === '*' ? !there : match && (version === undefined || !match.includes(version)))
    throw stale(`If-Match does not name the current version of this ${ref.type}; read it again before changing it`)
  if (noneMatch === '*' ? there : noneMatch && version !== undefined && noneMatch.includes(version))
    throw stale(`If-None-Match names the current version of this ${ref.type}; there is nothing to change`)
  if (version === undefined) {
    if (act === 'update') refuseChosenId(context, ref.type)
    // Where the caller sees all of the type somebody else was faster; what is out of reach stays so.
    return { expect: { exists: false }, raced: !limited }
  }
  const before = limited ? await lastContent(context, mine, current!) : undefined
  return { expect: { version }, raced: true, ...(before && { before }) }
}

/** What is there, or was before it was deleted. */
async function lastContent({ store }: Context, mine: ReturnType<typeof reach>, current: Stored) {
  const last = current.deleted ? await store.read(current, mine, current.version - 1) : current
  return last && !last.deleted ? (parseJson(last.body) as Resource) : undefined
}

/**
 * Refuses where the caller sees the resource and may not do this to it; nothing is given away by saying so.
 *
 * @throws FhirError forbidden
 */
export async function refuseIfSeen({ caller, store }: Context, act: Act, { type, id }: Ref): Promise<void> {
  if (isUnlimited(caller)) return
  const seen = await store.read({ type, id }, reach(caller, 'read'))
  if (seen && !seen.deleted) throw forbidden(`you may not ${act} this ${type}`)
}

/**
 * An id of the client's choice could be that of a resource it must not know of, and either answer would tell: so who does
 * not see all of a type has ids assigned.
 *
 * https://hl7.org/fhir/R4/http.html#upsert: "the server does not allow client defined ids"
 *
 * @throws FhirError 405
 */
export function refuseChosenId({ caller }: Context, type: string): void {
  if (isUnlimited(caller) || reach(caller, 'update').of(type).op === 'everything') return
  throw notAllowed(
    `there is no such ${type} for you to update; to make one, POST it, and it is given an id`,
    undefined,
    {
      headers: { Allow: 'GET, HEAD, DELETE, OPTIONS' },
    },
  )
}
