/**
 * The people of each tenant, as the settings want them: how messages reach them, how long they stay signed in.
 *
 * docs/api/sign-in.md
 */
import { randomUUID } from 'node:crypto'
import type { Logger } from 'pino'
import { addressFrom, type Outbound, securityEvent, server } from './access/index.js'
import { type Identities, issuerOf, type OpenIdentities } from './authorization.js'
import type { Config } from './config.js'
import { parseJson, type Ref, type Resource } from './fhir/index.js'
import { create, read } from './interactions/index.js'
import { requestIdOf } from './rest/index.js'
import { defaultTenant, type Site, type World } from './site.js'
import {
  type Apps,
  type AuthorizationServer,
  breached,
  consoleDelivery,
  type Deliver,
  deliveryBy,
  type Granted,
  PatientChoice,
  type People,
  type PeopleOptions,
  patientsShown,
  people,
  type SignInPages,
  smtpDelivery,
  webhookDelivery,
} from './smart/index.js'

/** Of a whole site; a tenant's people are opened when they are first asked for. */
export class Directory {
  private readonly opened = new Map<string, Promise<Opened>>()
  private readonly breached: Promise<PeopleOptions['breached']>
  private readonly deliver: Deliver

  constructor(private readonly options: { config: Config; site: Site; log: Logger }) {
    this.breached = breached(options.config.breachedPasswords || undefined)
    // Whoever asks first is told.
    this.breached.catch(() => {})
    this.deliver = deliveryOf(options.config, options.site.outbound)
  }

  async of(world: World): Promise<People> {
    return (await this.open(world)).people
  }

  /** For the authorization servers. */
  readonly identities: OpenIdentities = async (world) => {
    const { people, connect } = await this.open(world)
    return {
      accounts: people,
      people: (authorization) => {
        connect(authorization)
        return pagesOf(people)
      },
    } satisfies Identities
  }

  private open(world: World): Promise<Opened> {
    const { tenant } = world
    const opening = this.opened.get(tenant) ?? this.openWorld(world)
    this.opened.set(tenant, opening)
    opening.catch(() => this.opened.delete(tenant))
    return opening
  }

  private async openWorld(world: World): Promise<Opened> {
    const { config, site, log } = this.options
    const { tenant, context } = world
    const addressOf = addressFrom(config.trustedProxies)
    const title = (await site.tenants()).find(({ name }) => name === tenant)?.title ?? tenant
    let authorization: AuthorizationServer | undefined
    const opened = await people({
      secrets: context.store.secrets,
      tenant,
      site: tenant === defaultTenant && title === tenant ? new URL(world.baseUrls[0]!).host : title,
      url: issuerOf(world),
      deliver: this.deliver,
      breached: await this.breached,
      peppers: config.peppers,
      masterKey: config.masterKey,
      sessions: {
        staffIdleMs: config.sessionIdleMs,
        patientIdleMs: config.sessionIdlePatientMs,
        maxMs: config.sessionMaxMs,
      },
      zone: config.zone,
      clock: context.clock,
      apps: appsOf(() => authorization),
      record: async (event, origin) => {
        if (config.audit) await context.store.audit.append([securityEvent(event, { at: context.clock(), origin })])
      },
      originOf: (request) => ({ id: requestIdOf(request) ?? randomUUID(), address: addressOf(request) }),
      nameOf: (organization) => nameOf(world, { type: 'Organization', id: organization }),
      makeUser: (name) => practitionerOf(world, name),
      report: (error, reference) => log.error({ err: error, reference }, 'signing in met an error of the server'),
    })
    return {
      people: opened,
      connect: (connected) => {
        authorization = connected
      },
    }
  }
}

type Opened = { people: People; connect(authorization: AuthorizationServer): void }

function deliveryOf(config: Config, outbound: Outbound): Deliver {
  const by = (value: string): Deliver | undefined => {
    if (value === 'none') return undefined
    if (value === 'console') return consoleDelivery()
    if (value.startsWith('smtp')) return smtpDelivery(value, config.mailFrom)
    return webhookDelivery({
      url: value,
      key: config.webhookKey,
      send: (url, body, headers) => outbound({ url, method: 'POST', body, headers }),
    })
  }
  const email = by(config.mail)
  const sms = by(config.sms)
  return deliveryBy({ ...(email && { email }), ...(sms && { sms }) })
}

/** The apps a person allowed are the authorization server's. */
const appsOf = (authorization: () => AuthorizationServer | undefined): Apps => ({
  list: async (subject) => {
    const smart = authorization()
    if (!smart) return []
    const byClient = new Map<string, Granted>()
    // Newest first: an app that was allowed several times is shown with what it was allowed last.
    for (const grant of await smart.grants.list(subject))
      if (!byClient.has(grant.client)) byClient.set(grant.client, grant)
    const grants = [...byClient.values()]
    const names = await patientNames(smart, subject, grants)
    return Promise.all(
      grants.map(async ({ client, scope, since, context: { patient } }) => ({
        id: client,
        name: (await smart.clients.find(client))?.name ?? client,
        since,
        scopes: scope.split(' ').filter(Boolean),
        ...(patient !== undefined && { patient: names.get(patient) ?? '–' }),
      })),
    )
  },
  revoke: async (subject, client) => void (await authorization()?.grants.revokeAll(subject, client)),
  revokeAll: async (subject) => void (await authorization()?.grants.revokeAll(subject)),
  sessionEnded: async ({ session, subject }) => {
    const smart = authorization()
    if (!smart) return
    // What was allowed for when the person is away stays until it is taken back.
    for (const { id, signedIn, scope } of await smart.grants.list(subject))
      if (signedIn.session === session && !scope.split(' ').includes('offline_access')) await smart.grants.revoke(id)
  },
})

/** Names as far as the person may still see them. */
async function patientNames(
  { context }: AuthorizationServer,
  subject: string,
  grants: readonly Granted[],
): Promise<ReadonlyMap<string, string>> {
  const ids = [...new Set(grants.flatMap(({ context: { patient } }) => patient ?? []))].slice(0, patientsShown)
  const account = await context.accounts.bySubject(subject)
  const [newest] = grants
  if (ids.length === 0 || !account || !newest) return new Map()
  const choice = await PatientChoice.of(context, account, { ...newest.signedIn, subject })
  return new Map((await choice.patients([['_id', ids.join(',')]])).map(({ id, name }) => [id, name]))
}

const pagesOf = (opened: People): SignInPages => ({
  logins: opened,
  isOnline: opened.isOnline,
  pages: opened.pages,
  answer: (request, response) => opened.handle(request, response),
})

async function nameOf({ tenant, contextOf }: World, ref: Ref): Promise<string | undefined> {
  const { body } = await read(contextOf(server(tenant, 'name of a hospital')), ref)
  const name = (parseJson(body) as Resource)['name']
  return typeof name === 'string' ? name : undefined
}

/** The first administrator has no record yet, and a token names a person who can be read. */
async function practitionerOf({ tenant, contextOf }: World, name: string): Promise<Ref> {
  const { stored } = await create(contextOf(server(tenant, 'first administrator')), {
    resourceType: 'Practitioner',
    name: [{ text: name }],
  })
  return { type: stored.type, id: stored.id }
}
