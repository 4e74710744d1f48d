/**
 * The authorization server of one tenant as a plain handler: every path below its issuer.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { KoaContextWithOIDC, Provider } from 'oidc-provider'
import type { Caller } from '../access/index.js'
import { FhirError, type JsonObject } from '../fhir/index.js'
import { read } from '../interactions/index.js'
import { signAccessToken, TokenRefused, verifyAccessToken } from './access-token.js'
import type { LoginPages } from './account.js'
import { keyOfModel, recordPrefix } from './adapter.js'
import { Authorizing } from './authorize.js'
import { brandBundle } from './brands.js'
import { Clients, RegistrationRefused } from './clients.js'
import { ownRoutes, restSecurity, smartConfiguration } from './discovery.js'
import { ExternalTokens } from './external-tokens.js'
import { Grants } from './grants.js'
import { inactive, introspected } from './introspection.js'
import { launchOf } from './launch-request.js'
import { Launches, launchMs } from './launches.js'
import { mintRefreshToken, type RefreshSpec } from './mint-refresh.js'
import type { Pages } from './pages/index.js'
import { openProvider, type Parts, routes } from './provider.js'
import { registerDynamically } from './registration.js'
import { sendJson, sendOpen } from './send-json.js'
import { SigningKeys } from './signing-keys.js'
import type { SmartContext } from './smart-context.js'
import { bytesOf, standIn } from './stand-in.js'
import { readTokenRecord } from './token-record.js'
import { Verifier } from './verifier.js'

export type People = {
  logins: LoginPages
  /** Whether a session still goes on: what was granted with online_access ends with it. */
  isOnline(session: string): Promise<boolean>
  pages: Pages
  /** The pages of the signed-in (my apps, sign-out): says whether the path was theirs. */
  answer(request: IncomingMessage, response: ServerResponse, below: string): Promise<boolean>
}

export class AuthorizationServer {
  readonly keys: SigningKeys
  readonly clients: Clients
  readonly grants: Grants
  readonly launches: Launches
  readonly verifier: Verifier
  private readonly issuer: URL
  private people: People | undefined
  private authorizing: Authorizing | undefined
  private opened: { kids: string; provider: Promise<Opened> } | undefined

  constructor(readonly context: SmartContext) {
    const { secrets, clock, settings } = context
    this.issuer = new URL(context.issuer)
    this.keys = new SigningKeys({ secrets, clock, masterKey: settings.masterKey })
    this.clients = new Clients(secrets, clock)
    this.launches = new Launches(secrets, clock)
    this.grants = new Grants(secrets, async ({ subject, client }) => {
      this.verifier.forget()
      await context.record({ action: 'revoke', outcome: 'success', subject, client })
    })
    const external = settings.external && new ExternalTokens(context, settings.external)
    this.verifier = new Verifier({ context, keys: this.keys, clients: this.clients, external })
  }

  /** Without people there are systems and development tokens only. */
  with(people: People): this {
    this.people = people
    this.authorizing = new Authorizing(
      this.parts,
      async () => (await this.open()).provider,
      people.pages,
      people.logins,
    )
    return this
  }

  /** A person's signing key goes out of use everywhere at once. */
  async rotateKeys(): Promise<{ kid: string }> {
    const rotated = await this.keys.rotate()
    await this.context.record({ action: 'rotate-keys', outcome: 'success' })
    return rotated
  }

  /** For development and tests. @throws MintRefused */
  async mintRefreshToken(spec: RefreshSpec): Promise<string> {
    return mintRefreshToken({ ...this.parts, provider: (await this.open()).provider }, spec)
  }

  smartConfiguration(): JsonObject {
    return smartConfiguration(this.context)
  }

  security(): JsonObject {
    return restSecurity(this.context)
  }

