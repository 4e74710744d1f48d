/**
 * What a client can find out before it asks for anything: `.well-known/smart-configuration`.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html#using-well-known
 */
import type { JsonObject } from '../fhir/index.js'
import { identityScopes } from './offered-scopes.js'
import { mfaClass, routes } from './provider.js'
import type { SmartContext } from './smart-context.js'

/** https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html#capabilities */
export const capabilities = [
  'launch-ehr',
  'launch-standalone',
  'authorize-post',
  'client-public',
  'client-confidential-symmetric',
  'client-confidential-asymmetric',
  'sso-openid-connect',
  'context-banner',
  'context-style',
  'context-ehr-patient',
  'context-ehr-encounter',
  'context-standalone-patient',
  'context-standalone-encounter',
  'permission-offline',
  'permission-online',
  'permission-patient',
  'permission-user',
  'permission-v1',
  'permission-v2',
] as const

/** Below the issuer; not the library's. */
export const ownRoutes = { registration: '/register', brands: '/brands', launch: '/launch', apps: '/apps' } as const

const scopesSupported = [
  ...[...identityScopes].filter((scope) => scope !== 'profile'),
  'patient/*.cruds',
  'patient/*.rs',
  'patient/*.read',
  'user/*.cruds',
  'user/*.rs',
  'user/*.read',
  'system/*.cruds',
  'system/*.rs',
  'system/*.read',
]

export const smartConfiguration = ({ issuer, baseUrls }: SmartContext): JsonObject => ({
  issuer,
  jwks_uri: issuer + routes.jwks,
  authorization_endpoint: issuer + routes.authorization,
  token_endpoint: issuer + routes.token,
  introspection_endpoint: issuer + routes.introspection,
  revocation_endpoint: issuer + routes.revocation,
  registration_endpoint: issuer + ownRoutes.registration,
  management_endpoint: issuer + ownRoutes.apps,
  grant_types_supported: ['authorization_code', 'refresh_token', 'client_credentials'],
  response_types_supported: ['code'],
  code_challenge_methods_supported: ['S256'],
  token_endpoint_auth_methods_supported: ['client_secret_basic', 'private_key_jwt', 'none'],
  token_endpoint_auth_signing_alg_values_supported: ['RS384', 'ES384'],
  acr_values_supported: [mfaClass],
  authorization_response_iss_parameter_supported: true,
  scopes_supported: scopesSupported,
  capabilities: [...capabilities],
  user_access_brand_bundle: issuer + ownRoutes.brands,
  user_access_brand_identifier: { ...brandIdentifier(baseUrls) },
})

/** Names the hospital in the brand bundle. */
export const brandIdentifier = (baseUrls: readonly string[]) => ({
  system: 'urn:ietf:rfc:3986',
  value: baseUrls[0]!,
})

/** https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html#using-cs: for apps that still read /metadata. */
export const restSecurity = ({ issuer }: SmartContext): JsonObject => ({
  extension: [
    {
      url: 'http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris',
      extension: [
        { url: 'authorize', valueUri: issuer + routes.authorization },
        { url: 'token', valueUri: issuer + routes.token },
        { url: 'register', valueUri: issuer + ownRoutes.registration },
        { url: 'manage', valueUri: issuer + ownRoutes.apps },
        { url: 'introspect', valueUri: issuer + routes.introspection },
        { url: 'revoke', valueUri: issuer + routes.revocation },
      ],
    },
  ],
  cors: true,
  service: [
    {
      coding: [
        { system: 'http://terminology.hl7.org/CodeSystem/restful-security-service', code: 'SMART-on-FHIR' },
        { system: 'http://profiles.ihe.net/fhir/ihe.securityType/CodeSystem/SecurityType', code: 'IUA' },
      ],
    },
  ],
})
