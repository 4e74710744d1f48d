/**
 * Composition: opens the store, wires everything together, and listens.
 *
 * FHIR requests reach their handler before Express's router does, because the router costs several reads; everything
 * else (pages, health, metrics) is Express's. The handler is mounted in Express as well.
 */
import { readFileSync } from 'node:fs'
import { createServer, type Server as HttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import express from 'express'
import helmet from 'helmet'
import { type Logger, pino } from 'pino'
import { anyone } from './access/index.js'
import type { Config } from './config.js'
import { instant, operationOutcome, writeJson } from './fhir/index.js'
import { opened, watch } from './opening.js'
import { operations } from './operations/index.js'
import { type FhirHandler, fhirHandler, frontPage, type Metrics, requestMetrics } from './rest/index.js'
import { defaultTenant, openSite, type Site, type Wiring, type World } from './site.js'

export const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string
}

export type Server = {
  /** The FHIR base that links are written with. */
  baseUrl: string
  /** Where it listens, without a path. */
  origin: string
  /** Stops accepting, lets running requests end, closes the store. */
  close(): Promise<void>
}

export async function startServer(config: Config, wiring: Wiring = {}): Promise<Server> {
  const log = wiring.log ?? pino({ level: config.logLevel, base: null })
  let handle: Handle = answerStarting
  const server = createServer(
    // Longer heads than Node's 16 kB, so that a URL that is too long is told so by us.
    { maxHeaderSize: 96 * 1024, requestTimeout: config.requestTimeoutMs, keepAliveTimeout: config.keepAliveTimeoutMs },
    (request, response) => handle(request, response),
  )
  server.headersTimeout = Math.min(60_000, config.requestTimeoutMs)
  server.on('clientError', answerClientError)
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
    handle = await handleOf(config, site, log)
    const unwatch = watch(() => site.database.health(), log)
    return {
      baseUrl: (await site.world(defaultTenant))!.baseUrls[0]!,
      origin: `http://${config.host.includes(':') ? `[${config.host}]` : config.host}:${port}`,
      close: async () => {
        await closed(server, config.closeTimeoutMs)
        unwatch()
        await site.close()
        log.flush()
      },
    }
  } catch (error) {
    server.close()
    throw error
  }
}

/** Lets running requests end, but not for ever. */
async function closed(server: HttpServer, timeoutMs: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const impatience = setTimeout(() => server.closeAllConnections(), timeoutMs)
    // A connection whose request has just ended would stay open for the next one.
    const tidying = setInterval(() => server.closeIdleConnections(), 20)
    server.close(() => {
      clearTimeout(impatience)
      clearInterval(tidying)
      resolve()
    })
  })
}

type Handle = (request: IncomingMessage, response: ServerResponse) => void

/** The FHIR endpoint of a world, also for an Express application of one's own: `app.use(path, fhirOf(...))`. */
export function fhirOf(config: Config, world: World, log: Logger, metrics?: Metrics): FhirHandler {
  const isDebug = log.isLevelEnabled('debug')
  const open = world.contextOf(anyone)
  return fhirHandler(
    {
      identify: () => anyone,
      context: (caller) => (caller === anyone ? open : world.contextOf(caller)),
      operations,
      software: { name: 'hospitallink', version },
      started: instant(open.clock()),
      limits: config,
      compress: config.compress,
      corsOrigins: config.corsOrigins,
      report: (error, reference) => log.error({ err: error, reference }, 'a request met an error of the server'),
      observe: (done) => {
        metrics?.observe(done)
        if (isDebug) log.debug(done, 'answered')
      },
    },
    basePathOf(world),
  )
}

/** The path of the base URL without a final slash; empty where FHIR is at the root. */
const basePathOf = ({ baseUrls }: Pick<World, 'baseUrls'>): string => new URL(baseUrls[0]!).pathname.replace(/\/$/, '')

/** The FHIR endpoint of each tenant, opened when it is first asked for. */
export class Endpoints {
  private readonly opened = new Map<string, FhirHandler>()

  constructor(
    private readonly site: Site,
    private readonly endpoint: (world: World) => FhirHandler,
  ) {}

