/**
 * FHIR read interaction: the current version of a resource.
 *
 * https://hl7.org/fhir/R4/http.html#read
 *
 * A resource out of the caller's reach is answered like one that never was, so that an id discloses nothing.
 */
import { reach } from '../access/index.js'
import { deleted, notFound, type Ref } from '../fhir/index.js'
import type { Stored } from '../store/index.js'
import type { Context } from './context.js'

export async function read({ caller, store }: Context, { type, id }: Ref): Promise<Stored> {
  const stored = await store.read({ type, id }, reach(caller, 'read', type))
  if (!stored) throw notFound(`there is no ${type} with this id`)
  if (stored.deleted) throw deleted(`this ${type} was deleted; its history still has the versions before`)
  return stored
}
