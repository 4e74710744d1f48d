/**
 * An AuditEvent that a client posts: it joins the log, chained with what the server recorded itself.
 *
 * https://profiles.ihe.net/ITI/BALP/volume-1.html#actors-and-transactions
 *
 * A repository of audit events refuses none for not following a profile; the structure is checked as for any resource.
 */
import { createHash } from 'node:crypto'
import { auditEntry, postedEntry, storedEvent } from '../access/index.js'
import { business, type Resource, splice, unsupported } from '../fhir/index.js'
import { admit } from './admit.js'
import { append, markLeft, withResource, writeEvent } from './audited.js'
import type { Context, Preconditions, Written } from './context.js'
import { inTurn } from './in-turn.js'
import { prepare } from './prepare.js'

export async function auditCreate(
  context: Context,
  resource: Resource,
  { ifNoneExist, idempotencyKey }: Preconditions,
): Promise<Written> {
  if (ifNoneExist !== undefined)
    throw unsupported('AuditEvents are not created conditionally; an Idempotency-Key makes sure of one')
  if (idempotencyKey === undefined) return added(context, resource)
  const id = `once-${createHash('sha256')
    .update(JSON.stringify([context.caller.id, idempotencyKey]))
    .digest('hex')
    .slice(0, 48)}`
  return inTurn(context.store, `AuditEvent/${id}`, () => addedOnce(context, resource, id))
}

/** The key names the event, so that a repetition finds it. */
async function addedOnce(context: Context, resource: Resource, id: string): Promise<Written> {
  const before = await context.store.audit.read(id)
  if (!before) return added(context, resource, id)
  const { json } = await postedOf(context, resource)
  if (!before.text.startsWith(`{"posted":${json},`))
    throw business('this Idempotency-Key was used for another request; take a new one')
  return { outcome: 'unchanged', stored: storedEvent(before, context.baseUrls[0]!).stored }
}

async function added(context: Context, resource: Resource, id?: string): Promise<Written> {
  const { json, references } = await postedOf(context, resource)
  const asking = { caller: context.caller, at: context.clock(), origin: context.origin }
  const posted = postedEntry(asking, { ...(id !== undefined && { id }), json, references })
  const { stored } = storedEvent(posted, context.baseUrls[0]!)
  const event = withResource(writeEvent('create', stored), stored)
  await append(context, context.settings.audit ? [posted, auditEntry(asking, { ...event, outcome: 0 })] : [posted])
  const written: Written = { outcome: 'created', stored }
  markLeft(written)
  return written
}

/** @throws FhirError where the structure is not that of an AuditEvent, or the caller may not add such a one */
async function postedOf(context: Context, resource: Resource): Promise<{ json: string; references: string[] }> {
  const put = prepare(context, resource, { id: 'new', method: 'POST' })
  await admit(context, [{ act: 'create', put }])
  return {
    json: splice(put.serialized, 1, 0).toString(),
    references: put.references.map(({ type, id }) => `${type}/${id}`),
  }
}