  /** What was opened already, without waiting. */
  find(tenant: string): FhirHandler | undefined {
    return this.opened.get(tenant)
  }

  async open(tenant: string): Promise<FhirHandler | undefined> {
    const world = await this.site.world(tenant)
    if (!world) return undefined
    const handler = this.opened.get(tenant) ?? this.endpoint(world)
    this.opened.set(tenant, handler)
    return handler
  }
}

async function handleOf(config: Config, site: Site, log: Logger): Promise<Handle> {
  const world = (await site.world(defaultTenant))!
  const { baseUrls } = world
  const baseUrl = baseUrls[0]!
  const basePath = basePathOf(world)
  const metrics = requestMetrics()
  const endpoints = new Endpoints(site, (each) => fhirOf(config, each, log, metrics))
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
  app.get('/metrics', async (_request, response) => {
    response.type(metrics.contentType).send(await metrics.text())
  })
  app.get('/', (_request, response) => {
    response.type('html').send(frontPage(baseUrl))
  })
  app.use((_request, response) => {
    response.status(404).type('text').send(`There is nothing here. The FHIR base is ${baseUrl}\n`)
  })
  const hosts = config.auth === 'off' ? new Set(baseUrls.map((url) => new URL(url).host)) : undefined
  return dispatch({ fhir, endpoints, app, basePath, tenantPath: `${basePath.replace(/\/fhir$/, '')}/t/`, hosts })
}

type Doors = {
  fhir: FhirHandler
  endpoints: Endpoints
  app: Handle
  basePath: string
  /** Below it lie the endpoints of the other tenants. */
  tenantPath: string
  /** Names the server may be called by; undefined for any. */
  hosts: ReadonlySet<string> | undefined
}

const notFhir = /^\/(health|metrics)([/?]|$)/

function dispatch({ fhir, endpoints, app, basePath, tenantPath, hosts }: Doors): Handle {
  return (request, response) => {
    const { host } = request.headers
    // Without sign-in a page of a stranger could reach us by a name of its own that it points at 127.0.0.1.
    if (hosts && host !== undefined && !hosts.has(host)) {
      refuseHost(response)
      return
    }
    const url = originForm(request)
    const after = url.charCodeAt(basePath.length)
    const isBelow = url.startsWith(basePath) && (Number.isNaN(after) || after === 47 || after === 63)
    if (isBelow && !(basePath === '' && notFhir.test(url))) fhir(request, response)
    else if (url.startsWith(tenantPath)) toTenant(endpoints, tenantPath, app, request, response)
    else app(request, response)
  }
}

/** A tenant that is not there is a page that is not there. */
function toTenant(
  endpoints: Endpoints,
  tenantPath: string,
  app: Handle,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const [, tenant] = /^([a-z0-9-]{1,63})\/fhir(?=$|[/?])/.exec(request.url!.slice(tenantPath.length)) ?? []
  if (tenant === undefined) {
    app(request, response)
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

const outcomeOf = (diagnostics: string): string =>
  writeJson(operationOutcome([{ severity: 'error', code: 'invalid', diagnostics }]))

/** The port is open before the store is. */
function answerStarting(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(503, { 'Content-Type': 'application/fhir+json; charset=utf-8', 'Retry-After': '1' })
  response.end(outcomeOf('The server is starting'))
}

function refuseHost(response: ServerResponse): void {
  response.writeHead(421, { 'Content-Type': 'application/fhir+json; charset=utf-8' })
  response.end(outcomeOf('While AUTH=off the server answers only to localhost and to the host of BASE_URL'))
}

const clientErrors: Record<string, [status: string, diagnostics: string]> = {
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'The URL and the headers together are too long'],
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'The request took too long to arrive'],
}

/** What is no HTTP never becomes a request; it is answered on the bare connection. */
function answerClientError(error: NodeJS.ErrnoException, socket: Socket & { _httpMessage?: unknown }): void {
  // An answer is on its way on this connection: ours would be read as a part of it.
  if (!socket.writable || socket._httpMessage || error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const [status, diagnostics] = clientErrors[error.code ?? ''] ?? ['400 Bad Request', 'The request is not HTTP']
  const body = outcomeOf(diagnostics)
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: application/fhir+json; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}
