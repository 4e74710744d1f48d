/**
 * What an access token stands for, kept by its jti as long as it is good.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#launch-context-arrives-with-your-access_token
 *
 * The token a client holds is a JWT that says the same; the record is what makes it revocable: a token without its
 * record is no token. It is also what introspection answers with.
 */
import type { Ref } from '../fhir/index.js'
import type { Secrets } from '../store/index.js'
import { keyOfModel } from './adapter.js'

/** Members beside the access token, by SMART's names. */
export type LaunchContext = {
  patient?: string
  encounter?: string
  fhirContext?: readonly FhirContext[]
  need_patient_banner?: boolean
  intent?: string
  smart_style_url?: string
  tenant?: string
}

export type FhirContext = {
  reference?: string
  canonical?: string
  identifier?: { system?: string; value?: string }
  type?: string
  role?: string
}

/** Of a person, as of the moment the token was issued; with an account only `revision` and `signedIn` are trusted later. */
export type Rights = {
  user?: Ref
  role: string
  organizations: readonly string[]
  name?: string
  purpose?: string
  /** Of the account; undefined where there is none (development tokens, systems). */
  revision?: number
  signedIn?: { at: number; methods: readonly string[] }
}

/** As oidc-provider writes it for AccessToken and ClientCredentials. */
export type TokenRecord = {
  kind: 'AccessToken' | 'ClientCredentials'
  iat: number
  exp: number
  clientId: string
  accountId?: string
  grantId?: string
  scope?: string
  extra?: LaunchContext & { fhirUser?: string; rights?: Rights }
}

const kinds = ['AccessToken', 'ClientCredentials'] as const

export async function readTokenRecord(secrets: Secrets, jti: string): Promise<TokenRecord | undefined> {
  for (const kind of kinds) {
    const text = await secrets.get(keyOfModel(kind, jti))
    if (text !== undefined) return JSON.parse(text) as TokenRecord
  }
  return undefined
}

export async function putTokenRecord(secrets: Secrets, jti: string, record: TokenRecord): Promise<void> {
  await secrets.put(keyOfModel(record.kind, jti), JSON.stringify(record), record.exp * 1000)
}

export async function dropTokenRecord(secrets: Secrets, jti: string): Promise<void> {
  for (const kind of kinds) await secrets.drop(keyOfModel(kind, jti))
}
