/**
 * Who may grant which role, and which roles need a second factor at every sign-in.
 *
 * Rights to data are the table of roles (capability/roles.json); this is about the accounts themselves: nobody grants
 * above their own role, and nobody but administrators grants.
 */
import type { SecurityEvent } from '../../access/index.js'

const ranks: Readonly<Record<string, number>> = {
  'platform-administrator': 3,
  'tenant-administrator': 2,
  'hospital-administrator': 1,
}

const rank = (role: string): number => (Object.hasOwn(ranks, role) ? ranks[role]! : 0)

/** Who grants: the server's operator at the command line, or an administrator within their organisations. */
export type Granter =
  | 'operator'
  | { role: string; organizations: readonly string[]; person?: NonNullable<SecurityEvent['person']> }

/** `auditor` looks over the shoulder of administrators, so that those of one hospital cannot make one. */
export function mayGrant(
  by: Granter,
  { role, organizations }: { role: string; organizations: readonly string[] },
): boolean {
  if (by === 'operator') return true
  const own = rank(by.role)
  if (own === 0 || rank(role) > own || (role === 'auditor' && own < 2)) return false
  // An administrator of a hospital acts within it; a patient works for no organisation.
  return own > 1 || organizations.every((each) => by.organizations.includes(each))
}

/** Of all hospitals of the tenant: such a one can make every other account. */
export const isAdministrator = (role: string): boolean => rank(role) > 1

export const firstRole = 'platform-administrator'

const guarded = new Set([...Object.keys(ranks), 'auditor'])

export const needsSecondFactor = (role: string): boolean => guarded.has(role)

/** They sign in with a code sent to them, and their sessions may rest longer. */
export const isPatientRole = (role: string): boolean => role === 'patient' || role === 'guardian'
