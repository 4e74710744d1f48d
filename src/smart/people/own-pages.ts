/**
 * What a person finds under their own account: signing in without an app, the apps they allowed, their sessions, signing out.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html (management_endpoint)
 */
import { randomBytes } from 'node:crypto'
import type { LoginPages } from '../account.js'
import { type AllowedApp, appsPage, type Pages, roleName, sentencePage, type Visit } from '../pages/index.js'
import type { AccountStore, StoredAccount } from './accounts.js'
import type { Browser } from './browser.js'
import { actor, type Recorder } from './record.js'
import type { Session, Sessions } from './sessions.js'

/** What the authorization server knows of apps; `sessionEnded` takes back what was granted for a session. */
export type Apps = {
  list(subject: string): Promise<readonly AllowedApp[]>
  revoke(subject: string, app: string): Promise<void>
  /** All that a person allowed, also for when they are away. */
  revokeAll(subject: string): Promise<void>
  sessionEnded(ended: { session: string; subject: string }): Promise<void>
}

export type OwnPagesParts = {
  pages: Pages
  base: string
  browser: Browser
  sessions: Sessions
  accounts: AccountStore
  login: LoginPages
  apps: Apps
  zone: string
  clock(): number
  record: Recorder
}

const flowCookie = 'flow'

export type OwnPages = {
  /** `below` is what stands behind `/sign-in`. */
  signIn(visit: Visit, below: string): Promise<void>
  showApps(visit: Visit): Promise<void>
  changeApps(visit: Visit): Promise<void>
  signedOut(visit: Visit): void
  /** Ends every session of a person, and every token of their accounts. */
  endAll(person: string): Promise<void>
}

export function ownPages(parts: OwnPagesParts): OwnPages {
  const { pages, base, browser, sessions, accounts, apps, record } = parts
  const appsPath = `${base}/apps`

  const end = async (id: string): Promise<void> => {
    const ended = await sessions.end(id)
    if (ended) await apps.sessionEnded({ session: ended.id, subject: ended.subject })
  }

  const endAll = async (person: string): Promise<void> => {
    const known = await accounts.person(person)
    // First the tokens: a session that is ended could not be used to end them.
    for (const subject of known?.subjects ?? []) {
      await accounts.bump(subject)
      await apps.revokeAll(subject)
    }
    for (const { id } of await sessions.ofPerson(person)) await end(id)
  }

  const show = async (visit: Visit, { session, account }: SignedIn, done?: string): Promise<void> => {
    const own = await sessions.ofPerson(account.person)
    const person = await accounts.person(account.person)
    const roles = person ? await accounts.accountsOf(person) : []
    visit.show(
      appsPage(visit, {
        action: appsPath,
        apps: await apps.list(account.subject),
        sessions: own.map(({ id, since, last }) => ({ id, since, last, here: id === session.id })),
        who: { name: account.name, role: roleName(visit.t, account.role) },
        zone: parts.zone,
        ...(roles.length > 1 && { otherRoles: `${base}/sign-in?anew` }),
        ...(done !== undefined && { done }),
      }),
    )
  }

  return {
    endAll,
    signIn: async (visit, below) => {
      const { request, response } = visit
      let uid = pages.cookies.read(request, flowCookie)
      // Who begins again has nothing to do with who was here before.
      if (uid === undefined || (request.method === 'GET' && below === '')) {
        uid = randomBytes(16).toString('base64url')
        pages.cookies.write(response, flowCookie, uid)
      }
      // "Other roles" and "sign in again" come here signed in, and mean it.
      const anew = (request.url ?? '').endsWith('?anew')
      await parts.login.login({
        request,
        response,
        path: `${base}/sign-in`,
        below,
        uid: `own ${uid}`,
        client: { id: '', name: '' },
        locales: [],
        mfa: false,
        ...(anew && { signedInAfter: Number.POSITIVE_INFINITY }),
        finish: async () => visit.go(appsPath),
        deny: async () => visit.go(`${base}/sign-in`),
      })
    },
    showApps: async (visit) => {
      const signedIn = await browser.signedIn(visit)
      if (signedIn) await show(visit, signedIn)
      else visit.go(`${base}/sign-in`)
    },
    changeApps: async (visit) => {
      const fields = await visit.fields()
      if (!fields) return
      const signedIn = await browser.signedIn(visit)
      if (!signedIn) return visit.go(`${base}/sign-in`)
      const { session, account } = signedIn
      const revoked = fields.get('revoke')
      const ended = fields.get('end')
      if (revoked) {
        await apps.revoke(account.subject, revoked)
        return show(visit, signedIn, visit.t('appsRevoked'))
      }
      if (ended) {
        const own = await sessions.ofPerson(account.person)
        if (own.some(({ id }) => id === ended)) await end(ended)
        return visit.go(appsPath)
      }
      if (fields.has('everywhere')) await endAll(account.person)
      else await end(session.id)
      await record({ kind: 'sign-out', outcome: 0, person: actor(account) }, browser.from(visit).origin)
      visit.sessionIs(undefined)
      visit.go(`${base}/signed-out`)
    },
    signedOut: (visit) =>
      visit.show(
        sentencePage({
          title: visit.t('signOut'),
          sentence: visit.t('signedOut'),
          next: { href: `${base}/sign-in`, label: visit.t('signInAnew') },
        }),
      ),
  }
}

type SignedIn = { session: Session; account: StoredAccount }
