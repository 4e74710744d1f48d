/**
 * Invitations: a link that makes one account, once, for the role it was written for.
 *
 * https://cheatsheetseries.owasp.org/cheatsheets/Forgot_Password_Cheat_Sheet.html#url-tokens
 *
 * The token of the link is exchanged when the person goes on from the page it opens, not by opening it: programs that
 * look at links in mail before people do would use it up.
 */
import type { Ref } from '../../fhir/index.js'
import type { Secrets } from '../../store/index.js'
import { readJson } from './change.js'
import { fingerprint, token } from './keyed.js'

/** `account` makes one, `first` the first administrator of all, `credentials` gives a person new ones. */
export type Invitation =
  | {
      kind: 'account'
      name: string
      role: string
      user: Ref
      organizations: readonly string[]
      contact: string
      language?: string
      guardianOf?: readonly string[]
    }
  | { kind: 'first' }
  | { kind: 'credentials'; person: string; subject: string }

export type Invitations = {
  /** The token of the link. */
  make(invitation: Invitation): Promise<string>
  look(token: string): Promise<Invitation | undefined>
  /** The invitation for one person to accept: of many who try, one receives. */
  take(token: string): Promise<Invitation | undefined>
}

export const invitationMs = 72 * 3_600_000

const key = (text: string): string => `people/invitation/${fingerprint(text)}`

export const invitations = (secrets: Secrets, clock: () => number): Invitations => ({
  make: async (invitation) => {
    const made = token()
    await secrets.put(key(made), JSON.stringify(invitation), clock() + invitationMs)
    return made
  },
  look: (text) => readJson<Invitation>(secrets, key(text)),
  take: async (text) => {
    const taken = await secrets.take(key(text))
    return taken === undefined ? undefined : (JSON.parse(taken) as Invitation)
  },
})
