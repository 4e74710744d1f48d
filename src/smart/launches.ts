/**
 * EHR launch: a handle that an app brings back, and what the person was looking at when it was made.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#launch-app-ehr-launch
 *
 * A handle belongs to one tenant, one person and one app, lives for five minutes, and is spent when the app is
 * authorized, not when it is first shown: the person may have to sign in, or reload the page.
 */
import { randomBytes } from 'node:crypto'
import type { Secrets } from '../store/index.js'
import { hashOf } from './digest.js'
import type { LaunchContext } from './token-record.js'

export type Launch = { client: string; subject: string; context: LaunchContext }

export const launchMs = 300_000
const keyOf = (handle: string): string => `smart/launch/${hashOf(handle)}`

export class Launches {
  constructor(
    private readonly secrets: Secrets,
    private readonly clock: () => number,
  ) {}

  async make(launch: Launch): Promise<string> {
    const handle = randomBytes(24).toString('base64url')
    await this.secrets.put(keyOf(handle), JSON.stringify(launch), this.clock() + launchMs)
    return handle
  }

  async find(handle: string): Promise<Launch | undefined> {
    const text = await this.secrets.get(keyOf(handle))
    return text === undefined ? undefined : (JSON.parse(text) as Launch)
  }

  /** Of several who spend it, one receives. */
  async spend(handle: string): Promise<Launch | undefined> {
    const text = await this.secrets.take(keyOf(handle))
    return text === undefined ? undefined : (JSON.parse(text) as Launch)
  }
}
