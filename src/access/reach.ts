/**
 * What a caller may see, and what they may leave behind: an expression for each type.
 *
 * https://hl7.org/fhir/R4/security.html
 */
import type { Reach } from '../search/index.js'
import { everything } from '../search/index.js'
import { grantReach } from '../search/reach.js'
import type { Act, Caller } from './caller.js'

const all = grantReach(() => everything, 'everything')

/** What the caller may see (or, for a create, what the new resource must be) when acting so. */
export function reach(_caller: Caller, _act: Act): Reach {
  return all
}
