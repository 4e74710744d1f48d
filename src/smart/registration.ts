/**
 * Dynamic client registration: an app introduces itself and waits until the hospital has looked at it.
 *
 * https://datatracker.ietf.org/doc/html/rfc7591
 * https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html#registering-a-client-communicating-public-keys
 */
import type { JsonObject } from '../fhir/index.js'
import {
  type Clients,
  type GrantType,
  type RegisteredClient,
  type Registration,
  RegistrationRefused,
} from './clients.js'

/** @throws RegistrationRefused */
export async function registerDynamically(clients: Clients, body: unknown): Promise<JsonObject> {
  const { client, secret } = await clients.register({ ...registrationOf(body), status: 'pending' })
  return {
    ...metadataOf(client),
    client_id_issued_at: Math.floor(client.created / 1000),
    ...(secret !== undefined && { client_secret: secret, client_secret_expires_at: 0 }),
    hospitallink_status: client.status,
  }
}

const metadataOf = (client: RegisteredClient): JsonObject => ({
  client_id: client.id,
  client_name: client.name,
  token_endpoint_auth_method: client.authentication,
  grant_types: [...client.grantTypes],
  response_types: client.grantTypes.includes('authorization_code') ? ['code'] : [],
  redirect_uris: [...client.redirectUris],
  ...(client.scope !== undefined && { scope: client.scope }),
  ...(client.jwks && { jwks: { keys: [...client.jwks.keys] } }),
  ...(client.jwksUri !== undefined && { jwks_uri: client.jwksUri }),
  ...(client.logoUri !== undefined && { logo_uri: client.logoUri }),
  ...(client.clientUri !== undefined && { client_uri: client.clientUri }),
  ...(client.policyUri !== undefined && { policy_uri: client.policyUri }),
  ...(client.launchUri !== undefined && { initiate_login_uri: client.launchUri }),
  ...(client.contacts && { contacts: [...client.contacts] }),
})

const refuse = (message: string) => new RegistrationRefused('invalid_client_metadata', message)

const methods: Readonly<Record<string, RegisteredClient['authentication']>> = {
  none: 'none',
  client_secret_basic: 'client_secret_basic',
  client_secret_post: 'client_secret_basic',
  private_key_jwt: 'private_key_jwt',
}

function registrationOf(body: unknown): Registration {
  if (!isObject(body)) throw refuse('the registration must be a JSON object')
  const text = (name: string): string | undefined => {
    const value = body[name]
    if (value === undefined) return undefined
    if (typeof value !== 'string' || value === '') throw refuse(`${name} must be a text`)
    return value
  }
  const list = (name: string): string[] | undefined => {
    const value = body[name]
    if (value === undefined) return undefined
    if (!Array.isArray(value) || !value.every((each): each is string => typeof each === 'string'))
      throw refuse(`${name} must be a list of texts`)
    return value
  }
  const method = text('token_endpoint_auth_method') ?? 'client_secret_basic'
  const authentication = Object.hasOwn(methods, method) ? methods[method] : undefined
  if (!authentication) throw refuse(`token_endpoint_auth_method must be one of ${Object.keys(methods).join(', ')}`)
  const [name, scope, launchUri] = [text('client_name'), text('scope'), text('initiate_login_uri')]
  const [jwksUri, logoUri, clientUri, policyUri] = ['jwks_uri', 'logo_uri', 'client_uri', 'policy_uri'].map(text)
  const grantTypes = list('grant_types')?.map(grantTypeOf)
  const responseTypes = list('response_types')
  if (responseTypes?.some((type) => type !== 'code')) throw refuse('response_types may hold code only')
  const contacts = list('contacts')
  if (name === undefined) throw refuse('client_name is required: people read it when they allow the app')
  return {
    name,
    authentication,
    redirectUris: list('redirect_uris') ?? [],
    ...(grantTypes && { grantTypes }),
    ...(scope !== undefined && { scope }),
    ...(body['jwks'] !== undefined && { jwks: keysOf(body['jwks']) }),
    ...(jwksUri !== undefined && { jwksUri }),
    ...(launchUri !== undefined && { launchUri }),
    ...(logoUri !== undefined && { logoUri }),
    ...(clientUri !== undefined && { clientUri }),
    ...(policyUri !== undefined && { policyUri }),
    ...(contacts && { contacts }),
  }
}

function grantTypeOf(text: string): GrantType {
  if (text === 'authorization_code' || text === 'refresh_token' || text === 'client_credentials') return text
  throw refuse('grant_types may hold authorization_code, refresh_token and client_credentials')
}

function keysOf(value: unknown): { keys: JsonObject[] } {
  if (!isObject(value) || !Array.isArray(value['keys']) || !value['keys'].every(isObject))
    throw refuse('jwks must be a JSON Web Key Set')
  return { keys: value['keys'] }
}

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
