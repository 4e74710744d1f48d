/**
 * Events that are no interaction with a resource: sign-in, tokens, decisions, changes of who may do what.
 *
 * https://profiles.ihe.net/ITI/BALP/content.html, https://dicom.nema.org/medical/dicom/current/output/html/part15.html#sect_A.5.3
 *
 * Whoever signs people in or issues tokens calls `securityEvent` and appends what it returns before answering:
 *
 *     await store.audit.append([securityEvent({ kind: 'sign-in', outcome: 0, person }, { at, origin })])
 */
import type { Ref } from '../fhir/index.js'
import type { AuditEntry } from '../store/index.js'
import { newAuditId, type Outcome } from './audit-entry.js'

/** Each has its row in `audit-codes.ts`. */
export type SecurityKind =
  | 'sign-in'
  | 'sign-out'
  | 'client-authentication'
  | 'token-issued'
  | 'token-refreshed'
  | 'token-revoked'
  | 'token-reused'
  | 'token-introspected'
  | 'authorization-decision'
  | 'emergency-started'
  | 'emergency-ended'
  | 'roles-changed'
  | 'account-changed'
  | 'client-changed'
  | 'keys-changed'
  | 'tenant-changed'
  | 'export'
  | 'import'

/** Who it is about, as far as it is known. No name that somebody typed: it may be a password in the wrong field. */
export type Person = {
  subject?: string
  user?: Ref
  client?: string
  name?: string
  role?: string
  /** Ids of the Organization somebody acts for, and of its hospital. */
  organization?: string
  hospital?: string
  purpose?: string
}

export type SecurityEvent = {
  kind: SecurityKind
  outcome: Outcome
  /** A word of ours, such as `wrong-password`, `mfa-required`, `no-consent`; never a value that came in. */
  why?: string
  person?: Person
  /** How it was proven: `pwd`, `otp`, `mfa`, `private_key_jwt`. */
  methods?: readonly string[]
  /** The token it is about: its jti, or the last 32 characters of an opaque one. */
  token?: { id: string; issuer: string }
  /** Ids of the patients it is about. */
  patients?: readonly string[]
  /** The Consent a decision rests on, the account or client that was changed, as `Type/id` or a name of ours. */
  data?: readonly string[]
}

/** The entry of a security event, for `store.audit.append`. */
export function securityEvent(
  { kind, outcome, why, person = {}, methods, token, patients, data }: SecurityEvent,
  { at, origin }: { at: number; origin?: { id: string; address: string } | undefined },
): AuditEntry {
  const { subject, user, client, name, role, organization, hospital, purpose } = person
  const address = user && `${user.type}/${user.id}`
  const text = JSON.stringify({
    what: kind,
    outcome,
    why,
    data,
    patients,
    from: origin?.address,
    request: origin?.id,
    by: {
      kind: user || !client ? 'person' : 'system',
      role,
      subject,
      user: address,
      client,
      name,
      organization,
      hospital,
      purpose,
      token: token && { id: token.id, issuer: token.issuer },
      methods,
    },
  })
  const refs = (data ?? []).filter((each) => /^[A-Z][A-Za-z]+\/[A-Za-z0-9\-.]{1,64}$/.test(each))
  const keys = [...(address === undefined ? [] : [address]), ...(patients ?? []).map((id) => `Patient/${id}`), ...refs]
  return { id: newAuditId(), at, keys: [...new Set(keys)], text }
}
