/**
 * Who asks: the bearer token of a request becomes a finished Caller.
 *
 * https://datatracker.ietf.org/doc/html/rfc6750
 * https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#access-fhir-api
 *
 * What was verified is remembered by the header as it came, so that a request costs a look-up. Whether the token still
 * stands (its record, the account, the client) is asked again after a second, and everything anew after a minute.
 */
import type { IncomingMessage } from 'node:http'
import { type Caller, parseScopes, type Scope, understood } from '../access/index.js'
import { FhirError, invalid, parseReference, type Ref, unauthenticated } from '../fhir/index.js'
import { type AccessClaims, TokenRefused, verifyAccessToken } from './access-token.js'
import type { Account } from './account.js'
import type { Clients } from './clients.js'
import { digest } from './digest.js'
import type { ExternalTokens } from './external-tokens.js'
import type { SigningKeys } from './signing-keys.js'
import type { SmartContext } from './smart-context.js'
import { type Rights, readTokenRecord, type TokenRecord } from './token-record.js'

/** Verified tokens that are remembered. */
const rememberedMax = 10_000
const recheckMs = 1000
const rememberedMs = 60_000
/** Longer tokens are not looked at. */
const lengthMax = 16_384

type Known = {
  caller: Caller
  /** The token's end, or a minute after it was verified. */
  until: number
  checked: number
  checking: Promise<void> | undefined
  record: TokenRecord | undefined
  revision: number | undefined
  narrowed?: Map<string, Caller>
}

type Parts = { context: SmartContext; keys: SigningKeys; clients: Clients; external?: ExternalTokens | undefined }

export class Verifier {
  private readonly known = new Map<string, Known>()
  private readonly challenge: string

  constructor(private readonly parts: Parts) {
    this.challenge = `Bearer realm="${parts.context.issuer}"`
  }

  /** At once for a token that was seen a moment ago. @throws FhirError 401, or 400 for two ways at once */
  identify(request: IncomingMessage): Caller | Promise<Caller> {
    const { authorization } = request.headers
    const purpose = request.headers['x-purpose-of-use']
    const known = authorization === undefined ? undefined : this.known.get(authorization)
    if (known && purpose === undefined) {
      const now = this.parts.context.clock()
      if (now < known.until && now - known.checked < recheckMs) return known.caller
    }
    return this.identified(authorization, request.url ?? '', purpose)
  }

  /** The caller of a token that stands alone: for introspection and the EHR's endpoints. */
  async ofHeader(authorization: string | undefined): Promise<Caller> {
    return this.identified(authorization, '', undefined)
  }

  /** Something was revoked or changed here: everything is looked up again. Other processes notice within a second. */
  forget(): void {
    this.known.clear()
  }

  private async identified(
    authorization: string | undefined,
    url: string,
    purpose: string | string[] | undefined,
  ): Promise<Caller> {
    const { context } = this.parts
    if (/[?&]access_token=/.test(url))
      throw this.refusal(400, 'invalid_request', 'tokens are sent in the Authorization header, never in the URL')
    if (authorization === undefined) throw this.missing()
    const known = this.known.get(authorization) ?? (await this.verified(authorization))
    const now = context.clock()
    if (now >= known.until) {
      this.known.delete(authorization)
      return this.identified(authorization, url, purpose)
    }
    if (now - known.checked >= recheckMs) await this.recheck(authorization, known)
    return purpose === undefined ? known.caller : narrowedTo(known, purpose)
  }

  private async verified(authorization: string): Promise<Known> {
    const token = /^bearer +([\x21-\x7e]+) *$/i.exec(authorization)?.[1]
    if (token === undefined) throw this.missing()
    try {
      if (token.length > lengthMax) throw new TokenRefused('too long')
      const known = await this.understood(token)
      this.remember(authorization, known)
      return known
    } catch (error) {
      if (!(error instanceof TokenRefused)) throw error
      throw this.invalidToken()
    }
  }

