/**
 * The people of a tenant: everything about accounts and sign-in behind one door.
 *
 * docs/api/sign-in.md
 */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Ref } from '../../fhir/index.js'
import type { Origin } from '../../interactions/index.js'
import type { Secrets } from '../../store/index.js'
import type { Account, Accounts, LoginPages } from '../account.js'
import { languageOf, type Pages, pages, translator, type Visit } from '../pages/index.js'
import {
  type AccountChange,
  type AccountStore,
  accountStore,
  type NewAccount,
  type Person,
  type StoredAccount,
} from './accounts.js'
import { api, apiNames } from './api.js'
import { attempts } from './attempts.js'
import { browserOf } from './browser.js'
import { type Contact, contactOf } from './contact.js'
import type { Deliver } from './delivery.js'
import { type InvitationPages, invitationPages } from './invitation-pages.js'
import { type Invitation, invitations } from './invitations.js'
import { fingerprint, keyed } from './keyed.js'
import { loginPages } from './login-pages.js'
import { oneTimeCodes } from './one-time-code.js'
import { type Apps, type OwnPages, ownPages } from './own-pages.js'
import { passwords } from './passwords.js'
import { type Granter, mayGrant, needsSecondFactor } from './ranks.js'
import { changed, type Recorder } from './record.js'
import { AccountRefused, SignInRefused } from './refused.js'
import { type Session, type SessionLimits, sessionLimits, sessions } from './sessions.js'
import { signIns } from './sign-in.js'

export type PeopleOptions = {
  secrets: Secrets
  tenant: string
  /** What people call the tenant. */
  site: string
  /** Where the pages lie, as people reach them, without a final slash: `https://hospital.example/auth`. */
  url: string
  deliver: Deliver
  breached(password: string): Promise<boolean>
  peppers?: readonly string[]
  /** 32 bytes that secrets of authenticator apps are sealed with. */
  masterKey?: Uint8Array | undefined
  sessions?: SessionLimits
  /** IANA time zone of dates on pages. */
  zone?: string
  clock?: () => number
  apps?: Apps
  /** What becomes of accounts, for the audit log; durable when resolved. */
  record?: Recorder
  /** The request's id, and the address it comes from behind whatever proxies are trusted. */
  originOf?(request: IncomingMessage): Origin
  /** Name of a hospital or ward, for who has several roles. */
  nameOf?(organization: string): Promise<string | undefined>
  makeUser?(name: string): Promise<Ref>
  needsSecondFactor?(role: string): boolean
  /** Told of errors nobody expected, with the reference that was answered. */
  report(error: unknown, reference: string): void
}

export type People = Accounts &
  LoginPages & {
    pages: Pages
    accounts: AccountStore
    /** Answers what lies below the pages' address; false when there is nothing of ours. */
    handle(request: IncomingMessage, response: ServerResponse): Promise<boolean>
    /** Who is signed in in this browser. */
    signedIn(request: IncomingMessage): Promise<{ session: Session; account: StoredAccount } | undefined>
    /** Whether a session goes on for an app that was allowed to work as long; asking is using it. */
    isOnline(session: string): Promise<boolean>
    signOutEverywhere(subject: string): Promise<void>
    /** @throws AccountRefused */
    create(account: Omit<NewAccount, 'password'> & { password?: string }, by?: Granter): Promise<StoredAccount>
    /** Rights end with this, also those of tokens that are out. @throws AccountRefused */
    change(subject: string, change: AccountChange, by?: Granter): Promise<StoredAccount>
    /** Sends a link for an account that is made when it is accepted. @throws AccountRefused */
    invite(invited: Omit<Extract<Invitation, { kind: 'account' }>, 'kind'>, by?: Granter): Promise<{ link: string }>
    /** A link to new credentials, for the administrator to hand over or send. @throws AccountRefused */
    renew(subject: string, by?: Granter): Promise<{ link: string }>
    /** A link that makes the first administrator; undefined when there is one. */
    firstAdministrator(): Promise<string | undefined>
  }

const noApps: Apps = {
  list: async () => [],
  revoke: async () => {},
  revokeAll: async () => {},
  sessionEnded: async () => {},
}

/** Nobody can tell by the time whether a message is on its way. */
const sendMs = 150

