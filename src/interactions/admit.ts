/**
 * Whether the caller may leave behind what a write makes: the new resource must itself lie within their reach.
 */
import { type Act, reach } from '../access/index.js'
import { forbidden } from '../fhir/index.js'
import { match } from '../search/index.js'
import type { Put } from '../store/index.js'
import type { Context } from './context.js'

/** @throws FhirError forbidden */
export function admit({ caller, clock }: Context, act: Act, { type, id, entries }: Put): void {
  const within = reach(caller, act).of(type)
  if (within.op === 'everything' || match({ type, id, updated: clock(), entries }, within)) return
  throw forbidden(`you may not ${act} such a ${type}`)
}
