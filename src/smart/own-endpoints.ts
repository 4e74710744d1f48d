/**
 * The endpoints of the authorization server that are not the library's: introspection by bearers, launches of the EHR,
 * registration, brands.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Caller } from '../access/index.js'
import { FhirError } from '../fhir/index.js'
import { read } from '../interactions/index.js'
import { brandBundle } from './brands.js'
import { type Clients, RegistrationRefused } from './clients.js'
import { inactive, introspected } from './introspection.js'
import { launchOf } from './launch-request.js'
import { type Launches, launchMs } from './launches.js'
import { registerDynamically } from './registration.js'
import { sendJson, sendOpen } from './send-json.js'
import type { SmartContext } from './smart-context.js'
import { bytesOf } from './stand-in.js'
import { readTokenRecord } from './token-record.js'
import type { Verifier } from './verifier.js'

type Parts = {
  context: SmartContext
  clients: Clients
  launches: Launches
  verifier: Verifier
  /** Of an access token of ours that is good. */
  jtiOf(token: string): Promise<string | undefined>
}

export class OwnEndpoints {
  private readonly startedAt = new Date().toISOString()

  constructor(private readonly parts: Parts) {}

  /** https://hl7.org/fhir/smart-app-launch/STU2.2/token-introspection.html: by whoever holds a token, with that token. */
  async introspect(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('Pragma', 'no-cache')
    if (request.method !== 'POST') return sendJson(response, 405, { error: 'invalid_request' }, { Allow: 'POST' })
    const caller = await callerOf(this.parts.verifier, request, response)
    if (!caller) return
    const form = new URLSearchParams((await bytesOf(request))?.toString('utf8') ?? '')
    const token = form.get('token')
    if (token === null || form.getAll('token').length > 1)
      return sendJson(response, 400, { error: 'invalid_request', error_description: 'send one token' })
    const jti = await this.parts.jtiOf(token)
    const record = jti === undefined ? undefined : await readTokenRecord(this.parts.context.secrets, jti)
    // A system looks at any token, as a resource server does; a person's app at its own.
    const may = record && (caller.kind === 'system' || caller.client === record.clientId)
    sendJson(response, 200, may ? introspected(this.parts.context, record) : inactive)
  }

  brands(request: IncomingMessage, response: ServerResponse): void {
    sendOpen(request, response, brandBundle(this.parts.context, this.startedAt), 'application/fhir+json; charset=utf-8')
  }

  async register(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('Access-Control-Allow-Origin', '*')
    if (request.method === 'OPTIONS') {
      response.writeHead(204, {
        'Access-Control-Allow-Methods': 'POST',
        'Access-Control-Allow-Headers': 'content-type',
        'Access-Control-Max-Age': '3600',
      })
      response.end()
      return
    }
    if (request.method !== 'POST')
      return sendJson(response, 405, { error: 'invalid_request' }, { Allow: 'POST, OPTIONS' })
    const bytes = await bytesOf(request)
    if (!bytes) return sendJson(response, 413, { error: 'invalid_client_metadata', error_description: 'too long' })
    try {
      const registered = await registerDynamically(this.parts.clients, jsonOf(bytes))
      await this.parts.context.record({
        action: 'register',
        outcome: 'success',
        client: String(registered['client_id']),
      })
      sendJson(response, 201, registered)
    } catch (error) {
      if (!(error instanceof RegistrationRefused)) throw error
      sendJson(response, 400, { error: error.code, error_description: error.message })
    }
  }

  /** The EHR makes a launch for the person who is signed in to it. */
  async launch(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== 'POST') return sendJson(response, 405, { error: 'invalid_request' }, { Allow: 'POST' })
    const caller = await callerOf(this.parts.verifier, request, response)
    if (!caller) return
    const bytes = await bytesOf(request)
    const { context, clients, launches } = this.parts
    try {
      const { client: id, launchContext } = launchOf(bytes && jsonOf(bytes))
      const client = await clients.active(id)
      if (caller.kind !== 'person' || client?.launchUri === undefined)
        return sendJson(response, 400, {
          error: 'invalid_request',
          error_description: 'a person launches an app that is registered with a launch URL',
        })
      // Only what the person can see may be handed to an app.
      const interaction = context.contextOf(caller)
      const { patient, encounter } = launchContext
      if (patient !== undefined) await read(interaction, { type: 'Patient', id: patient })
      if (encounter !== undefined) await read(interaction, { type: 'Encounter', id: encounter })
      const handle = await launches.make({
        client: client.id,
        subject: caller.subject,
        context: { ...launchContext, tenant: context.tenant },
      })
      const url = new URL(client.launchUri)
      url.searchParams.set('iss', context.baseUrls[0]!)
      url.searchParams.set('launch', handle)
      sendJson(response, 201, { launch: handle, launch_url: url.href, expires_in: launchMs / 1000 })
    } catch (error) {
      if (!(error instanceof FhirError)) throw error
      sendJson(response, error.status, { error: 'invalid_request', error_description: error.message })
    }
  }
}

/** undefined when the refusal was answered. */
async function callerOf(
  verifier: Verifier,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<Caller | undefined> {
  try {
    return await verifier.ofHeader(request.headers.authorization)
  } catch (error) {
    if (!(error instanceof FhirError)) throw error
    const { headers = {} } = error.options
    sendJson(response, error.status, { error: 'invalid_token', error_description: error.message }, headers)
    return undefined
  }
}

function jsonOf(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown
  } catch {
    return undefined
  }
}