export async function people(options: PeopleOptions): Promise<People> {
  const { secrets, clock = Date.now, peppers = [], site, report } = options
  const record = options.record ?? (async () => {})
  const apps = options.apps ?? noApps
  const { pathname, protocol } = new URL(options.url)
  const base = pathname.replace(/\/$/, '')
  const keys = await keyed(secrets, options.masterKey)
  const accounts = accountStore(secrets, keys, clock)
  const own = sessions(secrets, clock, options.sessions ?? sessionLimits)
  const counts = attempts(secrets, clock)
  const hashing = passwords({ peppers, breached: options.breached })
  const view = pages({ tenant: options.tenant, site, base, secure: protocol === 'https:', key: keys.formKey })
  const browser = browserOf({
    cookies: view.cookies,
    sessions: own,
    accounts,
    clock,
    originOf: options.originOf ?? ((request) => ({ id: randomUUID(), address: request.socket.remoteAddress ?? '' })),
  })

  /** Not awaited: who asked must not wait for the mail server. */
  const send = (to: Contact, subject: string, text: string): void => {
    options.deliver({ to, subject, text }).catch((error) => report(error, randomUUID()))
  }
  const unhurried = signIns({
    secrets,
    keys,
    accounts,
    passwords: hashing,
    oneTime: oneTimeCodes(secrets, keys, counts, clock),
    attempts: counts,
    sessions: own,
    clock,
    needsSecondFactor: options.needsSecondFactor ?? needsSecondFactor,
    sendCodeTo: (person, contact, code) => {
      const t = translator(languageOf(person.language) ?? 'en')
      send(contact, t('messageCodeSubject'), t('messageCode', { code }))
    },
    record,
  })
  const steps = {
    ...unhurried,
    sendCode: steady(sendMs, unhurried.sendCode),
    code: steady(sendMs, unhurried.code),
  }
  const contactKey = (step: string): string => `people/asked/${fingerprint(step)}`
  const login = loginPages({
    pages: view,
    browser,
    signIns: steps,
    site,
    contacts: {
      put: (step, contact) => secrets.put(contactKey(step), keys.seal(JSON.stringify(contact)), clock() + 3_600_000),
      get: async (step) => {
        const sealed = await secrets.get(contactKey(step))
        return sealed === undefined ? undefined : (JSON.parse(keys.unseal(sealed)) as Contact)
      },
    },
    placeOf: async ([organization]) => (organization === undefined ? undefined : options.nameOf?.(organization)),
  })
  const ours = ownPages({
    pages: view,
    base,
    browser,
    sessions: own,
    accounts,
    login,
    apps,
    zone: options.zone ?? 'UTC',
    clock,
    record,
  })
  const made = invitations(secrets, clock)
  const acceptance = invitationPages({
    pages: view,
    base,
    secrets,
    accounts,
    passwords: hashing,
    invitations: made,
    clock,
    makeUser: options.makeUser ?? (async () => ({ type: 'Person', id: randomUUID() })),
    endAll: ours.endAll,
    record,
  })
  const routes = routesOf(ours, acceptance)
  const answerJson = api({ pages: view, browser, signIns: steps })
  const linkOf = async (invitation: Invitation): Promise<string> =>
    `${options.url}/invitation?token=${await made.make(invitation)}`

  return {
    pages: view,
    accounts,
    login: login.login,
    bySubject: async (subject) => {
      const stored = await accounts.bySubject(subject)
      return stored && accountOf(stored)
    },
    signedIn: (request) => browser.signedIn({ request }),
    isOnline: async (id) => {
      const session = await own.useByApp(id)
      const account = session && (await accounts.bySubject(session.subject))
      return account !== undefined && !account.disabled && account.revision === session?.revision
    },
    signOutEverywhere: async (subject) => {
      const account = await accounts.bySubject(subject)
      if (account) await ours.endAll(account.person)
    },
    create: async ({ password, ...wanted }, by = 'operator') => {
      const kept =
        password === undefined ? undefined : await hashing.make(password, [wanted.userName ?? '', wanted.name])
      const account = await accounts.create({ ...wanted, password: kept }, by)
      await record(changed('account-changed', 'created', by, account))
      return account
    },
    change: async (subject, wanted, by = 'operator') => {
      const account = await accounts.change(subject, wanted, by)
      for (const session of await own.ofPerson(account.person)) {
        if (session.subject !== subject) continue
        await own.end(session.id)
        await apps.sessionEnded({ session: session.id, subject })
      }
      await record(changed('roles-changed', wanted.disabled ? 'disabled' : 'changed', by, account))
      return account
    },
    invite: async (invited, by = 'operator') => {
      if (!mayGrant(by, invited)) throw new AccountRefused('role', 'the role is above your own')
      const contact = contactOf(invited.contact)
      if (!contact) throw new AccountRefused('contact', 'write an e-mail address, or a number that begins with +')
      const link = await linkOf({ kind: 'account', ...invited, contact: contact.to })
      const t = translator(languageOf(invited.language) ?? 'en')
      send(contact, t('messageInviteSubject'), t('messageInvite', { link }))
      await record(changed('account-changed', 'invited', by, invited))
      return { link }
    },
    renew: async (subject, by = 'operator') => {
      const account = await accounts.bySubject(subject)
      if (!account) throw new AccountRefused('absent', 'there is no such account')
      const all = await Promise.all(
        ((await accounts.person(account.person)) as Person).subjects.map(accounts.bySubject),
      )
      // New credentials open every role of the person, so that each must be one the administrator may grant.
      if (!all.every((each) => each === undefined || mayGrant(by, each)))
        throw new AccountRefused('role', 'the role is above your own')
      return { link: await linkOf({ kind: 'credentials', person: account.person, subject }) }
    },
    firstAdministrator: async () => ((await accounts.hasAdministrator()) ? undefined : linkOf({ kind: 'first' })),
    handle: async (request, response) => {
      const path = (request.url ?? '').split('?')[0]!
      if (!path.startsWith(`${base}/`)) return false
      if (view.asset(request, response)) return true
      const below = path.slice(base.length + 1)
      const named = apiNames.find((name) => below === `api/${name}`)
      const method = request.method === 'HEAD' ? 'GET' : request.method
      const route = routes.find(
        ({ at, to }) => to === method && (at === below || (at.endsWith('/*') && isBelow(below, at))),
      )
      if (!named && !route) return false
      try {
        if (named) await answerJson(named, request, response)
        else await route!.answer(view.visit(request, response), below)
      } catch (error) {
        fail(error, view, request, response, report)
      }
      return true
    },
  }
}

