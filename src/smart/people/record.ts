/**
 * What happens to accounts, told to the audit log before it is answered: never a credential, a code or a token.
 *
 * https://profiles.ihe.net/ITI/BALP/content.html
 */
import type { SecurityEvent } from '../../access/index.js'
import type { Origin } from '../../interactions/index.js'
import type { StoredAccount } from './accounts.js'
import type { Granter } from './ranks.js'

/** Durable when resolved. */
export type Recorder = (event: SecurityEvent, origin?: Origin) => Promise<void>

/** An account as the one who acts. */
export const actor = ({
  subject,
  user,
  name,
  role,
  organizations,
}: StoredAccount): NonNullable<SecurityEvent['person']> => ({
  subject,
  user,
  name,
  role,
  ...(organizations[0] !== undefined && { organization: organizations[0] }),
})

/** What was done to an account by somebody who may. */
export const changed = (
  kind: 'account-changed' | 'roles-changed',
  why: string,
  by: Granter,
  account: Pick<StoredAccount, 'user'> & { subject?: string },
): SecurityEvent => ({
  kind,
  outcome: 0,
  why,
  person: by === 'operator' ? { name: 'operator' } : { role: by.role, ...by.person },
  data: [`${account.user.type}/${account.user.id}`, ...(account.subject === undefined ? [] : [account.subject])],
})
