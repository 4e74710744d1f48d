/**
 * Who asks. Until authorization lands there is one caller who may do everything (AUTH=off).
 */
import type { Reach } from '../search/index.js'
import { everything } from '../search/index.js'
import { grantReach } from '../search/reach.js'

/** `id` names the caller in cursors, claims and audit; never shown to others. */
export type Caller = { id: string }

/** What the caller is about to do, by the letter of a SMART scope: create, read, update, delete, search. */
export type Act = 'create' | 'read' | 'update' | 'delete' | 'search'

export const anyone: Caller = { id: 'anyone' }

const all = grantReach(() => everything, 'everything')

/** What the caller may see (or, for a create, what the new resource must be) when acting so. */
export function reach(_caller: Caller, _act: Act): Reach {
  return all
}