  /** A request whose path lies below the issuer's. */
  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = request.url ?? '/'
    const below = url.slice(this.issuer.pathname.length)
    const [path = ''] = below.split('?')
    try {
      await this.route(request, response, { path, below })
    } catch (error) {
      this.context.report(error)
      if (response.headersSent) response.destroy()
      else sendJson(response, 500, { error: 'server_error', error_description: 'the server met an error of its own' })
    }
  }

  private async route(
    request: IncomingMessage,
    response: ServerResponse,
    { path, below }: { path: string; below: string },
  ): Promise<void> {
    const [, uid, rest] = /^\/interaction\/([\w-]{1,100})(\/.*)?$/.exec(path) ?? []
    if (uid !== undefined && this.authorizing)
      return this.authorizing.answer(request, response, {
        path: `${this.issuer.pathname}/interaction/${uid}`,
        below: rest ?? '',
      })
    switch (path) {
      case ownRoutes.brands:
        return this.brands(request, response)
      case ownRoutes.registration:
        return this.register(request, response)
      case ownRoutes.launch:
        return this.launch(request, response)
      case '/.well-known/smart-configuration':
        return sendOpen(request, response, this.smartConfiguration())
      case routes.introspection:
        if (/^bearer /i.test(request.headers.authorization ?? '')) return this.introspect(request, response)
    }
    if (this.people?.pages.asset(request, response)) return
    if (await this.people?.answer(request, response, below)) return
    await this.provide(request, response, { path, below })
  }

  /** What the library answers, after its request was put right. */
  private async provide(
    request: IncomingMessage,
    response: ServerResponse,
    { path, below }: { path: string; below: string },
  ): Promise<void> {
    const { issuer } = this
    const { handle } = await this.open()
    const hasBody = request.method === 'POST'
    const body = hasBody ? await bytesOf(request) : undefined
    if (hasBody && body === undefined) {
      response.setHeader('Connection', 'close')
      return sendJson(response, 413, { error: 'invalid_request', error_description: 'the request is too long' })
    }
    const isForm = /^application\/x-www-form-urlencoded\b/i.test(request.headers['content-type'] ?? '')
    const form = isForm ? new URLSearchParams(body?.toString('utf8')) : undefined
    if (path === routes.authorization) {
      const parameters = request.method === 'GET' ? new URLSearchParams(below.split('?')[1] ?? '') : form
      // A form and a query ask the same.
      if (parameters)
        return handle(standIn(request, { method: 'GET', url: `${path}?${asked(parameters)}`, issuer }), response)
    }
    if ((path === routes.introspection || path === routes.revocation) && form) await this.nameRecord(form)
    if (path === routes.token && form && request.headers.authorization === undefined) await this.nameClient(form)
    return handle(
      standIn(request, {
        url: below === '' ? '/' : below,
        issuer,
        ...(body && { body: form ? Buffer.from(form.toString()) : body }),
      }),
      response,
    )
  }

  /** A JWT of ours becomes the name of its record, which the library knows. */
  private async nameRecord(form: URLSearchParams): Promise<void> {
    const token = form.get('token')
    if (token === null || form.getAll('token').length > 1) return
    // A refresh token is no JWT; nothing else may be taken for the name of a record.
    if (!token.includes('.')) return form.set('token', token.startsWith(recordPrefix) ? 'none' : token)
    const jti = await this.jtiOf(token)
    form.set('token', jti === undefined ? 'none' : recordPrefix + jti)
  }

  /** fhirclient leaves client_id out when it refreshes; the token says whose it is, and a public app has no more to show. */
  private async nameClient(form: URLSearchParams): Promise<void> {
    const token = form.get('refresh_token')
    if (token === null || ['client_id', 'client_assertion', 'client_secret'].some((name) => form.has(name))) return
    const text = await this.context.secrets.get(keyOfModel('RefreshToken', token))
    const { clientId } = JSON.parse(text ?? '{}') as { clientId?: string }
    const client = clientId === undefined ? undefined : await this.clients.active(clientId)
    if (client?.authentication === 'none') form.set('client_id', client.id)
  }

  private async jtiOf(token: string): Promise<string | undefined> {
    const { issuer, baseUrls, clock } = this.context
    try {
      return (await verifyAccessToken(token, { issuer, audience: baseUrls[0]!, keys: this.keys, now: clock() })).jti
    } catch (error) {
      if (error instanceof TokenRefused) return undefined
      throw error
    }
  }

  private async open(): Promise<Opened> {
    const kids = (await this.keys.all()).map(({ kid }) => kid).join(' ')
    if (this.opened?.kids !== kids) {
      const provider = this.openWith()
      this.opened = { kids, provider }
      provider.catch(() => {
        this.opened = undefined
      })
    }
    return this.opened.provider
  }

  private async openWith(): Promise<Opened> {
    const provider = await openProvider(this.parts)
    // Koa prints errors that nobody listens to.
    ;(provider as NodeJS.EventEmitter).on('error', this.context.report)
    provider.use(async (ctx, next) => {
      await next()
      await this.finish(ctx as unknown as KoaContextWithOIDC)
    })
    return { provider, handle: provider.callback() as Opened['handle'] }
  }

  private get parts(): Parts {
    const { context, keys, clients, grants, launches } = this
    return {
      context,
      keys,
      clients,
      grants,
      launches,
      isOnline: async (session) => (await this.people?.isOnline(session)) ?? true,
      showError: (ctx, { error, error_description: description }) => {
        const visit = this.people?.pages.visit(ctx.req, ctx.res)
        if (!visit) {
          ctx.body = { error, error_description: description }
          return
        }
        ctx.respond = false
        visit.show({
          status: ctx.status,
          title: visit.t('errorTitle'),
          alert: error === 'server_error' ? undefined : `${error}: ${description ?? ''}`,
          body: undefined,
        })
      },
    }
  }

  /** What SMART adds to the library's answers. */
  private async finish(ctx: KoaContextWithOIDC): Promise<void> {
    const cookies = ctx.response.get('set-cookie') as unknown as string[] | string
    if (cookies) {
      const kept = [cookies].flat().filter((cookie) => !cookie.startsWith('_session'))
      if (kept.length) ctx.set('Set-Cookie', kept)
      else ctx.remove('Set-Cookie')
    }
    if (ctx.path === routes.token || ctx.path === routes.introspection || ctx.path === routes.revocation) {
      ctx.set('Cache-Control', 'no-store')
      ctx.set('Pragma', 'no-cache')
    }
    const body = ctx.body as JsonObject | undefined
    if (ctx.status !== 200 || typeof body !== 'object') return
    if (ctx.path === routes.token) await this.finishToken(ctx, body)
    if (ctx.path === routes.introspection && body['active'] === true) await this.finishIntrospection(ctx, body)
    if (ctx.path === '/.well-known/openid-configuration' || ctx.path === '/.well-known/oauth-authorization-server')
      ctx.body = { ...body, ...this.smartConfiguration(), capabilities: undefined, ...onlyOpenid(body) }
  }

  /** The access token is a JWT of ours, beside which the launch context stands. */
  private async finishToken(ctx: KoaContextWithOIDC, body: JsonObject): Promise<void> {
    const { context, keys } = this
    const jti = body['access_token']
    if (typeof jti !== 'string') return
    const record = await readTokenRecord(context.secrets, jti)
    if (!record) {
      // Its grant ended in this very moment: the code or refresh token was used twice.
      ctx.status = 400
      ctx.body = { error: 'invalid_grant', error_description: 'the grant has ended' }
      return
    }
    const { rights, fhirUser: _, ...launchContext } = record.extra ?? {}
    ctx.body = {
      ...body,
      access_token: signAccessToken({
        issuer: context.issuer,
        audience: context.baseUrls[0]!,
        jti,
        record,
        key: await keys.signing(),
      }),
      token_type: 'Bearer',
      scope: record.scope ?? '',
      ...launchContext,
    }
    await context.record({
      action: ctx.oidc.params?.['grant_type'] === 'refresh_token' ? 'refresh' : 'token',
      outcome: 'success',
      client: record.clientId,
      token: jti,
      ...(record.accountId !== undefined && { subject: record.accountId }),
      ...(rights?.user && { user: rights.user }),
      ...(rights && { role: rights.role }),
      ...(launchContext.patient !== undefined && { patient: launchContext.patient }),
    })
  }

  private async finishIntrospection(ctx: KoaContextWithOIDC, body: JsonObject): Promise<void> {
    const token = ctx.oidc.params?.['token']
    const record =
      typeof token === 'string' && token.startsWith(recordPrefix)
        ? await readTokenRecord(this.context.secrets, token.slice(recordPrefix.length))
        : undefined
    if (record) ctx.body = introspected(this.context, record)
    else {
      const { rights: _, ...rest } = body
      ctx.body = rest
    }
  }

  /** https://hl7.org/fhir/smart-app-launch/STU2.2/token-introspection.html: by whoever holds a token, with that token. */
  private async introspect(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('Pragma', 'no-cache')
    if (request.method !== 'POST') return sendJson(response, 405, { error: 'invalid_request' }, { Allow: 'POST' })
    const caller = await this.callerOf(request, response)
    if (!caller) return
    const form = new URLSearchParams((await bytesOf(request))?.toString('utf8') ?? '')
    const token = form.get('token')
    if (token === null || form.getAll('token').length > 1)
      return sendJson(response, 400, { error: 'invalid_request', error_description: 'send one token' })
    const jti = await this.jtiOf(token)
    const record = jti === undefined ? undefined : await readTokenRecord(this.context.secrets, jti)
    // A system looks at any token, as a resource server does; a person's app at its own.
    const may = record && (caller.kind === 'system' || caller.client === record.clientId)
    sendJson(response, 200, may ? introspected(this.context, record) : inactive)
  }

  /** undefined when the refusal was answered. */
  private async callerOf(request: IncomingMessage, response: ServerResponse): Promise<Caller | undefined> {
    try {
      return await this.verifier.ofHeader(request.headers.authorization)
    } catch (error) {
      if (!(error instanceof FhirError)) throw error
      const { headers = {} } = error.options
      sendJson(response, error.status, { error: 'invalid_token', error_description: error.message }, headers)
      return undefined
    }
  }

  private brands(request: IncomingMessage, response: ServerResponse): void {
    sendOpen(request, response, brandBundle(this.context, this.startedAt), 'application/fhir+json; charset=utf-8')
  }

  private readonly startedAt = new Date().toISOString()

  private async register(request: IncomingMessage, response: ServerResponse): Promise<void> {
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
      const registered = await registerDynamically(this.clients, jsonOf(bytes))
      await this.context.record({ action: 'register', outcome: 'success', client: String(registered['client_id']) })
      sendJson(response, 201, registered)
    } catch (error) {
      if (!(error instanceof RegistrationRefused)) throw error
      sendJson(response, 400, { error: error.code, error_description: error.message })
    }
  }

  /** The EHR makes a launch for the person who is signed in to it. */
  private async launch(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== 'POST') return sendJson(response, 405, { error: 'invalid_request' }, { Allow: 'POST' })
    const caller = await this.callerOf(request, response)
    if (!caller) return
    const bytes = await bytesOf(request)
    const { context, clients, launches } = this
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

