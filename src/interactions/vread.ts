/**
 * FHIR vread interaction: one version of a resource.
 *
 * https://hl7.org/fhir/R4/http.html#vread
 */
import { reach } from '../access/index.js'
import { deleted, notFound, type Ref } from '../fhir/index.js'
import type { Stored } from '../store/index.js'
import { auditRead } from './audit-read.js'
import { audited, eventOf, withResource } from './audited.js'
import type { Context } from './context.js'

export const vread = audited(
  {
    asked: (_context, ref: Ref, _version: string) => eventOf('vread', ref),
    answered: (stored: Stored, event) => withResource(event, stored),
  },
  versionOf,
)

/** The version, without an event: for what leaves its own. */
export async function versionOf(context: Context, { type, id }: Ref, version: string): Promise<Stored> {
  if (type === 'AuditEvent' && version === '1') return auditRead(context, id)
  const { caller, store } = context
  const mine = reach(caller, 'read', type)
  // Our versions are counters without leading zeros; nothing else was ever a version here.
  const known = /^[1-9]\d{0,14}$/.test(version)
  const stored = known ? await store.read({ type, id }, mine, Number(version)) : undefined
  if (!stored) throw notFound(`there is no such version of a ${type} with this id`)
  if (stored.deleted) throw deleted(`version ${version} is the deletion of this ${type}; read the version before it`)
  return stored
}
