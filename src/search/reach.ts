/**
 * What one caller may see: an expression for each type, and-ed to every query at every node that touches the type.
 *
 * Only `access/` makes one (`grantReach` is not exported by this folder's door; a test keeps it so), so that nothing
 * can read the store without having asked what it may see.
 */
import type { Expression } from './expression.js'

declare const brand: unique symbol

export type Reach = {
  readonly [brand]: true
  /**
   * Resources of the type the caller may find. Its own chains and `_has` are taken as they stand, whatever the caller
   * may see of the types they lead to: who is on a care team may see the patient without seeing the care team.
   *
   * The same object for the same type as long as it says the same: stores remember decisions by it.
   */
  of(type: string): Expression
  /** Names what the caller may see; equal keys see equally. Cached answers are bound to it. */
  readonly key: string
  /** As `key`, but the same while only the time goes on (who treats whom today). Cursors are bound to it. */
  readonly lasting: string
}

export function grantReach(of: (type: string) => Expression, key: string, lasting = key): Reach {
  return { of, key, lasting } as Reach
}
