/**
 * What happened, as one compact entry of the audit log.
 *
 * https://profiles.ihe.net/ITI/BALP/volume-1.html
 *
 * Written for every access and read seldom: who asks is made into text once for a caller, and the entry becomes an
 * AuditEvent only where somebody reads it (`audit-event.ts`).
 */
import { randomBytes } from 'node:crypto'
import type { AuditEntry } from '../store/index.js'
import type { Caller } from './caller.js'

/** Codes of http://hl7.org/fhir/restful-interaction. */
export type Interaction =
  | 'read'
  | 'vread'
  | 'update'
  | 'patch'
  | 'delete'
  | 'create'
  | 'history-instance'
  | 'history-type'
  | 'history-system'
  | 'search-type'
  | 'search-system'
  | 'operation'
  | 'batch'
  | 'transaction'
  | 'capabilities'

/** Codes of http://hl7.org/fhir/audit-event-outcome: success, the client's failure, ours. */
export type Outcome = 0 | 4 | 8

/** `system` and `code` of a security label. */
export type Label = readonly [system: string, code: string]

export type Happening = {
  what: Interaction
  /** Success where nothing is said. */
  outcome?: Outcome
  /** Why it was refused: status and issue code, never a value. */
  why?: string
  /** `Type/id`, or `Type/id/_history/version` of what was seen or made. */
  data?: readonly string[]
  /** Ids of the patients whose data it is. FHIR shows an event for each of them, and of the others nothing in it. */
  patients?: readonly string[]
  labels?: readonly Label[]
  /** The labels of each patient's data, in the order of `patients`, where they differ. */
  labelsOf?: readonly (readonly Label[])[]
  /** The request of a query, without what is secret (`redacted`). */
  query?: string
  /** Name of an operation without its dollar. */
  operation?: string
}

/** Who asks from where, and when. */
export type Asking = { caller: Caller; at: number; origin?: { id: string; address: string } | undefined }

/** The entry of an interaction. */
export function auditEntry({ caller, at, origin }: Asking, happening: Happening): AuditEntry {
  const { what, outcome = 0, why, data, patients, labels, labelsOf, query, operation } = happening
  const { json, key } = prepared(caller)
  const keys: string[] = key === undefined ? [] : [key]
  let text = `{"what":"${what}","outcome":${outcome}`
  if (why !== undefined) text += `,"why":"${why}"`
  if (data?.length) {
    text += `,"data":["${data.join('","')}"]`
    for (const each of data) if (each.includes('/')) add(keys, unversioned(each))
  }
  if (patients?.length) {
    text += `,"patients":["${patients.join('","')}"]`
    for (const id of patients) add(keys, `Patient/${id}`)
  }
  if (labelsOf?.length) text += `,"labelsOf":${JSON.stringify(labelsOf)}`
  if (labels?.length) text += `,"labels":${JSON.stringify(labels)}`
  if (operation !== undefined) text += `,"operation":${JSON.stringify(operation)}`
  if (query !== undefined) text += `,"query":${JSON.stringify(query)}`
  if (origin) text += `,"from":"${origin.address}","request":${JSON.stringify(origin.id)}`
  return { id: newAuditId(), at, keys, text: `${text},"by":${json}}` }
}

const few = 8

/** Once each; where there are many they are patients, who differ anyway. */
function add(keys: string[], key: string): void {
  if (keys.length > few || !keys.includes(key)) keys.push(key)
}

function unversioned(address: string): string {
  const at = address.indexOf('/_history/')
  return at < 0 ? address : address.slice(0, at)
}

type Prepared = { json: string; key: string | undefined }

const known = new WeakMap<Caller, Prepared>()

/** What the log says of a caller. */
export function prepared(caller: Caller): Prepared {
  const found = known.get(caller)
  if (found) return found
  const { kind, role, subject, user, client, name, organizations, hospitals, custodian, purpose, token, signedIn } =
    caller
  const address = user && `${user.type}/${user.id}`
  const json = JSON.stringify({
    kind,
    role,
    subject,
    user: address,
    client,
    name,
    organization: organizations[0],
    hospital: custodian ?? hospitals[0],
    purpose,
    token: token && { id: token.id, issuer: token.issuer },
    methods: signedIn?.methods,
  })
  const made = { json, key: address }
  known.set(caller, made)
  return made
}

/** Ids of entries made in the same millisecond keep their order; no two processes make the same. */
export const newAuditId = (): string => `${prefix}-${(count++).toString(36).padStart(8, '0')}`
const prefix = randomBytes(10).toString('hex')
let count = 0
