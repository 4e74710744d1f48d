/**
 * The person behind a sign-in, as the authorization server knows them, and how it asks for a sign-in.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#scopes-for-requesting-identity-data
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Ref } from '../fhir/index.js'

export type Account = {
  /** `sub` of every token: never given to another person, never changed. */
  subject: string
  /** Practitioner, PractitionerRole, Patient, RelatedPerson or Person: the fhirUser. */
  user: Ref
  /** A row of capability/roles.json. */
  role: string
  /** Ids of the Organizations the person works for. */
  organizations: string[]
  name: string
  disabled: boolean
  /** Grows with every change of rights (role, organisations, sign-out everywhere); tokens of an older one are refused. */
  revision: number
  /** Ids of the Patients a guardian stands for, oldest first. */
  guardianOf?: string[]
}

export interface Accounts {
  bySubject(subject: string): Promise<Account | undefined>
}

/** How a person proved who they are. `methods` are amr values (RFC 8176): `pwd`, `otp`, `mfa`, `sms`. */
export type SignIn = {
  subject: string
  at: number
  methods: readonly string[]
  /** Id of the session of the browser: what is granted for as long as the person is signed in ends with it. */
  session?: string
}

/** Sessions of the pages. */
export interface Sessions {
  /** Whether the person is still there: not signed out, not idle or signed in for too long. */
  isAlive(session: string): Promise<boolean>
  /** Who is signed in at the browser that asks. */
  of(request: IncomingMessage): Promise<SignIn | undefined>
}

/** An app waits for a person to sign in: one request of the browser at the pages of this interaction. */
export type LoginRequest = {
  request: IncomingMessage
  response: ServerResponse
  /** Path of the first page; forms post to it or below it. */
  path: string
  /** What stands behind `path`: '' or, say, '/code'. */
  below: string
  /** Names the interaction for state that lives as long as it (an hour at most). */
  uid: string
  /** The app that asks, in its own words: escape them. */
  client: { id: string; name: string }
  /** Where the browser goes in the end: the pages have to allow their forms to lead there. */
  redirectUri?: string
  /** ui_locales of the app, best first. */
  locales: readonly string[]
  loginHint?: string
  /** A second factor is asked for (`acr_values`, or a role that needs it). */
  mfa: boolean
  /** A sign-in before that (milliseconds since 1970) does not count (`prompt=login`, `max_age`, step-up). */
  signedInAfter?: number
  /** Sends the browser on, signed in. */
  finish(signIn: SignIn): Promise<void>
  /** Sends the browser back to the app with access_denied. */
  deny(): Promise<void>
}

/** The pages of the `login` prompt: at once where the browser's session is good enough. Answers also nonsense itself. */
export interface LoginPages {
  login(request: LoginRequest): Promise<void>
}