  private async understood(token: string): Promise<Known> {
    const { context, keys, external } = this.parts
    const now = context.clock()
    if (external?.isIssuerOf(token)) {
      const { caller, expires } = await external.caller(token)
      return { ...fresh, caller, until: Math.min(expires, now + rememberedMs), checked: now }
    }
    const claims = await verifyAccessToken(token, {
      issuer: context.issuer,
      audience: context.baseUrls[0]!,
      keys,
      now,
    })
    const record = await readTokenRecord(context.secrets, claims.jti)
    if (!record) throw new TokenRefused('revoked')
    const account = await this.standing(record)
    const caller = await callerOf(context, claims, record, account)
    return {
      ...fresh,
      caller,
      record,
      revision: account?.revision,
      until: Math.min(claims.exp * 1000, now + rememberedMs),
      checked: now,
    }
  }

  /** The account behind the token, where there is one. @throws TokenRefused when it or the client no longer stands */
  private async standing(record: TokenRecord): Promise<Account | undefined> {
    const { context, clients } = this.parts
    const { rights } = record.extra ?? {}
    // A development token names a client that need not be registered.
    const isDevelopment = rights !== undefined && rights.revision === undefined && record.accountId !== undefined
    if (isDevelopment && !context.settings.development) throw new TokenRefused('development')
    if (!isDevelopment && !(await clients.active(record.clientId))) throw new TokenRefused('client')
    if (record.accountId === undefined || isDevelopment) return undefined
    const account = await context.accounts.bySubject(record.accountId)
    if (!account || account.disabled) throw new TokenRefused('account')
    if (account.revision !== rights?.revision) throw new TokenRefused('revision')
    return account
  }

  private async recheck(authorization: string, known: Known): Promise<void> {
    known.checking ??= this.stillStands(known)
      .catch((error: unknown) => {
        this.known.delete(authorization)
        if (!(error instanceof TokenRefused)) throw error
        throw this.invalidToken()
      })
      .finally(() => {
        known.checking = undefined
      })
    await known.checking
    // Newest last: what is not used falls out first.
    if (this.known.delete(authorization)) this.known.set(authorization, known)
  }

  private async stillStands(known: Known): Promise<void> {
    const { context } = this.parts
    const now = context.clock()
    const { token } = known.caller
    if (known.record && token) {
      if (!(await readTokenRecord(context.secrets, token.id))) throw new TokenRefused('revoked')
      await this.standing(known.record)
    }
    known.checked = now
  }

  private remember(authorization: string, known: Known): void {
    if (this.known.size >= rememberedMax) {
      const { value } = this.known.keys().next()
      if (value !== undefined) this.known.delete(value)
    }
    this.known.set(authorization, known)
  }

  private missing(): FhirError {
    return unauthenticated('sign in first: send an access token as "Authorization: Bearer"', undefined, {
      headers: { 'WWW-Authenticate': this.challenge },
    })
  }

  /** One answer for all that can be wrong with a token, so that nothing is learnt from it. */
  private invalidToken(): FhirError {
    return this.refusal(401, 'invalid_token', 'the access token is not valid here, has expired or was revoked')
  }

  private refusal(status: 400 | 401, error: string, description: string): FhirError {
    const headers = { 'WWW-Authenticate': `${this.challenge}, error="${error}", error_description="${description}"` }
    return status === 400
      ? invalid(description, undefined, { headers })
      : unauthenticated(description, undefined, { headers })
  }
}

const fresh = { checking: undefined, record: undefined, revision: undefined }

async function callerOf(
  context: SmartContext,
  claims: AccessClaims,
  record: TokenRecord,
  account: Account | undefined,
): Promise<Caller> {
  const rights: Rights = account ? rightsOf(account, record.extra?.rights) : (record.extra?.rights ?? nothing)
  const { patient, encounter } = record.extra ?? {}
  return finished(context, {
    kind: record.kind === 'ClientCredentials' ? 'system' : 'person',
    subject: claims.sub,
    client: record.clientId,
    rights,
    scope: record.scope ?? '',
    ...(patient !== undefined && { patient }),
    ...(encounter !== undefined && { encounter }),
    token: { id: claims.jti, issuer: claims.iss, expires: claims.exp * 1000 },
  })
}

const nothing: Rights = { role: 'none', organizations: [] }

/** What the account says now, with what the token knows of the sign-in. */
export const rightsOf = (account: Account, issued: Rights | undefined): Rights => ({
  user: account.user,
  role: account.role,
  organizations: account.organizations,
  name: account.name,
  revision: account.revision,
  ...(issued?.purpose !== undefined && { purpose: issued.purpose }),
  ...(issued?.signedIn && { signedIn: issued.signedIn }),
})

