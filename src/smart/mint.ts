/**
 * Development tokens: a caller as one writes it on the command line becomes an access token.
 *
 * Refused in production: such a token has no sign-in and no account behind it.
 */
import { randomBytes } from 'node:crypto'
import { signAccessToken } from './access-token.js'
import type { SigningKeys } from './signing-keys.js'
import type { SmartContext } from './smart-context.js'
import { putTokenRecord, type TokenRecord } from './token-record.js'
import { purposeOfRole, userRef } from './verifier.js'

/** Every member but `user` or `client` has a default. */
export type CallerSpec = {
  /** `Practitioner/bob`, `Patient/1`. */
  user?: string
  /** A client of its own where there is no user. */
  client?: string
  role?: string
  /** `Organization/a`, or ids. */
  organizations?: readonly string[]
  scope?: string
  purpose?: string
  patient?: string
  encounter?: string
  /** Seconds; an hour unless said. */
  expiresIn?: number
  subject?: string
  name?: string
  /** How the person signed in, as amr; with a second factor unless said. */
  methods?: readonly string[]
  /** Of tokens that must be refused: another audience or issuer, or one that is not valid yet. */
  wrong?: { audience?: string; issuer?: string; notBefore?: number }
}

/** Why no token was minted, with what to change. */
export class MintRefused extends Error {
  override name = 'MintRefused'
}

const roles: Readonly<Record<string, string>> = {
  Practitioner: 'doctor',
  PractitionerRole: 'doctor',
  Patient: 'patient',
  RelatedPerson: 'guardian',
  Person: 'patient',
}

/** @throws MintRefused */
export async function mintToken(
  { context, keys }: { context: SmartContext; keys: SigningKeys },
  spec: CallerSpec,
): Promise<string> {
  if (!context.settings.development)
    throw new MintRefused('development tokens are refused while NODE_ENV=production; sign in, or register a client')
  const user = spec.user === undefined ? undefined : userRef(spec.user, context.baseUrls)
  if (spec.user !== undefined && !user)
    throw new MintRefused(
      'user must be a Practitioner, PractitionerRole, Patient, RelatedPerson or Person, such as Practitioner/bob',
    )
  if (!user && spec.client === undefined) throw new MintRefused('name a user or a client')
  const role = spec.role ?? (user ? roles[user.type]! : 'backend')
  const iat = Math.floor(context.clock() / 1000)
  const { audience = context.baseUrls[0]!, issuer = context.issuer, notBefore } = spec.wrong ?? {}
  const patient = spec.patient ?? (user?.type === 'Patient' && role === 'patient' ? user.id : undefined)
  const record: TokenRecord = {
    kind: user ? 'AccessToken' : 'ClientCredentials',
    iat,
    exp: iat + (spec.expiresIn ?? 3600),
    clientId: spec.client ?? 'development',
    accountId: spec.subject ?? spec.user ?? spec.client!,
    scope: spec.scope ?? (user ? (role === 'patient' ? 'patient/*.cruds' : 'user/*.cruds') : 'system/*.cruds'),
    extra: {
      ...(user && { fhirUser: `${context.baseUrls[0]}/${user.type}/${user.id}` }),
      ...(patient !== undefined && { patient: patient.replace(/^Patient\//, '') }),
      ...(spec.encounter !== undefined && { encounter: spec.encounter.replace(/^Encounter\//, '') }),
      rights: {
        ...(user && { user }),
        role,
        organizations: (spec.organizations ?? []).map((each) => each.replace(/^Organization\//, '')),
        purpose: spec.purpose ?? purposeOfRole({ role }),
        ...(spec.name !== undefined && { name: spec.name }),
        ...(user && { signedIn: { at: iat * 1000, methods: spec.methods ?? ['pwd', 'otp', 'mfa'] } }),
      },
    },
  }
  const jti = randomBytes(16).toString('base64url')
  // A token that has ended already has no record to keep.
  if (record.exp > iat) await putTokenRecord(context.secrets, jti, record)
  return signAccessToken({
    issuer,
    audience,
    jti,
    record,
    key: await keys.signing(),
    ...(notBefore !== undefined && { notBefore }),
  })
}
