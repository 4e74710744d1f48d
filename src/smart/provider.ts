/**
 * The OpenID provider of a tenant: oidc-provider with SMART's rules.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html
 * https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html
 *
 * Every authorization is one interaction of ours (sign-in, choice of patient, consent), from which the provider gets
 * the person and a grant at once: it keeps no session of its own, and a grant is one launch with its context.
 */
import { randomBytes } from 'node:crypto'
import type { Configuration, KoaContextWithOIDC, Provider } from 'oidc-provider'
import { parseScope } from '../access/index.js'
import { dropGrant, SecretsAdapter } from './adapter.js'
import { ClientKeys } from './client-keys.js'
import { type Clients, isSecretOf, type RegisteredClient } from './clients.js'
import type { Grants } from './grants.js'
import type { Launches } from './launches.js'
import { accessSeconds, backendSeconds, codeSeconds, day, interactionSeconds, refreshSeconds } from './lifetimes.js'
import { grantedToSystem, identityScopes } from './offered-scopes.js'
import { type Library, oidcLibrary } from './oidc-library.js'
import type { SigningKeys } from './signing-keys.js'
import type { SmartContext } from './smart-context.js'
import type { Rights, TokenRecord } from './token-record.js'
import { purposeOfRole, rightsOf } from './verifier.js'

export type Parts = {
  context: SmartContext
  keys: SigningKeys
  clients: Clients
  grants: Grants
  launches: Launches
  /** Whether the session that `online_access` depends on is still there. */
  isOnline: (session: string) => Promise<boolean>
  /** Answers the page for an error that cannot be sent to the app. */
  showError: (ctx: KoaContextWithOIDC, error: { error: string; error_description?: string | undefined }) => void
}

/** acr of a sign-in with a second factor. */
export const mfaClass = 'mfa'

export const routes = {
  authorization: '/authorize',
  token: '/token',
  jwks: '/jwks',
  introspection: '/introspect',
  revocation: '/revoke',
} as const

export async function openProvider(parts: Parts): Promise<Provider> {
  const { context, keys } = parts
  const library = await oidcLibrary()
  const provider = new library.Provider(context.issuer, {
    ...(await configurationOf(parts, library)),
    jwks: (await keys.privateJwks()) as NonNullable<Configuration['jwks']>,
    cookies: {
      keys: [await cookieKeyOf(parts)],
      short: { httpOnly: true, sameSite: 'lax', signed: true },
      long: { httpOnly: true, sameSite: 'lax', signed: true },
    },
  })
  // What stands in front tells it the scheme and host of the issuer, whatever the client said.
  provider.proxy = true
  provider.Client.prototype.compareClientSecret = function (actual: string) {
    const { clientSecret } = this as { clientSecret?: string }
    return clientSecret !== undefined && isSecretOf(actual, clientSecret)
  }
  provider.on('server_error', (_ctx, error) => context.report(error))
  provider.on('grant.revoked', (_ctx, grantId) => {
    parts.grants.revoke(grantId).catch(context.report)
  })
  provider.on('grant.error', (ctx, error) => {
    void recordRefusal(parts, ctx, error)
  })
  return provider
}

async function recordRefusal({ context }: Parts, ctx: KoaContextWithOIDC, error: { error?: string }): Promise<void> {
  const client = ctx.oidc.client?.clientId
  const why = error.error ?? 'error'
  await context
    .record({ action: 'refuse', outcome: 'failure', ...(client !== undefined && { client }), why })
    .catch(context.report)
}

async function cookieKeyOf({ context }: Parts): Promise<string> {
  const name = 'smart/cookie-key'
  await context.secrets.swap(name, undefined, randomBytes(32).toString('base64url'))
  return (await context.secrets.get(name))!
}

