/**
 * The apps and systems that may ask for tokens, and what each may ask for.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#considerations-for-app-support
 * https://datatracker.ietf.org/doc/html/rfc7591
 */
import { randomBytes, randomUUID, timingSafeEqual } from 'node:crypto'
import { parseScopes } from '../access/index.js'
import type { JsonObject } from '../fhir/index.js'
import type { Secrets } from '../store/index.js'
import { hashOf } from './digest.js'

export type GrantType = 'authorization_code' | 'refresh_token' | 'client_credentials'

export type RegisteredClient = {
  id: string
  name: string
  /** `pending`: registered by itself and not approved yet. */
  status: 'active' | 'pending' | 'disabled'
  authentication: 'none' | 'client_secret_basic' | 'private_key_jwt'
  secretHash?: string
  grantTypes: readonly GrantType[]
  redirectUris: readonly string[]
  /** Web pages of these origins may call the token and FHIR endpoints. */
  origins: readonly string[]
  /** Where the EHR opens the app. */
  launchUri?: string
  /** The most it is granted; for a system what it is pre-authorised for. Undefined: whatever the person may and allows. */
  scope?: string
  jwks?: { keys: readonly JsonObject[] }
  jwksUri?: string
  /** Part of the hospital's own system: people are not asked. */
  firstParty: boolean
  /** Of a system: its row of capability/roles.json, the Organizations it acts for, and its purposes, the first by default. */
  role: string
  organizations: readonly string[]
  purposes: readonly string[]
  logoUri?: string
  clientUri?: string
  policyUri?: string
  contacts?: readonly string[]
  created: number
}

/** What is said to register a client; everything else has a default. */
export type Registration = Partial<Omit<RegisteredClient, 'created' | 'secretHash'>> & { name: string }

/** A registration that cannot be: the sentence says what to change. https://datatracker.ietf.org/doc/html/rfc7591#section-3.2.2 */
export class RegistrationRefused extends Error {
  override name = 'RegistrationRefused'
  constructor(
    readonly code: 'invalid_redirect_uri' | 'invalid_client_metadata',
    message: string,
  ) {
    super(message)
  }
}

const keyOf = (id: string): string => `smart/client/${id}`
const prefix = 'smart/client/'
const originsMs = 5000
const textMax = 2000
const listMax = 50

/** Most registrations that wait for approval: anybody may send one. */
const pendingMax = 1000

export class Clients {
  /** Origins of active clients, read again in the background; a new one counts at once where it was registered. */
  private origins: ReadonlySet<string> = new Set()
  private originsAt = 0

  constructor(
    private readonly secrets: Secrets,
    private readonly clock: () => number,
  ) {}

  /** Whether web pages of an origin are those of a registered app, as of some seconds ago. */
  hasOrigin(origin: string): boolean {
    if (this.clock() - this.originsAt > originsMs) {
      this.originsAt = this.clock()
      this.readOrigins().catch(() => {
        this.originsAt = 0
      })
    }
    return this.origins.has(origin)
  }

  async readOrigins(): Promise<void> {
    const clients = await this.list(10_000)
    this.origins = new Set(clients.flatMap(({ status, origins }) => (status === 'active' ? origins : [])))
    this.originsAt = this.clock()
  }

  async find(id: string): Promise<RegisteredClient | undefined> {
    if (!isClientId(id)) return undefined
    const text = await this.secrets.get(keyOf(id))
    return text === undefined ? undefined : (JSON.parse(text) as RegisteredClient)
  }

  /** Only one that may act. */
  async active(id: string): Promise<RegisteredClient | undefined> {
    const client = await this.find(id)
    if (client?.status !== 'active') return undefined
    // Whoever asks for a token calls the FHIR endpoint next.
    if (client.origins.some((origin) => !this.origins.has(origin)))
      this.origins = new Set([...this.origins, ...client.origins])
    return client
  }

  async list(limit = 1000, after?: string): Promise<RegisteredClient[]> {
    const rows = await this.secrets.list(prefix, limit, after === undefined ? undefined : keyOf(after))
    return rows.map(([, text]) => JSON.parse(text) as RegisteredClient)
  }

  /**
   * The secret of a confidential client is in this answer alone.
   *
   * @throws RegistrationRefused
   */
  async register(registration: Registration): Promise<{ client: RegisteredClient; secret?: string }> {
    const secret = registration.authentication === 'client_secret_basic' ? newSecret() : undefined
    const client = checked({
      status: 'active',
      authentication: 'none',
      grantTypes: grantTypesOf(registration),
      redirectUris: [],
      origins: originsOf(registration.redirectUris ?? []),
      firstParty: false,
      role: 'backend',
      organizations: [],
      purposes: ['TREAT'],
      ...registration,
      id: registration.id ?? randomUUID(),
      ...(secret !== undefined && { secretHash: hashOf(secret) }),
      created: this.clock(),
    })
    if (client.status === 'pending') await this.refuseFlood()
    if (!(await this.secrets.swap(keyOf(client.id), undefined, JSON.stringify(client))))
      throw new RegistrationRefused('invalid_client_metadata', `there is a client ${client.id} already`)
    await this.readOrigins()
    return { client, ...(secret !== undefined && { secret }) }
  }

  /** Changes it as a whole; undefined when there is no such client. */
  async change(
    id: string,
    change: (client: RegisteredClient) => RegisteredClient,
  ): Promise<RegisteredClient | undefined> {
    for (;;) {
      const was = isClientId(id) ? await this.secrets.get(keyOf(id)) : undefined
      if (was === undefined) return undefined
      const client = checked({ ...change(JSON.parse(was) as RegisteredClient), id })
      if (!(await this.secrets.swap(keyOf(id), was, JSON.stringify(client)))) continue
      await this.readOrigins()
      return client
    }
  }

