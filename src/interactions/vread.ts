/**
 * FHIR vread interaction: one version of a resource.
 *
 * https://hl7.org/fhir/R4/http.html#vread
 */
import { reach } from '../access/index.js'
import { deleted, notFound, type Ref } from '../fhir/index.js'
import type { Stored } from '../store/index.js'
import type { Context } from './context.js'

export async function vread({ caller, store }: Context, { type, id }: Ref, version: string): Promise<Stored> {
  // Our versions are counters without leading zeros; nothing else was ever a version here.
  const mine = reach(caller, 'read', type)
  const known = /^[1-9]\d{0,14}$/.test(version)
  const stored = known ? await store.read({ type, id }, mine, Number(version)) : undefined
  if (!stored) throw notFound(`there is no such version of a ${type} with this id`)
  if (stored.deleted) throw deleted(`version ${version} is the deletion of this ${type}; read the version before it`)
  return stored
}
