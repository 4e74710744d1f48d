/**
 * What a resource server is told about a token.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/token-introspection.html
 * https://datatracker.ietf.org/doc/html/rfc7662
 */
import type { JsonObject } from '../fhir/index.js'
import type { SmartContext } from './smart-context.js'
import type { TokenRecord } from './token-record.js'

export function introspected({ issuer, baseUrls }: SmartContext, record: TokenRecord): JsonObject {
  const { rights: _, ...context } = record.extra ?? {}
  const isPerson = record.kind === 'AccessToken'
  return {
    ...(context as JsonObject),
    active: true,
    ...(record.scope !== undefined && { scope: record.scope }),
    client_id: record.clientId,
    token_type: 'Bearer',
    exp: record.exp,
    iat: record.iat,
    aud: baseUrls[0]!,
    iss: issuer,
    sub: isPerson && record.accountId !== undefined ? record.accountId : record.clientId,
  }
}

export const inactive: JsonObject = { active: false }