  /** A new secret; the one before ends. */
  async renewSecret(id: string): Promise<string | undefined> {
    const secret = newSecret()
    return (await this.change(id, (client) => ({ ...client, secretHash: hashOf(secret) }))) && secret
  }

  private async refuseFlood(): Promise<void> {
    const clients = await this.list(10_000)
    if (clients.filter(({ status }) => status === 'pending').length >= pendingMax)
      throw new RegistrationRefused('invalid_client_metadata', 'too many registrations wait for approval')
  }
}

const newSecret = (): string => randomBytes(32).toString('base64url')
export const isSecretOf = (secret: string, hash: string): boolean =>
  timingSafeEqual(Buffer.from(hashOf(secret)), Buffer.from(hash.padEnd(43).slice(0, 43)))

const isClientId = (id: string): boolean => /^[A-Za-z0-9][A-Za-z0-9._~-]{0,127}$/.test(id)

function grantTypesOf({ redirectUris = [], authentication }: Registration): GrantType[] {
  if (redirectUris.length) return ['authorization_code', 'refresh_token']
  return authentication === 'private_key_jwt' ? ['client_credentials'] : []
}

const originsOf = (uris: readonly string[]): string[] => [
  ...new Set(uris.filter((uri) => /^https?:/.test(uri) && URL.canParse(uri)).map((uri) => new URL(uri).origin)),
]

const metadata = (message: string) => new RegistrationRefused('invalid_client_metadata', message)

function checked(client: RegisteredClient): RegisteredClient {
  if (!isClientId(client.id)) throw metadata('client_id must be 1 to 128 letters, digits and . _ ~ -')
  const { grantTypes, authentication, redirectUris } = client
  for (const text of [
    client.name,
    client.logoUri,
    client.clientUri,
    client.policyUri,
    client.launchUri,
    client.jwksUri,
  ])
    if (text !== undefined && (text.length === 0 || text.length > textMax))
      throw metadata(`texts must have 1 to ${textMax} characters`)
  for (const list of [redirectUris, client.origins, client.organizations, client.purposes, client.contacts ?? []])
    if (list.length > listMax) throw metadata(`lists may have ${listMax} entries at most`)
  if (grantTypes.length === 0) throw metadata('the client has no grant type: give it redirect URIs, or keys')
  for (const uri of redirectUris) checkRedirectUri(uri)
  if (grantTypes.includes('authorization_code') && redirectUris.length === 0)
    throw new RegistrationRefused('invalid_redirect_uri', 'an app needs at least one redirect URI')
  if (grantTypes.includes('client_credentials') && authentication !== 'private_key_jwt')
    throw metadata('client_credentials is for clients with private_key_jwt (SMART Backend Services)')
  if (authentication === 'private_key_jwt') checkKeys(client)
  for (const uri of [client.jwksUri, client.logoUri, client.clientUri, client.policyUri, client.launchUri])
    if (uri !== undefined && !isWebUri(uri)) throw metadata('URLs must be https, or http on this machine')
  for (const origin of client.origins)
    if (!URL.canParse(origin) || new URL(origin).origin !== origin)
      throw metadata('origins must be like https://app.example')
  if ((client.scope?.length ?? 0) > 20_000) throw metadata('the scope is too long')
  if (
    grantTypes.includes('client_credentials') &&
    parseScopes(client.scope ?? '').every(({ level }) => level !== 'system')
  )
    throw metadata('a backend client is pre-authorised for at least one system/ scope')
  return client
}

function checkRedirectUri(uri: string): void {
  const refuse = (message: string) => new RegistrationRefused('invalid_redirect_uri', message)
  if (!URL.canParse(uri) || uri.length > textMax) throw refuse('redirect URIs must be absolute')
  const { protocol, username, password } = new URL(uri)
  if (uri.includes('#')) throw refuse('redirect URIs have no fragment')
  if (username !== '' || password !== '') throw refuse('redirect URIs have no user in them')
  if (uri.includes('*')) throw refuse('redirect URIs are compared exactly; * has no meaning')
  if (/^(javascript|vbscript|data|blob|file|about|ws|wss|ftp):$/.test(protocol))
    throw refuse(`redirect URIs may not use ${protocol}`)
  // https://datatracker.ietf.org/doc/html/rfc8252#section-7: apps on a device use a scheme of their own.
  if (protocol === 'http:' && !isWebUri(uri)) throw refuse('redirect URIs use https, or http on this machine')
  if (!/^https?:$/.test(protocol) && !protocol.includes('.'))
    throw refuse('a scheme of an app is a domain name turned around, such as org.example.app:')
}

const isWebUri = (uri: string): boolean => {
  if (!URL.canParse(uri)) return false
  const { protocol, hostname } = new URL(uri)
  return protocol === 'https:' || (protocol === 'http:' && /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname))
}

/** https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html#registering-a-client-communicating-public-keys */
function checkKeys({ jwks, jwksUri }: RegisteredClient): void {
  if ((jwks === undefined) === (jwksUri === undefined)) throw metadata('give either jwks or jwks_uri')
  if (!jwks) return
  if (jwks.keys.length === 0 || jwks.keys.length > 20) throw metadata('jwks has 1 to 20 keys')
  for (const key of jwks.keys) {
    if (key['kty'] !== 'RSA' && key['kty'] !== 'EC') throw metadata('keys are RSA (RS384) or EC (ES384)')
    if (typeof key['kid'] !== 'string' || key['kid'] === '') throw metadata('every key has a kid')
    for (const part of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k'])
      if (key[part] !== undefined) throw metadata('send the public key only; this private key is no secret any more')
  }
}
