/**
 * What happens to people's accounts, for the audit log: never a credential, a code or a token.
 *
 * https://hl7.org/fhir/R4/valueset-audit-event-sub-type.html (110122 Login, 110123 Logout, 110136 Security Roles Changed)
 */
import type { Ref } from '../../fhir/index.js'

export type SecurityEvent = {
  kind:
    | 'sign-in'
    | 'sign-in refused'
    | 'sign-out'
    | 'recovery code used'
    | 'second factor enrolled'
    | 'credentials changed'
    | 'invited'
    | 'account created'
    | 'account changed'
  subject?: string | undefined
  person?: string | undefined
  user?: Ref | undefined
  role?: string | undefined
  name?: string | undefined
  methods?: readonly string[] | undefined
  /** Where it came from: an address, or the network of one. */
  network?: string | undefined
  /** Of the session, not its cookie. */
  session?: string | undefined
  reason?: string | undefined
  /** Who did it to somebody else's account. */
  by?: string | undefined
}