async function configurationOf(parts: Parts, library: Library): Promise<Configuration> {
  const { context, clients, launches } = parts
  const clientKeys = new ClientKeys(context)
  const { errors } = library
  const base = context.baseUrls[0]!
  return {
    adapter: (model: string) =>
      new SecretsAdapter(model, {
        secrets: context.secrets,
        clients,
        clientKeys,
        clock: context.clock,
        usedTwice: async (payload) => {
          if (model === 'ReplayDetection') throw new errors.InvalidClientAuth('the assertion was used before')
          if (typeof payload?.grantId === 'string') {
            await dropGrant(context.secrets, payload.grantId)
            await parts.grants.revoke(payload.grantId)
          }
          throw new errors.InvalidGrant('used before')
        },
      }),
    scopes: [...identityScopes],
    claims: { openid: ['sub', 'acr', 'amr', 'auth_time'], fhirUser: ['fhirUser'], profile: ['fhirUser', 'name'] },
    conformIdTokenClaims: false,
    acrValues: [mfaClass],
    responseTypes: ['code'],
    subjectTypes: ['public'],
    clientAuthMethods: ['none', 'client_secret_basic', 'private_key_jwt'],
    enabledJWA: { clientAuthSigningAlgValues: ['RS384', 'ES384'], idTokenSigningAlgValues: ['RS256'] },
    pkce: { required: () => true },
    clockTolerance: 5,
    routes,
    extraClientMetadata: { properties: ['origins'] },
    extraParams: {
      aud: (_ctx, value) => {
        if (value === undefined) throw new errors.InvalidRequest('aud is required: the base URL of the FHIR server')
        if (!context.baseUrls.includes(value.replace(/\/$/, '')))
          throw new errors.InvalidRequest('aud is not the base URL of this FHIR server')
      },
      launch: async (_ctx, value, client) => {
        if (value === undefined) return
        const launch = await launches.find(value)
        if (!launch || launch.client !== client.clientId)
          throw new errors.InvalidRequest('the launch is unknown, of another app, or too old: start the app again')
      },
      // Of a sign-in that is asked for without openid.
      step_up: null,
    },
    features: {
      devInteractions: { enabled: false },
      userinfo: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      claimsParameter: { enabled: false },
      requestObjects: { enabled: false },
      pushedAuthorizationRequests: { enabled: false },
      dPoP: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: {
        enabled: true,
        allowedPolicy: (_ctx, client, token) =>
          client.clientAuthMethod !== 'none' || client.clientId === token.clientId,
      },
      revocation: {
        enabled: true,
        allowedPolicy: (_ctx, client, token) => {
          if (client.clientId === token.clientId) return true
          if (client.clientAuthMethod === 'none') return false
          throw new errors.InvalidRequest('a client revokes its own tokens only')
        },
      },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => base,
        useGrantedResource: () => true,
        getResourceServerInfo: async (ctx, resource) => {
          if (resource !== base) throw new errors.InvalidTarget('the only resource is the FHIR base')
          return {
            scope: await scopeOfRequest(parts, library, ctx),
            audience: base,
            accessTokenFormat: 'opaque' as const,
            accessTokenTTL: ctx.oidc.params?.['grant_type'] === 'client_credentials' ? backendSeconds : accessSeconds,
          }
        },
      },
    },
    interactions: {
      policy: policyOf(library),
      url: (_ctx, { uid }) => `${new URL(context.issuer).pathname}/interaction/${uid}`,
    },
    loadExistingGrant: async (ctx) => {
      const { consent } = ctx.oidc.result ?? {}
      return consent?.grantId === undefined ? undefined : ctx.oidc.provider.Grant.find(consent.grantId)
    },
    findAccount: async (_ctx, subject, token) => {
      const account = await context.accounts.bySubject(subject)
      if (!account || account.disabled) return undefined
      if (token && 'kind' in token && token.kind === 'RefreshToken' && !(await mayRefresh(parts, token)))
        return undefined
      return {
        accountId: subject,
        claims: async () => ({
          sub: subject,
          fhirUser: `${base}/${account.user.type}/${account.user.id}`,
          name: account.name,
        }),
      }
    },
    extraTokenClaims: async (_ctx, token) => extraOf(parts, token),
    expiresWithSession: () => false,
    issueRefreshToken: (_ctx, client, source) =>
      client.grantTypeAllowed('refresh_token') &&
      (source.scopes.has('offline_access') || source.scopes.has('online_access')),
    rotateRefreshToken: true,
    revokeGrantPolicy: () => true,
    allowOmittingSingleRegisteredRedirectUri: false,
    ttl: {
      AccessToken: accessSeconds,
      AuthorizationCode: codeSeconds,
      ClientCredentials: backendSeconds,
      IdToken: 3600,
      Interaction: interactionSeconds,
      Session: 60,
      // oidc-provider asks with the grant at hand: nothing outlives it.
      RefreshToken: (ctx) => {
        const left = (ctx.oidc.entities.Grant?.exp ?? 0) - Math.floor(Date.now() / 1000)
        return Math.max(1, Math.min(refreshSeconds, left))
      },
      Grant: 90 * day,
    },
    clientBasedCORS: (_ctx, origin, client) =>
      (client['origins'] as readonly string[] | undefined)?.includes(origin) ?? false,
    renderError: (ctx, out) => {
      parts.showError(ctx, out)
    },
    // What there is to fetch is fetched by us, with our guard.
    fetch: () => Promise.reject(new Error('the provider calls nobody')),
    assertJwtClientAuthClaimsAndHeader: async (ctx, claims, header, client) => {
      const wrong = await wrongWithAssertion(parts, ctx, { claims, header, client })
      if (wrong !== undefined) throw new errors.InvalidClientAuth(wrong)
    },
  }
}

/** One prompt that is answered by our own pages; whatever the app's `prompt` says is answered there too. */
function policyOf({ interactionPolicy: { Check, Prompt } }: Library) {
  return [
    new Prompt(
      { name: 'login', requestable: true },
      new Check('authorize', 'the person signs in and allows the app', (ctx) => {
        const { login, consent } = ctx.oidc.result ?? {}
        return !(login && consent)
      }),
    ),
    new Prompt({ name: 'consent', requestable: true }),
    new Prompt({ name: 'select_account', requestable: true }),
  ]
}

