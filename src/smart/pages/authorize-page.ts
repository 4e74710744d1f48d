/**
 * "Allow this app?": what it will see in plain words, each line of which the person may leave out.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/best-practices.html
 *
 * The form brings back `decision` (`allow` or `deny`) and a `scope` for each line that stayed checked.
 */
import { html } from './html.js'
import { button, checkbox } from './page.js'
import type { Shown, Visit } from './pages.js'
import { scopeWords } from './scope-words.js'

export type AuthorizePage = {
  /** Where the form posts to. */
  action: string
  app: { name: string; redirectUri: string /** The hospital looked at the app. */; checked: boolean }
  scopes: readonly string[]
  /** Scopes that cannot be left out. */
  fixed?: readonly string[]
  /** The patient in context, by name. */
  patient?: string
  who?: { name: string; role: string }
  alert?: string
}

export function authorizePage(visit: Visit, given: AuthorizePage): Shown {
  const { t } = visit
  const { app, scopes, fixed = [], patient } = given
  const lines = scopeWords(scopes, t)
  const body = html`${!app.checked && html`<p class="note">${t('authorizeUnknown')}</p>`}
${patient !== undefined && html`<p><strong>${t('authorizePatient', { name: patient })}</strong></p>`}
${visit.form(
  given.action,
  html`<fieldset>
<legend>${t('authorizeAsks', { app: app.name })}</legend>
<p class="hint">${t('allowed')}</p>
${lines.filter(({ scope }) => !fixed.includes(scope)).map(({ scope, words }) => checkbox('scope', scope, words, true))}
${
  lines.some(({ scope }) => fixed.includes(scope)) &&
  html`<ul>${[...new Set(lines.filter(({ scope }) => fixed.includes(scope)).map(({ words }) => words))].map((words) => html`<li>${words}</li>`)}</ul>`
}
</fieldset>
<p class="hint">${t('authorizeTo', { host: hostOf(app.redirectUri) })} ${t('authorizeAway')}</p>
<div class="buttons">
${button({ label: t('allow'), name: 'decision', value: 'allow' })}
${button({ label: t('deny'), name: 'decision', value: 'deny', kind: 'second' })}
</div>
`,
)}`
  return {
    title: t('authorizeTitle', { app: app.name }),
    body,
    leadsTo: app.redirectUri,
    who: given.who,
    alert: given.alert,
  }
}

const hostOf = (uri: string): string => {
  const url = URL.canParse(uri) ? new URL(uri) : undefined
  return url?.host || url?.protocol.replace(/:$/, '') || uri
}
