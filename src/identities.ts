/**
 * The people of a tenant, put together with its authorization server: settings, delivery, audit log, granted apps.
 *
 * docs/api/sign-in.md
 */
import { randomUUID } from 'node:crypto'
import type { Logger } from 'pino'
import { addressFrom, type Outbound, securityEvent, server } from './access/index.js'
import type { Identities, OpenIdentities } from './authorization.js'
import type { Config } from './config.js'
import { FhirError, parseJson, type Ref } from './fhir/index.js'
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
  type PeopleOfTenant,
  people,
  type Send,
  smtpDelivery,
  webhookDelivery,
} from './smart/index.js'

export type IdentitiesOptions = { config: Config; site: Site; log: Logger; deliver?: Deliver }

/** Of a tenant; also what the command line works on. */
export type OpenPeople = (world: World, issuer: string) => Promise<Identities & { own: PeopleOfTenant }>

export function identities(options: IdentitiesOptions): OpenPeople & OpenIdentities {
  const { config, site, log } = options
  // One list and one way out for all tenants.
  const isBreached = breached(config.breachedPasswords || undefined)
  const deliver = options.deliver ?? deliveryOf(config, site.outbound)
  const addressOf = addressFrom(config.trustedProxies)
  return async (world, issuer) => {
    const { context, tenant } = world
    let authorization: AuthorizationServer | undefined
    const title = (await site.tenants()).find(({ name }) => name === tenant)?.title ?? tenant
    const own = await people({
      secrets: context.store.secrets,
      tenant,
      site: title === defaultTenant ? new URL(world.baseUrls[0]!).host : title,
      url: issuer,
      deliver,
      breached: await isBreached,
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
        if (context.settings.audit)
          await context.store.audit.append([securityEvent(event, { at: context.clock(), origin })])
      },
      originOf: (request) => ({ id: requestIdOf(request) ?? randomUUID(), address: addressOf(request) }),
      nameOf: (organization) => nameOf(world, { type: 'Organization', id: organization }),
      makeUser: (name) => makeUser(world, name),
      report: (error, reference) => log.error({ err: error, reference }, 'sign-in met an error of the server'),
    })
    return {
      own,
      accounts: own,
      people: (server) => {
        authorization = server
        return {
          logins: own,
          isOnline: own.isOnline,
          pages: own.pages,
          answer: (request, response) => own.handle(request, response),
        }
      },
    }
  }
}

export function deliveryOf({ mail, sms, mailFrom, deliveryKey }: Config, outbound: Outbound): Deliver {
  const send: Send = (url, body, headers) => outbound({ url, method: 'POST', headers, body })
  const way = (setting: string): Deliver | undefined => {
    if (setting === 'off') return undefined
    if (setting === 'console') return consoleDelivery()
    if (setting.startsWith('https:')) return webhookDelivery({ url: setting, key: deliveryKey, send })
    return smtpDelivery(setting, mailFrom)
  }
  const [email, text] = [way(mail), way(sms)]
  return deliveryBy({ ...(email && { email }), ...(text && { sms: text }) })
}

function appsOf(authorization: () => AuthorizationServer | undefined): Apps {
  return {
    list: async (subject) => {
      const server = authorization()
      const grants = (await server?.grants.list(subject)) ?? []
      return Promise.all(
        grants.map(async ({ id, client, scope, since }) => ({
          id,
          name: (await server?.clients.active(client))?.name ?? client,
          since,
          scopes: scope.split(' '),
        })),
      )
    },
    revoke: async (subject, app) => {
      const grants = authorization()?.grants
      const grant = await grants?.find(app)
      if (grant?.subject === subject) await grants?.revoke(app)
    },
    revokeAll: async (subject) => {
      await authorization()?.grants.revokeAll(subject)
    },
    sessionEnded: async ({ session, subject }) => {
      const grants = authorization()?.grants
      for (const { id, signedIn, scope } of (await grants?.list(subject)) ?? [])
        if (signedIn.session === session && !scope.split(' ').includes('offline_access')) await grants?.revoke(id)
    },
  }
}

async function nameOf({ tenant, contextOf }: World, ref: Ref): Promise<string | undefined> {
  try {
    const { body } = await read(contextOf(server(tenant, 'name of a hospital')), ref)
    const { name } = parseJson(body) as { name?: string }
    return name
  } catch (error) {
    if (error instanceof FhirError && (error.status === 404 || error.status === 410)) return undefined
    throw error
  }
}

/** The first administrator is somebody before there is anybody to record them. */
async function makeUser({ tenant, contextOf }: World, name: string): Promise<Ref> {
  const context = contextOf(server(tenant, 'first administrator'))
  const { stored } = await create(context, { resourceType: 'Practitioner', active: true, name: [{ text: name }] })
  return { type: 'Practitioner', id: stored.id }
}
