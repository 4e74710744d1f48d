/**
 * Composition: opens the store, wires everything together, and listens.
 *
 * FHIR requests reach their handler before Express's router does, because the router costs several reads; everything
 * else (pages, health, metrics) is Express's. The handler is mounted in Express as well.
 */
import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import express, { type ErrorRequestHandler } from 'express'
import helmet from 'helmet'
import type { Logger } from 'pino'
import { addressFrom, anyone } from './access/index.js'
import { keepAnchors } from './audit-anchors.js'
import { type Authorizations, isBelow, issuerOf, type OpenIdentities } from './authorization.js'
import { doorOf, type Input } from './command.js'
import { openDoor } from './command-door.js'
import { actions } from './command-groups.js'
import type { Config } from './config.js'
import { FhirError, instant, unauthenticated } from './fhir/index.js'
import { closed, type Handle, listener, outcomeOf } from './listener.js'
import { openLog } from './log.js'
import { metricsPage } from './metrics-page.js'
import { opened, watch } from './opening.js'
import { operated } from './operated.js'
import { operations } from './operations/index.js'
import {
  admission,
  admitAll,
  type FhirHandler,
  fhirHandler,
  frontPage,
  type Metrics,
  newRequestId,
  type Overload,
  overload,
  type Rates,
  requestIdOf,
  requestMetrics,
  type Service,
} from './rest/index.js'
import { defaultTenant, openSite, type Site, type Wiring, type World } from './site.js'
import { type AuthorizationServer, sendJson, sendOpen } from './smart/index.js'

export const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string
}

export type Server = {
  /** The FHIR base that links are written with. */
  baseUrl: string
  /** Where it listens, without a path. */
  origin: string
  site: Site
  /** What the command line asks for. @throws CommandRefused */
  carryOut(action: string, input: Input): Promise<string[]>
  /** The link that makes the first administrator; undefined when there is one, or nobody signs in. */
  firstAdministrator(): Promise<string | undefined>
  /** Stops accepting, lets running requests end, closes the store. */
  close(): Promise<void>
}

export type ServerWiring = Wiring & { identities?: OpenIdentities }

export async function startServer(config: Config, wiring: ServerWiring = {}): Promise<Server> {
  const log = wiring.log ?? openLog(config)
  let handle: Handle = answerStarting
  const load = overload()
  const server = listener(config, (request, response) => handle(request, response))
  // First the port, which others may have taken, then the store.
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(config.port, config.host, resolve)
  })
  const { port } = server.address() as AddressInfo
  try {
    const site = await opened(
      () => openSite(config, { ...wiring, log, port }),
      log,
      (answer) => {
        handle = answer
      },
    )
    const work = operated(config, site, log, wiring.identities)
    handle = await handleOf(work, log, load, wiring.identify)
    const anchors = keepAnchors(config, site, { log, clock: wiring.clock })
    const path = doorOf(config)
    const report = (error: unknown) => log.warn({ err: error }, 'the command line met an error')
    const door = path === undefined ? undefined : await openDoor(path, { operated: work, actions, report })
    const unwatch = watch(() => site.database.health(), log)
    return {
      baseUrl: (await site.world(defaultTenant))!.baseUrls[0]!,
      origin: `${config.tlsCert === '' ? 'http' : 'https'}://${config.host.includes(':') ? `[${config.host}]` : config.host}:${port}`,
      site,
      carryOut: async (action, input) => actions[action]!(work, input),
      firstAdministrator: async () =>
        config.auth === 'off'
          ? undefined
          : (await work.people((await site.world(defaultTenant))!)).firstAdministrator(),
      close: async () => {
        await closed(server, config.closeTimeoutMs)
        load.close()
        unwatch()
        await door?.close()
        await anchors.close()
        await site.close()
        log.flush()
      },
    }
  } catch (error) {
    load.close()
    server.close()
    throw error
  }
}

/** What the endpoints of all tenants have in common. */
type Shared = Pick<Service, 'admit' | 'isOverloaded'> & { metrics?: Metrics }

/** What an authorization server knows: who asks, and which web pages are apps'. */
type Known = Partial<Pick<Service, 'identify' | 'allowsOrigin' | 'security'>>

