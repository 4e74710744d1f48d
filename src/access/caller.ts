/**
 * Who asks: what a verified token, or the server itself, stands for.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
 *
 * A Caller is finished: whatever has to be looked up (hospitals of an organisation, the person's role) was looked up
 * when the token was verified, so that `reach` need not wait.
 */
import type { Ref } from '../fhir/index.js'
import type { Scope } from './scope.js'

/**
 * `anyone` is everybody while AUTH=off; `person` a user behind an app; `system` a client of its own (Backend Services);
 * `server` the server's own work, with the reason it gives in the audit log.
 */
export type Caller = {
  kind: 'anyone' | 'person' | 'system' | 'server'
  /** Names the caller and their rights in cursors, claims and caches; never shown to others. Equal ids see equally. */
  id: string
  tenant: string
  /** A row of the table of roles (capability/roles.json). */
  role: string
  /** Subject of the token; stays the same for a person or client. */
  subject: string
  /** The person: Practitioner, PractitionerRole, Patient, RelatedPerson or Person. */
  user?: Ref
  /** The app or system, by its client_id. */
  client?: string
  /** How the person or system is called, for the audit log alone. */
  name?: string
  /** What else stands for the person: PractitionerRoles of the Practitioner, RelatedPersons or Patients of the Person. */
  aliases?: readonly Ref[]
  /** Ids of the Organizations the caller acts for, and of those above them up to the hospital. */
  organizations: readonly string[]
  /** Ids of the hospitals (roots of Organization.partOf) among them. */
  hospitals: readonly string[]
  /** The hospital that becomes the custodian of what the caller creates. */
  custodian?: string
  /** What the token allows; undefined where no token limits (`anyone`, `server`). */
  scopes?: readonly Scope[]
  /** Patient and encounter of the launch context. */
  patient?: string
  encounter?: string
  /** Code of http://terminology.hl7.org/CodeSystem/v3-ActReason. */
  purpose: string
  /** How and when (milliseconds since 1970) the person signed in; `mfa` is among the methods after a second factor. */
  signedIn?: { at: number; methods: readonly string[] }
  /** `id` is the jti, or the last 32 characters of an opaque token; `expires` milliseconds since 1970. */
  token?: { id: string; issuer: string; expires: number }
}

/** What the caller is about to do, by the letter of a SMART scope: create, read, update, delete, search. */
export type Act = 'create' | 'read' | 'update' | 'delete' | 'search'

export const anyone: Caller = {
  kind: 'anyone',
  id: 'anyone',
  tenant: 'default',
  role: 'anyone',
  subject: 'anyone',
  organizations: [],
  hospitals: [],
  purpose: 'TREAT',
}

/** Whether it is somebody who looks after their own record or that of those they care for, not after patients. */
export const isPatient = ({ user }: Caller): boolean => user?.type === 'Patient' || user?.type === 'RelatedPerson'

/** The server at work for itself in a tenant; `reason` is what the audit log says of it. */
export const server = (tenant: string, reason: string): Caller => ({
  kind: 'server',
  id: `server ${reason}`,
  tenant,
  role: 'server',
  subject: 'server',
  name: reason,
  organizations: [],
  hospitals: [],
  purpose: 'HSYSADMIN',
})
