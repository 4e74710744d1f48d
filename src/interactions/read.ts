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
import { auditRead } from './audit-read.js'
import { audited, eventOf, withResource } from './audited.js'
import type { Context } from './context.js'

export const read = audited(
  {
    asked: (_context, ref: Ref) => eventOf('read', ref),
    answered: (stored: Stored, event) => withResource(event, stored),
  },
  current,
)

async function current(context: Context, { type, id }: Ref): Promise<Stored> {
  if (type === 'AuditEvent') return auditRead(context, id)
  const { caller, store } = context
  const stored = await store.read({ type, id }, reach(caller, 'read', type))
  if (!stored) throw notFound(`there is no ${type} with this id`)
  if (stored.deleted) throw deleted(`this ${type} was deleted; its history still has the versions before`)
  return stored
}