/** The FHIR endpoint of a world, also for an Express application of one's own: `app.use(path, fhirOf(...))`. */
export function fhirOf(
  config: Config,
  world: World,
  log: Logger,
  { metrics, admit, isOverloaded }: Shared = { admit: admitAll, isOverloaded: () => false },
  { identify = config.auth === 'off' ? () => anyone : refuseAll, allowsOrigin = () => false, security }: Known = {},
): FhirHandler {
  const isDebug = log.isLevelEnabled('debug')
  const open = world.contextOf(anyone)
  const addressOf = addressFrom(config.trustedProxies)
  return fhirHandler(
    {
      identify,
      ...(security && { security }),
      context: (caller, _request, origin) =>
        caller === anyone && !origin ? open : world.contextOfRequest(caller, origin),
      origin: config.audit
        ? (request) => ({ id: requestIdOf(request) ?? newRequestId(), address: addressOf(request) })
        : () => undefined,
      operations,
      software: { name: 'hospitallink', version },
      started: instant(open.clock()),
      limits: config,
      compress: config.compress,
      allowsOrigin: (origin) =>
        config.corsOrigins.includes(origin) || config.corsOrigins.includes('*') || allowsOrigin(origin),
      secure: world.baseUrls[0]!.startsWith('https:'),
      admit,
      isOverloaded,
      report: (error, reference) => log.error({ err: error, reference }, 'a request met an error of the server'),
      observe: (done) => {
        metrics?.observe(done)
        if (isDebug) log.debug(done, 'answered')
      },
    },
    basePathOf(world),
  )
}

/** Nobody is known before somebody who can tell is wired in. */
const refuseAll = (): never => {
  throw unauthenticated('This server asks for a bearer token')
}

/** The path of the base URL without a final slash; empty where FHIR is at the root. */
const basePathOf = ({ baseUrls }: Pick<World, 'baseUrls'>): string => new URL(baseUrls[0]!).pathname.replace(/\/$/, '')

/** The FHIR endpoint of each tenant, opened when it is first asked for. */
export class Endpoints {
  private readonly opened = new Map<string, FhirHandler>()

  constructor(
    private readonly site: Site,
    private readonly endpoint: (world: World) => FhirHandler | Promise<FhirHandler>,
  ) {}

  /** What was opened already, without waiting. */
  find(tenant: string): FhirHandler | undefined {
    return this.opened.get(tenant)
  }

  async open(tenant: string): Promise<FhirHandler | undefined> {
    const world = await this.site.world(tenant)
    if (!world) return undefined
    const handler = this.opened.get(tenant) ?? (await this.endpoint(world))
    this.opened.set(tenant, handler)
    return handler
  }
}

type Work = ReturnType<typeof operated>

async function handleOf(work: Work, log: Logger, load: Overload, identify: Wiring['identify']): Promise<Handle> {
  const { config, site } = work
  const world = (await site.world(defaultTenant))!
  const { baseUrls } = world
  const baseUrl = baseUrls[0]!
  const basePath = basePathOf(world)
  const metrics = requestMetrics()
  const admit = config.auth === 'off' ? admitAll : admission(ratesOf(config), addressFrom(config.trustedProxies))
  const shared = { metrics, admit, isOverloaded: load.isOver }
  const authorizations = config.auth === 'off' ? undefined : work.authorizations
  const endpoints = new Endpoints(site, async (each) => {
    const authorization = await authorizations?.of(each)
    const known = authorization && knownBy(authorization)
    return fhirOf(config, each, log, shared, {
      ...known,
      ...(identify && { identify: (request) => identify(request, each) }),
    })
  })
  const fhir = (await endpoints.open(defaultTenant))!
  const app = express()
  app.disable('x-powered-by')
  app.set('etag', false)
  if (basePath !== '') app.use(basePath, fhir)
  app.use(helmet())
  app.get('/health', async (_request, response) => {
    const problem = await site.database.health()
    response.status(problem === undefined ? 200 : 503).json({ status: problem ?? 'ok' })
  })
  app.get('/metrics', metricsPage(metrics, config))
  app.get('/', (_request, response) => {
    response.type('html').send(frontPage(baseUrl))
  })
  app.use((_request, response) => {
    response.status(404).type('text').send(`There is nothing here. The FHIR base is ${baseUrl}\n`)
  })
  // Express's own page for errors shows the stack.
  const failed: ErrorRequestHandler = (error: unknown, _request, response, next) => {
    log.error({ err: error }, 'a page met an error of the server')
    if (response.headersSent) next(error)
    else response.status(500).type('text').send('The server failed; its log has the reason.\n')
  }
  app.use(failed)
  const hosts = new Set(baseUrls.map((url) => new URL(url).host))
  const oauth = authorizations && {
    path: new URL(issuerOf(world)).pathname,
    answer: answering(authorizations, admit, app),
  }
  return dispatch({ fhir, endpoints, app, basePath, tenantPath: `${basePath.replace(/\/fhir$/, '')}/t/`, hosts, oauth })
}

const knownBy = (authorization: AuthorizationServer): Known => ({
  identify: (request) => authorization.verifier.identify(request),
  allowsOrigin: (origin) => authorization.clients.hasOrigin(origin),
  security: authorization.security(),
})

type AnswerOf = (tenant: string, part: 'oauth' | 'smart-configuration') => Handle