type Opened = { provider: Provider; handle: (request: IncomingMessage, response: ServerResponse) => Promise<void> }

/** As the client asked, with what the library wants said: that the person is asked, and step-up without openid. */
function asked(parameters: URLSearchParams): URLSearchParams {
  const result = new URLSearchParams(parameters)
  result.delete('step_up')
  const scopes = (parameters.get('scope') ?? '').split(' ')
  const prompt = parameters.get('prompt')
  if (parameters.getAll('prompt').length <= 1 && prompt !== 'none' && !prompt?.split(' ').includes('consent'))
    result.set('prompt', prompt ? `${prompt} consent` : 'consent')
  if (!scopes.includes('openid')) {
    const stepUp = [
      ...(parameters.get('acr_values') ?? '').split(' '),
      ...(parameters.has('max_age') ? [`max_age=${parameters.get('max_age')}`] : []),
    ].filter(Boolean)
    for (const name of ['acr_values', 'max_age', 'nonce', 'claims_locales', 'id_token_hint']) result.delete(name)
    if (stepUp.length) result.set('step_up', stepUp.join(' '))
  }
  return result
}

/** What OpenID Connect's document has besides SMART's, kept as the library says it. */
const onlyOpenid = (body: JsonObject): JsonObject =>
  Object.fromEntries(
    ['subject_types_supported', 'id_token_signing_alg_values_supported', 'claims_supported', 'response_modes_supported']
      .filter((name) => body[name] !== undefined)
      .map((name) => [name, body[name]!]),
  )

function jsonOf(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown
  } catch {
    return undefined
  }
}
