/**
 * If-Match and If-None-Match of a write, as what the commit shall expect of the resource.
 *
 * https://hl7.org/fhir/R4/http.html#concurrency
 */
import { type Act, reach } from '../access/index.js'
import { type Ref, stale } from '../fhir/index.js'
import type { Expect } from '../store/index.js'
import type { Context, Preconditions } from './context.js'
import { versionsIn } from './etag.js'

/**
 * `raced`: the version comes from our own look at the store and not from the client, so that finding another one at
 * commit means to start over.
 */
export type Expectation = { expect?: Expect; raced: boolean }

/** @throws FhirError stale where the precondition fails already */
export async function expectation(
  { caller, store }: Context,
  act: Act,
  ref: Ref,
  { ifMatch, ifNoneMatch }: Preconditions,
): Promise<Expectation> {
  const mine = reach(caller, act)
  const limited = mine.of(ref.type).op !== 'everything'
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
  if (match === '*' ? !there : match && (version === undefined || !match.includes(version)))
    throw stale(`If-Match does not name the current version of this ${ref.type}; read it again before changing it`)
  if (noneMatch === '*' ? there : noneMatch && version !== undefined && noneMatch.includes(version))
    throw stale(`If-None-Match names the current version of this ${ref.type}; there is nothing to change`)
  // What is out of reach stays out of reach: to look again would not help.
  return version === undefined ? { expect: { exists: false }, raced: !limited } : { expect: { version }, raced: true }
}
