/**
 * What the authorization server of one tenant is given: where it stands, where it keeps its state, whom it can ask.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/
 */
import type { Caller } from '../access/index.js'
import type { Ref } from '../fhir/index.js'
import type { Context } from '../interactions/index.js'
import type { Secrets } from '../store/index.js'
import type { Accounts } from './account.js'

export type SmartContext = {
  tenant: string
  /** The authorization server's own URL without a final slash, such as `https://hospital.example/oauth`. */
  issuer: string
  /** The FHIR bases; the first is the audience of every token. */
  baseUrls: readonly string[]
  secrets: Secrets
  accounts: Accounts
  clock: () => number
  /** The world as a caller sees it: for the patient picker, and to understand granular scopes. */
  contextOf(caller: Caller): Context
  /** Where somebody belongs, by their organisations and by what their user is a part of. */
  standing(user: Ref | undefined, organizations: readonly string[]): Promise<Standing>
  /** Calls another server; answers of any status. */
  call(request: { url: string; headers?: Record<string, string> }): Promise<Called>
  settings: SmartSettings
  record(event: SmartEvent): Promise<void>
  report(error: unknown): void
}

/** Ids of Organizations with those above them, the hospitals among them, and what else stands for the person. */
export type Standing = Pick<Caller, 'organizations' | 'hospitals' | 'custodian' | 'aliases'>

export type Called = { status: number; headers: Record<string, string>; body: Buffer }

export type SmartSettings = {
  /** How the hospital is called on pages and in the brand bundle. */
  title: string
  /** 32 bytes that private keys are encrypted with in the store. */
  masterKey?: Uint8Array
  /** Development tokens may be minted. */
  development: boolean
  /** Another issuer whose tokens are accepted besides our own. */
  external?: ExternalIssuer
}

/** How tokens of another issuer are read. Claims are names, or paths with dots into objects. */
export type ExternalIssuer = {
  issuer: string
  /** `aud` that such tokens must have: the FHIR base unless said. */
  audience?: string
  /** Where its keys are; found by discovery unless said. */
  jwksUri?: string
  claims: { fhirUser: string; role: string; organizations: string; scope: string }
  /** What the hospital calls a role, by our name for it; names that stand for themselves need no row. */
  roles: Readonly<Record<string, string>>
}

/** For the audit log: what happened, to whom, through which app; never a token or a secret. */
export type SmartEvent = {
  action: 'authorize' | 'token' | 'refresh' | 'refuse' | 'reuse' | 'revoke' | 'register' | 'rotate-keys'
  outcome: 'success' | 'failure'
  subject?: string
  user?: Ref
  role?: string
  client?: string
  /** A word of ours: why it was refused. */
  why?: string
  token?: string
  patient?: string
}