/** Without what is of no concern to the authorization server. */
const accountOf = ({ person: _, ...account }: StoredAccount): Account => account

/** Rejections, too, come no sooner. */
const steady =
  <A extends unknown[], R>(ms: number, work: (...given: A) => Promise<R>) =>
  async (...given: A): Promise<R> => {
    const [result] = await Promise.allSettled([work(...given), sleep(ms)])
    if (result.status === 'rejected') throw result.reason
    return result.value
  }

type Route = { to: string; at: string; answer(visit: Visit, below: string): Promise<void> | void }

const routesOf = (ours: OwnPages, acceptance: InvitationPages): Route[] => [
  { to: 'GET', at: 'sign-in/*', answer: (visit, below) => ours.signIn(visit, below.slice('sign-in'.length)) },
  { to: 'POST', at: 'sign-in/*', answer: (visit, below) => ours.signIn(visit, below.slice('sign-in'.length)) },
  { to: 'GET', at: 'apps', answer: ours.showApps },
  { to: 'POST', at: 'apps', answer: ours.changeApps },
  { to: 'GET', at: 'signed-out', answer: ours.signedOut },
  { to: 'GET', at: 'invitation', answer: acceptance.open },
  { to: 'POST', at: 'invitation', answer: acceptance.take },
  { to: 'GET', at: 'invitation/accept', answer: acceptance.showForm },
  { to: 'POST', at: 'invitation/accept', answer: acceptance.accept },
]

const isBelow = (path: string, pattern: string): boolean => {
  const folder = pattern.slice(0, -2)
  return path === folder || path.startsWith(`${folder}/`)
}

/** The person sees a reference; what went wrong is told to who operates the server. */
function fail(
  error: unknown,
  view: Pages,
  request: IncomingMessage,
  response: ServerResponse,
  report: PeopleOptions['report'],
): void {
  const isBusy = error instanceof SignInRefused
  const reference = randomUUID()
  if (!isBusy) report(error, reference)
  if (response.headersSent) {
    response.destroy()
    return
  }
  const visit = view.visit(request, response)
  if (isBusy) response.setHeader('Retry-After', '1')
  visit.fail(isBusy ? 503 : 500, isBusy ? visit.t('errorBusy') : visit.t('errorServer', { reference }))
}
