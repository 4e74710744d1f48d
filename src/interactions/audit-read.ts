/**
 * AuditEvents by their id: read, vread and history, from the audit log.
 *
 * https://hl7.org/fhir/R4/auditevent.html
 *
 * They are never changed, so that each has one version.
 */
import { entryIdOf, reach } from '../access/index.js'
import { notFound, unsupported } from '../fhir/index.js'
import type { Stored } from '../store/index.js'
import { eventsAmong, seenIn } from './audit-match.js'
import type { Context } from './context.js'
import type { HistoryResult } from './history.js'

/** @throws FhirError 404 for an event that is not there, or out of reach */
export async function auditRead(context: Context, id: string): Promise<Stored> {
  const record = await context.store.audit.read(entryIdOf(id))
  const within = reach(context.caller, 'read', 'AuditEvent').of('AuditEvent')
  const asked = record ? seenIn(context, record).filter(({ stored }) => stored.id === id) : []
  const [event] = await eventsAmong(context, asked, within)
  if (!event) throw notFound('there is no AuditEvent with this id')
  return event.stored
}

export async function auditHistory(context: Context, id: string | undefined): Promise<HistoryResult> {
  if (id === undefined)
    throw unsupported('AuditEvents have one version each: search AuditEvent instead, the newest stand first')
  const stored = await auditRead(context, id)
  return { found: { matches: [{ stored, mode: 'match' }], total: 1 }, applied: [], ignored: [] }
}
