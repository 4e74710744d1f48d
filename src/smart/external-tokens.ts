/**
 * Tokens of the hospital's own identity provider, accepted besides ours.
 *
 * https://openid.net/specs/openid-connect-discovery-1_0.html
 * https://datatracker.ietf.org/doc/html/rfc9068#section-4
 *
 * The issuer says who somebody is, which role and which organisations; what those may do is ours to say. Its keys are
 * fetched by the guarded client, kept for ten minutes, and again for a key nobody has seen, once in half a minute.
 */
import {
  createLocalJWKSet,
  decodeJwt,
  errors,
  type FlattenedJWSInput,
  type JSONWebKeySet,
  type JWSHeaderParameters,
  type JWTPayload,
  jwtVerify,
} from 'jose'
import type { Caller } from '../access/index.js'
import { TokenRefused } from './access-token.js'
import type { ExternalIssuer, SmartContext } from './smart-context.js'
import { finished, userRef } from './verifier.js'

const freshMs = 600_000
const againMs = 30_000
/** Asymmetric ones only: a key set is public. */
const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA']

type Keys = { at: number; find: ReturnType<typeof createLocalJWKSet> }

export class ExternalTokens {
  private keys: Keys | undefined
  private fetching: Promise<Keys> | undefined

  constructor(
    private readonly context: SmartContext,
    private readonly external: ExternalIssuer,
  ) {}

  /** Without looking at the signature: only to know whose keys to ask. */
  isIssuerOf(token: string): boolean {
    try {
      return decodeJwt(token).iss === this.external.issuer
    } catch {
      return false
    }
  }

  /** @throws TokenRefused */
  async caller(token: string): Promise<{ caller: Caller; expires: number }> {
    const { context, external } = this
    const claims = await this.verified(token)
    const { sub, exp, jti } = claims
    if (typeof sub !== 'string' || sub === '' || exp === undefined) throw new TokenRefused('claims')
    const { fhirUser, role, organizations, scope } = external.claims
    const user = userRef(textOf(valueAt(claims, fhirUser)), context.baseUrls)
    if (!user) throw new TokenRefused('fhirUser')
    const theirs = listOf(valueAt(claims, role))
    const ours = theirs.map((name) => external.roles[name]).find((name) => name !== undefined)
    if (ours === undefined) throw new TokenRefused('role')
    const client = textOf(claims['client_id'] ?? claims['azp'])
    const expires = exp * 1000
    const caller = await finished(context, {
      kind: 'person',
      // Two issuers may call different people the same.
      subject: `${external.issuer} ${sub}`,
      ...(client !== '' && { client }),
      rights: {
        user,
        role: ours,
        organizations: listOf(valueAt(claims, organizations)).map((each) => each.replace(/^Organization\//, '')),
        ...(typeof claims['name'] === 'string' && { name: claims['name'] }),
        ...signInOf(claims),
      },
      scope: listOf(valueAt(claims, scope)).join(' '),
      ...(typeof claims['patient'] === 'string' && { patient: claims['patient'] }),
      token: { id: typeof jti === 'string' ? jti : token.slice(-32), issuer: external.issuer, expires },
    })
    return { caller, expires }
  }

  private async verified(token: string): Promise<JWTPayload> {
    const { context, external } = this
    const options = {
      issuer: external.issuer,
      audience: external.audience ?? context.baseUrls[0]!,
      algorithms,
      currentDate: new Date(context.clock()),
      clockTolerance: 2,
      requiredClaims: ['exp', 'sub'],
    }
    try {
      const { payload, protectedHeader } = await jwtVerify(
        token,
        (header: JWSHeaderParameters, input: FlattenedJWSInput) => this.key(header, input),
        options,
      )
      // An id_token says who signed in to an app; it opens nothing. Issuers mark one by its nonce or hash of a token.
      if (protectedHeader.typ?.toLowerCase() !== 'at+jwt' && ('nonce' in payload || 'at_hash' in payload))
        throw new TokenRefused('typ')
      return payload
    } catch (cause) {
      if (cause instanceof TokenRefused) throw cause
      if (cause instanceof errors.JOSEError) throw new TokenRefused(cause.code, { cause })
      throw new TokenRefused('the keys of the issuer are not there', { cause })
    }
  }

  private async key(header: JWSHeaderParameters, input: FlattenedJWSInput) {
    const keys = await this.current()
    try {
      return await keys.find(header, input)
    } catch (error) {
      const isOld = this.context.clock() - keys.at > againMs
      if (!(error instanceof errors.JWKSNoMatchingKey) || !isOld) throw error
      return (await this.fetched()).find(header, input)
    }
  }

  private async current(): Promise<Keys> {
    const { keys } = this
    if (keys && this.context.clock() - keys.at < freshMs) return keys
    // Keys that were good a while ago are better than none while the issuer is away.
    return this.fetched().catch((error: unknown) => {
      if (keys && this.context.clock() - keys.at < 24 * freshMs) return keys
      throw error
    })
  }

  private fetched(): Promise<Keys> {
    this.fetching ??= this.fetch().finally(() => {
      this.fetching = undefined
    })
    return this.fetching
  }

  private async fetch(): Promise<Keys> {
    const { external } = this
    const uri = external.jwksUri ?? (await this.discovered())
    const set = (await this.json(uri)) as JSONWebKeySet
    this.keys = { at: this.context.clock(), find: createLocalJWKSet(set) }
    return this.keys
  }

  private async discovered(): Promise<string> {
    const { issuer } = this.external
    const found = await this.json(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)
    const { issuer: said, jwks_uri: uri } = found as { issuer?: unknown; jwks_uri?: unknown }
    if (said !== issuer || typeof uri !== 'string') throw new Error('the discovery document is not of this issuer')
    return uri
  }

  private async json(url: string): Promise<unknown> {
    const { status, body } = await this.context.call({ url, headers: { Accept: 'application/json' } })
    if (status !== 200) throw new Error(`the issuer answered ${status}`)
    return JSON.parse(body.toString('utf8'))
  }
}

/** `realm_access.roles` looks into objects; a claim whose whole name has dots (a URL) is found first. */
function valueAt(claims: JWTPayload, path: string): unknown {
  if (Object.hasOwn(claims, path)) return claims[path]
  return path
    .split('.')
    .reduce<unknown>(
      (value, name) =>
        typeof value === 'object' && value !== null && Object.hasOwn(value, name)
          ? (value as Record<string, unknown>)[name]
          : undefined,
      claims,
    )
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

/** A list, or words of one text. */
const listOf = (value: unknown): string[] =>
  Array.isArray(value)
    ? value.filter((each): each is string => typeof each === 'string')
    : textOf(value)
        .split(' ')
        .filter((word) => word !== '')

function signInOf(claims: JWTPayload) {
  const at = claims['auth_time']
  if (typeof at !== 'number') return {}
  return { signedIn: { at: at * 1000, methods: listOf(claims['amr']) } }
}
