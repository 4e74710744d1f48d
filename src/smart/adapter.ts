/**
 * Where oidc-provider keeps codes, tokens, grants and interactions: in the tenant's own store.
 *
 * https://github.com/panva/node-oidc-provider/blob/main/docs/README.md#adapter
 *
 * An id that is itself the secret (a code, a refresh token) is kept as its hash, so that reading the store gives no
 * token away. A code or refresh token is consumed, and an assertion noted, by a swap: of two processes one wins.
 */
import type { Adapter, AdapterPayload } from 'oidc-provider'
import type { Secrets } from '../store/index.js'
import type { ClientKeys, KeySet } from './client-keys.js'
import type { Clients, RegisteredClient } from './clients.js'
import { hashOf } from './digest.js'

export const keyOfModel = (model: string, id: string): string => `smart/${model}/${hashOf(id)}`
/** How a verified access token is named to the library. */
export const recordPrefix = 'record '

const membersOf = (grantId: string): string => `smart/grant-of/${grantId}/`

/** What ends with a grant. */
const grantable = new Set(['AccessToken', 'AuthorizationCode', 'RefreshToken'])
/** Most tokens of one grant that are dropped in one go. */
const batch = 1000

export type AdapterOptions = {
  secrets: Secrets
  clients: Clients
  clientKeys: ClientKeys
  clock: () => number
  /** What is good for one use was used at the same time by another request; ends the family, and throws. */
  usedTwice(payload: AdapterPayload | undefined): Promise<never>
}

export class SecretsAdapter implements Adapter {
  constructor(
    private readonly model: string,
    private readonly options: AdapterOptions,
  ) {}

  async upsert(id: string, payload: AdapterPayload, expiresIn: number): Promise<void> {
    const { secrets, clock } = this.options
    // A grant and an interaction without an end would stay for ever.
    const expires = clock() + (Number.isFinite(expiresIn) ? expiresIn : 86_400) * 1000
    const { jti: _, ...kept } = payload
    const key = keyOfModel(this.model, id)
    if (this.model === 'ReplayDetection') {
      if (!(await secrets.swap(key, undefined, '1', expires))) await this.options.usedTwice(payload)
      return
    }
    await secrets.put(key, JSON.stringify(kept), expires)
    if (grantable.has(this.model) && typeof payload.grantId === 'string')
      await secrets.put(membersOf(payload.grantId) + hashOf(`${this.model} ${id}`), key, expires)
  }

  async find(id: string): Promise<AdapterPayload | undefined> {
    const { secrets, clients, clientKeys } = this.options
    if (this.model === 'Client') {
      const client = await clients.active(id)
      return (
        client && metadataOf(client, client.jwksUri === undefined ? client.jwks : await clientKeys.at(client.jwksUri))
      )
    }
    // An access token is looked for by what its JWT says, never by a bare jti, which others may have seen.
    const isToken = this.model === 'AccessToken' || this.model === 'ClientCredentials'
    if (isToken && !id.startsWith(recordPrefix)) return undefined
    const jti = isToken ? id.slice(recordPrefix.length) : id
    const key = keyOfModel(this.model, jti)
    const text = await secrets.get(key)
    if (text === undefined) return undefined
    if (this.model === 'ReplayDetection') return { jti: id }
    const consumed = await this.consumedAt(key)
    return { ...(JSON.parse(text) as AdapterPayload), jti, ...(consumed !== undefined && { consumed }) }
  }

  /** Only codes and refresh tokens are consumed. */
  private async consumedAt(key: string): Promise<number | undefined> {
    if (this.model !== 'AuthorizationCode' && this.model !== 'RefreshToken') return undefined
    const at = await this.options.secrets.get(`${key}/consumed`)
    return at === undefined ? undefined : Number(at)
  }

  async consume(id: string): Promise<void> {
    const { secrets, clock } = this.options
    const key = keyOfModel(this.model, id)
    const text = await secrets.get(key)
    const payload = text === undefined ? undefined : (JSON.parse(text) as AdapterPayload)
    const expires = payload?.exp === undefined ? clock() + 86_400_000 : payload.exp * 1000
    if (!(await secrets.swap(`${key}/consumed`, undefined, String(Math.floor(clock() / 1000)), expires)))
      await this.options.usedTwice(payload)
  }

  async destroy(id: string): Promise<void> {
    await this.options.secrets.drop(keyOfModel(this.model, id))
  }

  async revokeByGrantId(grantId: string): Promise<void> {
    await dropTokensOf(this.options.secrets, grantId)
  }

  /** Sessions are the sign-in pages' own; the provider's lives for one redirect and is never looked up. */
  async findByUid(): Promise<undefined> {}
  async findByUserCode(): Promise<undefined> {}
}

/** Ends every code and token of a grant. */
export async function dropTokensOf(secrets: Secrets, grantId: string): Promise<void> {
  for (;;) {
    const members = await secrets.list(membersOf(grantId), batch)
    for (const [key, token] of members) {
      await secrets.drop(token)
      await secrets.drop(key)
    }
    if (members.length < batch) return
  }
}

export async function dropGrant(secrets: Secrets, grantId: string): Promise<void> {
  await secrets.drop(keyOfModel('Grant', grantId))
  await dropTokensOf(secrets, grantId)
}

/** A client as OpenID Connect registration would have described it. */
function metadataOf(client: RegisteredClient, jwks: KeySet | undefined): AdapterPayload {
  const isApp = client.grantTypes.includes('authorization_code')
  const isWeb = client.redirectUris.every((uri) => /^https?:/.test(uri))
  return {
    client_id: client.id,
    origins: [...client.origins],
    client_name: client.name,
    application_type: isWeb ? 'web' : 'native',
    token_endpoint_auth_method: client.authentication,
    grant_types: [...client.grantTypes],
    response_types: isApp ? ['code'] : [],
    redirect_uris: [...client.redirectUris],
    // The hash: compareClientSecret hashes what it is given.
    ...(client.secretHash !== undefined && { client_secret: client.secretHash }),
    // Also those at a URL, which the library would fetch by itself.
    ...(jwks && { jwks: { keys: jwks.keys.map((key) => ({ ...key })) } }),
  } as unknown as AdapterPayload
}
