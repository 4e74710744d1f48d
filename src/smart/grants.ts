/**
 * What people allowed apps: one grant for each launch, with its context, to be listed and taken back.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/best-practices.html
 * https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
 */
import type { Secrets } from '../store/index.js'
import { dropGrant } from './adapter.js'
import { digest } from './digest.js'
import type { LaunchContext } from './token-record.js'

export type Granted = {
  id: string
  subject: string
  client: string
  scope: string
  context: LaunchContext
  fhirUser?: string
  /** How the person signed in, and the session that `online_access` ends with. */
  signedIn: { at: number; methods: readonly string[]; session?: string }
  purpose?: string
  since: number
  expires: number
}

const keyOf = (id: string): string => `smart/granted/${id}`
const allowedBy = (subject: string): string => `smart/allowed/${digest(subject)}/`
const batch = 500

export class Grants {
  constructor(
    private readonly secrets: Secrets,
    /** Told when tokens ended, so that what was remembered of them is forgotten. */
    private readonly revoked: (grant: Granted) => Promise<void> = async () => {},
  ) {}

  async put(grant: Granted): Promise<void> {
    const { id, subject, client, expires } = grant
    await this.secrets.put(keyOf(id), JSON.stringify(grant), expires)
    await this.secrets.put(`${allowedBy(subject)}${client}/${id}`, id, expires)
  }

  async find(id: string): Promise<Granted | undefined> {
    const text = await this.secrets.get(keyOf(id))
    return text === undefined ? undefined : (JSON.parse(text) as Granted)
  }

  /** Of a person, of one app where it is named; oldest last. */
  async list(subject: string, client?: string): Promise<Granted[]> {
    const prefix = allowedBy(subject) + (client === undefined ? '' : `${client}/`)
    const rows = await this.secrets.list(prefix, batch)
    const found = await Promise.all(rows.map(([, id]) => this.find(id)))
    return found.flatMap((grant) => grant ?? []).sort((a, b) => b.since - a.since)
  }

  /** Ends a grant with all its tokens. */
  async revoke(id: string): Promise<void> {
    const grant = await this.find(id)
    await dropGrant(this.secrets, id)
    await this.secrets.drop(keyOf(id))
    if (!grant) return
    await this.secrets.drop(`${allowedBy(grant.subject)}${grant.client}/${id}`)
    await this.revoked(grant)
  }

  /** Ends what a person allowed: one app, or all of them (sign-out everywhere). Says how many grants it were. */
  async revokeAll(subject: string, client?: string): Promise<number> {
    let count = 0
    for (;;) {
      const grants = await this.list(subject, client)
      for (const { id } of grants) await this.revoke(id)
      count += grants.length
      if (grants.length < batch) return count
    }
  }
}