/** The scopes of this very request that the FHIR server knows: others are dropped by the library. */
async function scopeOfRequest(parts: Parts, { errors }: Library, ctx: KoaContextWithOIDC): Promise<string> {
  const { params = {}, entities } = ctx.oidc
  if (params['grant_type'] !== 'client_credentials') {
    const source = entities.RefreshToken ?? entities.AuthorizationCode
    const asked = source?.scope ?? (typeof params['scope'] === 'string' ? params['scope'] : '')
    return asked
      .split(' ')
      .filter((scope) => identityScopes.has(scope) || parseScope(scope) !== undefined)
      .join(' ')
  }
  const client = await parts.clients.active(ctx.oidc.client!.clientId)
  const granted = grantedToSystem(client?.scope ?? '', typeof params['scope'] === 'string' ? params['scope'] : '')
  if (granted === '') throw new errors.InvalidScope('none of the scopes is pre-authorised for this client', '')
  // What is granted may be narrower than what was asked for, and the library intersects texts.
  params['scope'] = granted
  return granted
}

async function mayRefresh(
  { grants, isOnline }: Parts,
  token: { grantId?: string | undefined; scope?: string | undefined },
): Promise<boolean> {
  if (token.grantId === undefined) return false
  const granted = await grants.find(token.grantId)
  if (!granted) return false
  const scopes = token.scope?.split(' ') ?? []
  const { session } = granted.signedIn
  if (scopes.includes('offline_access') || session === undefined) return true
  return isOnline(session)
}

type Issued = {
  clientId?: string | undefined
  accountId?: string | undefined
  grantId?: string | undefined
  scope?: string | undefined
}

/** Kept in the token's record, put into the token, and shown by introspection. */
async function extraOf(
  parts: Parts,
  token: Issued,
): Promise<Record<string, unknown> & NonNullable<TokenRecord['extra']>> {
  const { context, clients, grants } = parts
  const { accountId, grantId, clientId = '' } = token
  if (accountId === undefined) {
    const client = await clients.active(clientId)
    return client ? { rights: rightsOfSystem(client) } : {}
  }
  const [granted, account] = await Promise.all([
    grantId === undefined ? undefined : grants.find(grantId),
    context.accounts.bySubject(accountId),
  ])
  if (!granted || !account) return {}
  const { at, methods } = granted.signedIn
  const purpose = granted.purpose ?? purposeOfRole(account)
  const rights = rightsOf(account, { ...noRights, purpose, signedIn: { at, methods } })
  const isKnown = token.scope?.split(' ').includes('fhirUser') ?? false
  return {
    ...granted.context,
    ...(isKnown && granted.fhirUser !== undefined && { fhirUser: granted.fhirUser }),
    rights,
  }
}

const noRights: Rights = { role: '', organizations: [] }

const rightsOfSystem = ({ role, organizations, name, purposes }: RegisteredClient): Rights => ({
  role,
  organizations,
  name,
  ...(purposes[0] !== undefined && { purpose: purposes[0] }),
})

/** https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html#signature-verification */
const assertionSecondsMax = 300
const skewSeconds = 30

type Assertion = {
  claims: { sub?: unknown; aud?: unknown; exp?: unknown; jti?: unknown; iss?: unknown }
  header: { kid?: unknown; jku?: unknown; alg?: unknown }
  client: { clientId: string }
}

async function wrongWithAssertion(
  { context, clients }: Parts,
  ctx: KoaContextWithOIDC,
  { claims, header, client }: Assertion,
): Promise<string | undefined> {
  if (claims.sub !== client.clientId) return 'sub must be the client_id'
  if (typeof claims.jti !== 'string' || claims.jti.length > 1000) return 'jti must be a text'
  if (typeof claims.exp !== 'number') return 'exp must be a number of seconds'
  if (claims.exp * 1000 > context.clock() + (assertionSecondsMax + skewSeconds) * 1000)
    return 'exp must be at most five minutes ahead'
  const audiences: unknown[] = Array.isArray(claims.aud) ? claims.aud : [claims.aud]
  const endpoint = ctx.oidc.route === 'token' ? routes.token : routes[ctx.oidc.route as 'introspection' | 'revocation']
  if (!audiences.some((aud) => aud === context.issuer + routes.token || aud === context.issuer + endpoint))
    return "aud must be the token endpoint's URL"
  if (typeof header.kid !== 'string' || header.kid === '') return 'the header must have a kid'
  if (header.jku !== undefined && header.jku !== (await clients.find(client.clientId))?.jwksUri)
    return 'jku is not the registered URL'
  const { asymmetricKeyStore } = client as { asymmetricKeyStore?: Iterable<{ kid?: unknown; kty?: unknown }> }
  const kty = header.alg === 'ES384' ? 'EC' : 'RSA'
  const keys = [...(asymmetricKeyStore ?? [])].filter((key) => key.kid === header.kid && key.kty === kty)
  return keys.length === 1 ? undefined : 'kid and kty must name exactly one registered key'
}
