/**
 * A site: its database, and a world for each tenant in it.
 *
 * https://hl7.org/fhir/R4/http.html#root
 *
 * The default tenant is at the base URL (`/fhir`), any other at `/t/{tenant}/fhir` beside it. A world is opened when it
 * is first asked for: search parameters, value sets and keys are a tenant's own.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Logger } from 'pino'
import { anyone, type Caller, type Outbound, outboundHttp, server, viewsOf } from './access/index.js'
import type { Config } from './config.js'
import { builtIn } from './fhir/index.js'
import {
  type Context,
  Definitions,
  type DefinitionsContext,
  type LoadCanonical,
  loadCanonical,
  type Origin,
  profileRules,
  profilesInForce,
  viewed,
} from './interactions/index.js'
import { type Database, openMongo, openSqlite, type Store } from './store/index.js'
import { createTerminology, externalTerminology } from './terminology/index.js'

export const defaultTenant = 'default'

/** What can be replaced in tests. */
export type Wiring = {
  log?: Logger
  clock?: () => number
  newId?: () => string
  outbound?: Outbound
  /** Who asks, in the place of sign-in and tokens. */
  identify?: (request: IncomingMessage, world: World) => Caller | Promise<Caller>
}

/** One tenant: also what the command line works on. `contextOf` gives a caller's context, which goes with the time. */
export type World = {
  tenant: string
  /** First the one that links are written with. */
  baseUrls: readonly string[]
  /** Of the server's own work. */
  context: Context
  contextOf(caller: Caller): Context
  /** The context of one request, as of now. */
  contextOfRequest(caller: Caller, origin: Origin | undefined): Context
}

export type Site = {
  database: Database
  /** How the server calls others. */
  outbound: Outbound
  /** undefined when there is no such tenant. */
  world(tenant: string): Promise<World | undefined>
  tenants(): Promise<Tenant[]>
  /** Whether it was made: the name was free. */
  addTenant(tenant: Tenant): Promise<boolean>
  close(): Promise<void>
}

/** `name` is the part of the URL, `title` what people call it. */
export type Tenant = { name: string; title: string }

/** Tenants are named in URLs, in lower case so that no two differ in case only. */
export const isTenantName = (name: string): boolean => /^[a-z0-9][a-z0-9-]{0,62}$/.test(name)

const openDatabase = (config: Config, { clock, log }: Wiring): Promise<Database> => {
  const { store, includesMax, storeTimeoutMs: timeLimitMs } = config
  const options = { includesMax, ...(clock && { clock }) }
  const say = (sentence: string) => log?.info(sentence)
  return store.kind === 'mongodb'
    ? openMongo(store.url, { ...options, timeLimitMs, say })
    : openSqlite(store.path, options)
}

/** `port` is the one that is listened on, where the settings leave it open. */
export async function openSite(config: Config, wiring: Wiring & { port?: number } = {}): Promise<Site> {
  const database = await openDatabase(config, wiring)
  const worlds = new Map<string, Promise<Opened | undefined>>()
  const known = async (tenant: string) =>
    tenant === defaultTenant || (isTenantName(tenant) && (await database.secrets.get(keyOf(tenant))) !== undefined)
  const site: Site = {
    database,
    outbound: wiring.outbound ?? outboundHttp({ allowed: config.outboundAllow }),
    world: async (tenant) => {
      let opening = worlds.get(tenant)
      if (!opening) {
        if (!(await known(tenant))) return undefined
        opening =
          worlds.get(tenant) ??
          openWorld(config, database.tenant(tenant), tenant, { ...wiring, outbound: site.outbound })
        worlds.set(tenant, opening)
        opening.catch(() => worlds.delete(tenant))
      }
      return (await opening)?.world
    },
    tenants: async () => {
      const rows = await database.secrets.list('tenant/', 10_000)
      const others = rows.map(([key, title]) => ({ name: key.slice('tenant/'.length), title }))
      return [{ name: defaultTenant, title: defaultTenant }, ...others]
    },
    addTenant: async ({ name, title }) =>
      name !== defaultTenant && isTenantName(name) && database.secrets.swap(keyOf(name), undefined, title),
    close: async () => {
      for (const opening of worlds.values()) await opening.then((opened) => opened?.definitions.close()).catch(() => {})
      await database.close()
    },
  }
  try {
    await site.world(defaultTenant)
    return site
  } catch (error) {
    await site.close()
    throw error
  }
}

