/**
 * Access tokens as JWT: signed with RS256 by the tenant's key, with SMART's and IHE IUA's claims.
 *
 * https://datatracker.ietf.org/doc/html/rfc9068
 * https://profiles.ihe.net/ITI/IUA/index.html#37142-json-web-token-option
 */
import jwt from 'jsonwebtoken'
import type { SigningKey, SigningKeys } from './signing-keys.js'
import type { TokenRecord } from './token-record.js'

export type AccessClaims = {
  iss: string
  aud: string
  sub: string
  jti: string
  exp: number
  iat: number
  nbf: number
  client_id: string
}

/** Larger scopes are left to the record, so that the header stays small. SMART: "token size". */
const scopeMax = 1500

type Issue = { issuer: string; audience: string; jti: string; record: TokenRecord; key: SigningKey; notBefore?: number }

export function signAccessToken({ issuer, audience, jti, record, key, notBefore }: Issue): string {
  const { extra = {}, scope } = record
  const { rights, fhirUser, patient, encounter } = extra
  const claims = {
    iss: issuer,
    sub: record.accountId ?? record.clientId,
    aud: audience,
    exp: record.exp,
    iat: record.iat,
    nbf: notBefore ?? record.iat,
    jti,
    client_id: record.clientId,
    ...(scope !== undefined && scope.length <= scopeMax && { scope }),
    ...(fhirUser !== undefined && { fhirUser }),
    ...(patient !== undefined && { patient }),
    ...(encounter !== undefined && { encounter }),
    ...(record.grantId !== undefined && { grant: record.grantId }),
    ...(rights?.revision !== undefined && { revision: rights.revision }),
    ...(rights && { extensions: { ihe_iua: iheClaims(rights) } }),
  }
  return jwt.sign(claims, key.private, {
    algorithm: 'RS256',
    keyid: key.kid,
    header: { alg: 'RS256', typ: 'at+jwt', kid: key.kid },
  })
}

function iheClaims({ role, organizations, purpose, name }: NonNullable<NonNullable<TokenRecord['extra']>['rights']>) {
  return {
    ...(name !== undefined && { subject_name: name }),
    subject_role: [{ code: role }],
    ...(organizations[0] !== undefined && { subject_organization_id: `Organization/${organizations[0]}` }),
    ...(purpose !== undefined && {
      purpose_of_use: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActReason', code: purpose }],
    }),
  }
}

/** The token is not what it says; one word for the audit log, nothing for the client. */
export class TokenRefused extends Error {
  override name = 'TokenRefused'
}

type Verification = { issuer: string; audience: string; keys: SigningKeys; now: number }

/** Clocks of ours may differ that much, in seconds. */
const tolerance = 2

/** @throws TokenRefused */
export async function verifyAccessToken(
  text: string,
  { issuer, audience, keys, now }: Verification,
): Promise<AccessClaims> {
  const decoded = jwt.decode(text, { complete: true })
  if (!decoded || typeof decoded.payload === 'string') throw new TokenRefused('malformed')
  const { header } = decoded
  // The type first: an id_token is signed by the same key. https://datatracker.ietf.org/doc/html/rfc8725#section-3.11
  if (header.typ?.toLowerCase() !== 'at+jwt') throw new TokenRefused('typ')
  if (header.alg !== 'RS256') throw new TokenRefused('alg')
  if (typeof header.kid !== 'string') throw new TokenRefused('kid')
  const key = keys.find(header.kid) ?? (await keys.findFresh(header.kid))
  if (!key) throw new TokenRefused('kid')
  let claims: unknown
  try {
    claims = jwt.verify(text, key.public, {
      algorithms: ['RS256'],
      issuer,
      audience,
      clockTimestamp: Math.floor(now / 1000),
      clockTolerance: tolerance,
    })
  } catch (cause) {
    throw new TokenRefused('signature, iss, aud, exp or nbf', { cause })
  }
  if (!isAccessClaims(claims)) throw new TokenRefused('claims')
  // jsonwebtoken's tolerance holds for the end as well, and SMART allows none there.
  if (claims.exp * 1000 <= now) throw new TokenRefused('exp')
  return claims
}

function isAccessClaims(claims: unknown): claims is AccessClaims {
  if (typeof claims !== 'object' || claims === null) return false
  const { jti, sub, exp, client_id: client } = claims as Record<string, unknown>
  return [jti, sub, client].every((each) => typeof each === 'string' && each !== '') && typeof exp === 'number'
}
