/**
 * "My apps": what a person allowed, with a button that takes each back, and where the person is signed in.
 *
 * https://www.rfc-editor.org/rfc/rfc7009
 *
 * Forms bring back `revoke` (an app), `end` (a session), `everywhere`, or `out`.
 */
import { type Html, html } from './html.js'
import type { Language, Translate } from './languages.js'
import { button } from './page.js'
import type { Shown, Visit } from './pages.js'
import { scopeWords } from './scope-words.js'

export type AllowedApp = { id: string; name: string; since: number; scopes: readonly string[]; patient?: string }

export type OwnSession = { id: string; since: number; last: number; here: boolean }

export type AppsPage = {
  action: string
  apps: readonly AllowedApp[]
  sessions: readonly OwnSession[]
  who: { name: string; role: string }
  /** Said of what was just done. */
  done?: string
  zone: string
  /** Where a person who has several roles takes up another one. */
  otherRoles?: string
}

export function appsPage(visit: Visit, given: AppsPage): Shown {
  const { t, language } = visit
  const { action, apps, sessions, done, zone } = given
  const day = (at: number): string => (at === 0 ? '–' : moment(at, language, zone))
  const body = html`${done && html`<p class="note" role="status">${done}</p>`}
${given.otherRoles !== undefined && html`<p><a href="${given.otherRoles}">${t('roleOther')}</a></p>`}
${apps.length === 0 && html`<p>${t('appsNone')}</p>`}
${apps.map((app) => appCard(visit, app, action, day))}
<h2>${t('sessionsTitle')}</h2>
${sessions.map(({ id, since, last, here }) => sessionCard(visit, { id, here, words: t('sessionSince', { date: day(since), last: day(last) }) }, action))}
<h2>${t('signOutAll')}</h2>
<p>${t('signOutAllWhy')}</p>
${visit.form(
  action,
  html`<div class="buttons">${button({ label: t('signOut'), name: 'out' })}
${button({ label: t('signOutAll'), name: 'everywhere', kind: 'alarm' })}</div>
`,
)}`
  return { title: t('appsTitle'), body, who: given.who }
}

const appCard = (visit: Visit, app: AllowedApp, action: string, day: (at: number) => string): Html => {
  const { t } = visit
  return html`<section class="card">
<h2>${app.name}</h2>
<p>${t('appsSince', { date: day(app.since) })}</p>
${app.patient !== undefined && html`<p>${t('authorizePatient', { name: app.patient })}</p>`}
<ul>${wordsOf(app.scopes, t).map((words) => html`<li>${words}</li>`)}</ul>
${visit.form(action, button({ label: t('appsRevoke', { app: app.name }), name: 'revoke', value: app.id, kind: 'second' }))}</section>
`
}

const wordsOf = (scopes: readonly string[], t: Translate): string[] => [
  ...new Set(scopeWords(scopes, t).map(({ words }) => words)),
]

const sessionCard = (
  visit: Visit,
  { id, here, words }: { id: string; here: boolean; words: string },
  action: string,
): Html => html`<div class="card">
<p>${here && html`<strong>${visit.t('sessionHere')}. </strong>`}${words}</p>
${!here && visit.form(action, button({ label: visit.t('sessionEnd'), name: 'end', value: id, kind: 'second' }))}</div>
`

const moment = (at: number, language: Language, zone: string): string =>
  new Intl.DateTimeFormat(language, { dateStyle: 'long', timeStyle: 'short', timeZone: zone }).format(at)