const keyOf = (tenant: string): string => `tenant/${tenant}`

type Opened = { world: World; definitions: Definitions }

async function openWorld(
  config: Config,
  store: Store,
  tenant: string,
  {
    log,
    clock,
    newId: makeId = randomUUID,
    port = config.port,
    outbound,
  }: Wiring & { port?: number; outbound: Outbound },
): Promise<Opened> {
  const own = server(tenant, 'definitions')
  const baseUrls = baseUrlsOf(config, port, tenant)
  const stored = loadCanonical({ caller: own, store })
  const load: LoadCanonical = async (canonical, type) => (await stored(canonical, type)) ?? builtIn(canonical, type)
  const terminology = createTerminology(
    load,
    config.terminologyServer === undefined
      ? undefined
      : externalTerminology(config.terminologyServer, (url) =>
          outbound({ url, headers: { Accept: 'application/fhir+json' } }),
        ),
  )
  const context: DefinitionsContext = {
    caller: own,
    store,
    rules: [],
    terminology,
    profiles: profilesInForce(load, terminology, { shared: config.store.kind === 'mongodb' }),
    clock: clock ?? Date.now,
    newId: makeId,
    baseUrls,
    settings: { ...config, sealingKey: await sealingKeyOf(store) },
    report: (error) => log?.error({ err: error }, 'the server met an error of its own; what it belongs to goes on'),
  }
  const definitions = await Definitions.open(context, { shared: config.store.kind === 'mongodb' })
  const rules = [definitions.rule, ...profileRules(config.profiles)]
  const { profiles, newId, settings, report } = context
  // Made for every request: to copy what another has would take as long as a tenth of a read.
  const contextOfRequest = (caller: Caller, origin: Origin | undefined): Context => ({
    caller,
    store: viewed(definitions.store, viewsOf(caller)),
    rules,
    searchParams: definitions.current,
    terminology,
    profiles,
    clock: context.clock,
    newId,
    baseUrls,
    settings,
    origin,
    report,
  })
  const contextOf = (caller: Caller): Context => ({
    ...context,
    caller,
    store: viewed(definitions.store, viewsOf(caller)),
    rules,
    // Looked up with each request: uploaded parameters come and go.
    get searchParams() {
      return definitions.current
    },
  })
  return {
    world: { tenant, baseUrls, context: contextOf(config.auth === 'off' ? anyone : own), contextOf, contextOfRequest },
    definitions,
  }
}

/** The first is the one links are written with; the others are understood in references. */
function baseUrlsOf({ baseUrl, tlsCert }: Config, port: number, tenant: string): string[] {
  const scheme = tlsCert === '' ? 'http' : 'https'
  const local = ['localhost', '127.0.0.1', '[::1]'].map((host) => `${scheme}://${host}:${port}/fhir`)
  const all = [...new Set(baseUrl === undefined ? local : [baseUrl, ...local])]
  return tenant === defaultTenant ? all : all.map((url) => `${url.replace(/\/fhir$/, '')}/t/${tenant}/fhir`)
}

/** The key that seals page links outlives the process, so that a client can turn the page after a restart. */
async function sealingKeyOf({ secrets }: Store): Promise<Uint8Array> {
  const name = 'sealing-key'
  await secrets.swap(name, undefined, randomBytes(32).toString('base64url'))
  return Buffer.from((await secrets.get(name))!, 'base64url')
}