type Unfinished = {
  kind: 'person' | 'system'
  subject: string
  client?: string
  rights: Rights
  scope: string
  patient?: string
  encounter?: string
  token: { id: string; issuer: string; expires: number }
}

/** With everything looked up that `reach` will need. */
export async function finished(context: SmartContext, { rights, scope, ...who }: Unfinished): Promise<Caller> {
  const standing = await context.standing(rights.user, rights.organizations)
  const caller: Caller = {
    ...who,
    id: '',
    tenant: context.tenant,
    role: rights.role,
    ...(rights.user && { user: rights.user }),
    ...(rights.name !== undefined && { name: rights.name }),
    ...standing,
    purpose: rights.purpose ?? purposeOfRole(rights),
    ...(rights.signedIn && { signedIn: rights.signedIn }),
  }
  const scopes = await scopesOf(context, caller, scope)
  return named({ ...caller, scopes })
}

/** Equal rights, equal id: pages and caches outlive a token that is refreshed. */
function named(caller: Caller): Caller {
  const { kind, tenant, subject, role, user, client, purpose, patient, encounter, scopes = [] } = caller
  const { organizations, custodian, aliases } = caller
  const written = scopes.map(({ level, type, acts, where }) => [level, type, [...acts], where])
  const text = JSON.stringify([
    ...[tenant, subject, role, user, client, purpose, patient, encounter],
    ...[organizations, custodian, aliases, written],
  ])
  return { ...caller, id: `${kind} ${digest(text)}` }
}

/** Of patients the request of a patient, of guardians that of a family member, of all others treatment. */
export function purposeOfRole({ role }: Pick<Rights, 'role'>): string {
  if (role === 'patient') return 'PATRQT'
  return role === 'guardian' ? 'FAMRQT' : 'TREAT'
}

/** A granular scope whose query is not understood allows nothing. */
async function scopesOf(context: SmartContext, caller: Caller, text: string): Promise<Scope[]> {
  const { searchParams, terminology, settings } = context.contextOf(caller)
  const parsing = { ...settings, searchParams, terminology, baseUrls: context.baseUrls, now: context.clock() }
  return Promise.all(
    parseScopes(text).map(async (scope) => {
      try {
        return await understood(scope, parsing)
      } catch (error) {
        if (error instanceof FhirError) return scope
        throw error
      }
    }),
  )
}

/** https://terminology.hl7.org/ValueSet-v3-PurposeOfUse.html: what lies below a purpose. Breaking the glass is no header. */
const below: Readonly<Record<string, readonly string[]>> = {
  TREAT: ['CLINTRL', 'COC', 'POPHLTH'],
  PATRQT: ['FAMRQT', 'PWATRNY', 'SUPNWK'],
  PUBHLTH: ['DISASTER', 'THREAT'],
  HPAYMT: ['CLMATTCH', 'COVAUTH', 'COVERAGE', 'ELIGDTRM', 'ELIGVER', 'ENROLLM', 'REMITADV'],
}

function narrowedTo(known: Known, purpose: string | string[]): Caller {
  const { caller } = known
  if (purpose === caller.purpose) return caller
  if (typeof purpose !== 'string' || !below[caller.purpose]?.includes(purpose))
    throw new FhirError(403, [
      {
        severity: 'error',
        code: 'forbidden',
        diagnostics: 'X-Purpose-Of-Use may only narrow the purpose of the access token',
      },
    ])
  known.narrowed ??= new Map()
  const narrowed = known.narrowed.get(purpose) ?? named({ ...caller, purpose })
  known.narrowed.set(purpose, narrowed)
  return narrowed
}

/** `Practitioner/bob`, also absolute at one of our bases. */
export function userRef(text: string, baseUrls: readonly string[] = []): Ref | undefined {
  const parsed = parseReference(text)
  if (!parsed || (parsed.base !== undefined && !baseUrls.includes(parsed.base))) return undefined
  const { type, id } = parsed
  return people.has(type) ? { type, id } : undefined
}

const people = new Set(['Practitioner', 'PractitionerRole', 'Patient', 'RelatedPerson', 'Person'])