/** The authorization server of a tenant; one that is not there is a page that is not there. */
function answering(authorizations: Authorizations, admit: Service['admit'], app: Handle): AnswerOf {
  return (tenant, part) => (request, response) => {
    const answer = async () => {
      admit(undefined, request)
      const authorization = await authorizations.open(tenant)
      if (!authorization) app(request, response)
      else if (part === 'oauth') await authorization.answer(request, response)
      else sendOpen(request, response, authorization.smartConfiguration())
    }
    answer().catch((error: unknown) => {
      if (error instanceof FhirError && !response.headersSent)
        sendJson(response, error.status, { error: 'temporarily_unavailable' }, error.options.headers)
      else answerStarting(request, response)
    })
  }
}

const ratesOf = ({ rateLimit, rateLimitPatient, rateLimitAddress }: Config): Rates => ({
  client: rateLimit,
  patient: rateLimitPatient,
  address: rateLimitAddress,
})

type Doors = {
  fhir: FhirHandler
  endpoints: Endpoints
  app: Handle
  basePath: string
  /** Below it lie the endpoints of the other tenants. */
  tenantPath: string
  /** Names the server may be called by. */
  hosts: ReadonlySet<string>
  /** The default tenant's authorization server is at `path`. */
  oauth: { path: string; answer: AnswerOf } | undefined
}

const smartConfigurationPath = '/.well-known/smart-configuration'

const notFhir = /^\/(health|metrics)([/?]|$)/

function dispatch({ fhir, endpoints, app, basePath, tenantPath, hosts, oauth }: Doors): Handle {
  return (request, response) => {
    const { host } = request.headers
    // A page of a stranger could reach us by a name of its own that it points at our address. Probes of an
    // orchestrator call by the address of the container.
    if (host !== undefined && !hosts.has(host) && !hosts.has(host.toLowerCase()) && request.url !== '/health') {
      refuse(
        response,
        421,
        'The server answers only to localhost and to the host of BASE_URL; a proxy must pass Host on',
      )
      return
    }
    // A line without a version: what stands before us may take the headers after it for another request.
    if (request.httpVersionMajor === 0) {
      refuse(response, 400, 'The request is not HTTP')
      return
    }
    const url = originForm(request)
    if (oauth) {
      if (isBelow(oauth.path, url)) {
        oauth.answer(defaultTenant, 'oauth')(request, response)
        return
      }
      if (url.charCodeAt(basePath.length + 1) === 46 && pathOf(url) === basePath + smartConfigurationPath) {
        oauth.answer(defaultTenant, 'smart-configuration')(request, response)
        return
      }
    }
    // Before the default tenant's: its FHIR base may be the root of all.
    if (url.startsWith(tenantPath)) toTenant({ endpoints, tenantPath, app, oauth }, request, response)
    else if (isBelow(basePath, url) && !(basePath === '' && notFhir.test(url))) fhir(request, response)
    else app(request, response)
  }
}

const pathOf = (url: string): string => url.split('?', 1)[0]!

/** A tenant that is not there is a page that is not there. */
function toTenant(
  { endpoints, tenantPath, app, oauth }: Pick<Doors, 'endpoints' | 'tenantPath' | 'app' | 'oauth'>,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const [, tenant, part, rest] =
    /^([a-z0-9-]{1,63})\/(fhir|oauth)(?=$|[/?])([^?]*)/.exec(request.url!.slice(tenantPath.length)) ?? []
  // The default tenant has one address, and that is another one.
  if (tenant === undefined || tenant === defaultTenant) {
    app(request, response)
    return
  }
  if (part === 'oauth' || (oauth && rest === smartConfigurationPath)) {
    const asked = part === 'oauth' ? 'oauth' : 'smart-configuration'
    if (oauth) oauth.answer(tenant, asked)(request, response)
    else app(request, response)
    return
  }
  const fhir = endpoints.find(tenant)
  if (fhir) fhir(request, response)
  else
    endpoints.open(tenant).then(
      (opened) => (opened ?? app)(request, response),
      () => answerStarting(request, response),
    )
}

/** A request line may also name the whole URL, or `*`: https://datatracker.ietf.org/doc/html/rfc9112#section-3.2 */
function originForm(request: IncomingMessage): string {
  const url = request.url ?? '/'
  if (url.charCodeAt(0) === 47) return url
  const absolute = URL.canParse(url) ? new URL(url) : undefined
  request.url = absolute ? absolute.pathname + absolute.search : '/'
  return request.url
}

/** The port is open before the store is. */
function answerStarting(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(503, { 'Content-Type': 'application/fhir+json; charset=utf-8', 'Retry-After': '1' })
  response.end(outcomeOf('The server is starting'))
}

function refuse(response: ServerResponse, status: number, diagnostics: string): void {
  response.writeHead(status, { 'Content-Type': 'application/fhir+json; charset=utf-8', Connection: 'close' })
  response.end(outcomeOf(diagnostics))
}
