/**
 * The authorization servers of a site: one for each tenant, opened when it is first asked for.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/
 */
import type { Logger } from 'pino'
import {
  affiliationOf,
  type Look,
  OutboundFailed,
  OutboundRefused,
  securityEvent,
  server,
  standingOf,
} from './access/index.js'
import type { Config } from './config.js'
import { FhirError, parseJson, type Ref, type Resource } from './fhir/index.js'
import { read, search } from './interactions/index.js'
import { readParameters } from './search/index.js'
import { defaultTenant, type Site, type World } from './site.js'
import {
  type Accounts,
  AuthorizationServer,
  type SignInPages,
  type SmartContext,
  type SmartEvent,
  type Standing,
} from './smart/index.js'

/** Who has an account, and the pages where they sign in. */
export type Identities = { accounts: Accounts; people(authorization: AuthorizationServer): SignInPages }

/** Opens the identities of a tenant; undefined where nobody has an account. */
export type OpenIdentities = (world: World, issuer: string) => Promise<Identities>

type Options = { config: Config; site: Site; log: Logger; identities?: OpenIdentities | undefined }

export class Authorizations {
  private readonly opened = new Map<string, Promise<AuthorizationServer>>()

  constructor(private readonly options: Options) {}

  /** undefined when there is no such tenant. */
  async open(tenant: string): Promise<AuthorizationServer | undefined> {
    const world = await this.options.site.world(tenant)
    return world && this.of(world)
  }

  of(world: World): Promise<AuthorizationServer> {
    const { tenant } = world
    const opening = this.opened.get(tenant) ?? openAuthorization(world, this.options)
    this.opened.set(tenant, opening)
    opening.catch(() => this.opened.delete(tenant))
    return opening
  }
}

/** `https://hospital.example/oauth` beside `https://hospital.example/fhir`. */
export const issuerOf = ({ baseUrls }: Pick<World, 'baseUrls'>): string =>
  `${baseUrls[0]!.replace(/\/fhir$/, '')}/oauth`

/** Of one tenant: also what the command line works on. */
export async function openAuthorization(
  world: World,
  { config, site, log, identities }: Options,
): Promise<AuthorizationServer> {
  const { tenant, context } = world
  const issuer = issuerOf(world)
  const own = await identities?.(world, issuer)
  const title = (await site.tenants()).find(({ name }) => name === tenant)?.title ?? tenant
  const smart: SmartContext = {
    tenant,
    issuer,
    baseUrls: world.baseUrls,
    secrets: context.store.secrets,
    accounts: own?.accounts ?? { bySubject: async () => undefined },
    clock: context.clock,
    contextOf: world.contextOf,
    standing: (user, organizations) => standing(world, user, organizations),
    call: async ({ url, headers = {} }) => {
      try {
        return await site.outbound({ url, headers })
      } catch (error) {
        // Said so that a client can be refused for it; where we may not go is no error of ours.
        if (error instanceof OutboundRefused || error instanceof OutboundFailed)
          return { status: 502, headers: {}, body: Buffer.from('{}') }
        throw error
      }
    },
    settings: {
      title: title === defaultTenant ? new URL(world.baseUrls[0]!).host : title,
      ...(config.masterKey && { masterKey: config.masterKey }),
      development: process.env['NODE_ENV'] !== 'production',
      ...externalOf(config, tenant),
    },
    record: (event) => record(world, event),
    report: (error) => log.error({ err: error }, 'the authorization server met an error of its own'),
  }
  const authorization = new AuthorizationServer(smart)
  return own ? authorization.with(own.people(authorization)) : authorization
}

function externalOf(config: Config, tenant: string): Pick<SmartContext['settings'], 'external'> {
  const { externalIssuer, externalAudience, externalJwksUri, externalClaims, externalRoles } = config
  // An issuer names people of one hospital; nothing it says may open another tenant.
  if (externalIssuer === undefined || tenant !== defaultTenant) return {}
  const { fhirUser = 'fhirUser', role = 'roles', organizations = 'organizations', scope = 'scope' } = externalClaims
  return {
    external: {
      issuer: externalIssuer,
      ...(externalAudience !== '' && { audience: externalAudience }),
      ...(externalJwksUri !== undefined && { jwksUri: externalJwksUri }),
      claims: { fhirUser, role, organizations, scope },
      roles: externalRoles,
    },
  }
}

const organizationsMax = 100

async function standing(world: World, user: Ref | undefined, organizations: readonly string[]): Promise<Standing> {
  const look = lookOf(world)
  const given = await affiliationOf(look, organizations.slice(0, organizationsMax))
  const found = user && (await standingOf(look, user, world.context.clock()))
  const all = [...new Set([...given.organizations, ...(found?.organizations ?? [])])]
  const hospitals = [...new Set([...given.hospitals, ...(found?.hospitals ?? [])])]
  // Who works for several hospitals says which with the organisations of the account.
  const custodian = given.hospitals.length === 1 ? given.hospitals[0] : found?.custodian
  return {
    organizations: all,
    hospitals,
    ...(custodian !== undefined && { custodian }),
    ...(found?.aliases.length && { aliases: found.aliases }),
  }
}

/** The server looks things up for itself: who it is for is not known yet. */
function lookOf({ tenant, contextOf }: World): Look {
  const context = contextOf(server(tenant, 'who somebody is'))
  const found = async (ref: Ref): Promise<Resource | 'deleted' | undefined> => {
    try {
      const { body } = await read(context, ref)
      return parseJson(body) as Resource
    } catch (error) {
      if (!(error instanceof FhirError)) throw error
      if (error.status === 404) return undefined
      if (error.status === 410) return 'deleted'
      throw error
    }
  }
  return {
    read: async (ref) => {
      const resource = await found(ref)
      return resource === 'deleted' ? undefined : resource
    },
    wasDeleted: async (ref) => (await found(ref)) === 'deleted',
    search: async (type, query) => {
      const { found } = await search(context, { types: [type], parameters: readParameters(query) })
      return found.matches.map(({ stored }) => parseJson(stored.body) as Resource)
    },
  }
}

const kinds = {
  authorize: 'authorization-decision',
  token: 'token-issued',
  refresh: 'token-refreshed',
  refuse: 'client-authentication',
  reuse: 'token-reused',
  revoke: 'token-revoked',
  register: 'client-changed',
  'rotate-keys': 'keys-changed',
} as const satisfies Record<SmartEvent['action'], Parameters<typeof securityEvent>[0]['kind']>

async function record({ context, tenant }: World, event: SmartEvent): Promise<void> {
  if (!context.settings.audit) return
  const { action, outcome, subject, user, role, client, why, token, patient } = event
  const entry = securityEvent(
    {
      kind: kinds[action],
      outcome: outcome === 'success' ? 0 : 4,
      ...(why !== undefined && { why }),
      person: {
        ...(subject !== undefined && { subject }),
        ...(user && { user }),
        ...(role !== undefined && { role }),
        ...(client !== undefined && { client }),
      },
      ...(token !== undefined && { token: { id: token, issuer: tenant } }),
      ...(patient !== undefined && { patients: [patient] }),
    },
    { at: context.clock() },
  )
  await context.store.audit.append([entry])
}

/** Whether a URL is at a path or below it. */
export function isBelow(path: string, url: string): boolean {
  const after = url.charCodeAt(path.length)
  return url.startsWith(path) && (Number.isNaN(after) || after === 47 || after === 63)
}
