/**
 * "Which patient?": for apps that start without one.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#requesting-context-with-scopes
 *
 * One form brings back `patient`, the id that was chosen; the other one `search`, what to look for.
 */
import { html } from './html.js'
import { button, choices, field } from './page.js'
import type { Shown, Visit } from './pages.js'

export type PatientPage = {
  action: string
  app: { name: string; redirectUri: string }
  patients: readonly { id: string; name: string; birthDate?: string /** The person who signed in. */; self?: boolean }[]
  /** What was looked for; undefined where the person has but a few patients to choose from. */
  search?: string
  /** There are more than these. */
  more?: boolean
  who?: { name: string; role: string }
  alert?: string
}

export function patientPage(visit: Visit, given: PatientPage): Shown {
  const { t } = visit
  const { app, patients, search, more } = given
  const rows = patients.map(({ id, name, birthDate, self }) => ({
    value: id,
    title: self ? `${t('patientSelf')}: ${name}` : name,
    detail: birthDate === undefined ? undefined : t('patientBorn', { date: birthDate }),
  }))
  const cancel = button({ label: t('cancel'), name: 'decision', value: 'deny', kind: 'second', skipsFields: true })
  const body = html`<p>${t('patientFor', { app: app.name })}</p>
${
  search !== undefined &&
  visit.form(
    given.action,
    html`${field({
      name: 'search',
      label: t('patientSearch'),
      type: 'search',
      autocomplete: 'off',
      value: search,
      maxlength: 100,
      focus: patients.length === 0,
    })}${button({ label: t('patientFind'), kind: 'second' })}`,
  )
}
${
  rows.length > 0
    ? visit.form(
        given.action,
        html`${choices('patient', t('patientTitle'), rows)}
${more && html`<p class="hint">${t('patientMore')}</p>`}
<div class="buttons">${button({ label: t('next') })}
${cancel}</div>
`,
      )
    : html`${search !== '' && html`<p class="note" role="status">${t('patientNone')}</p>`}
${visit.form(given.action, html`<div class="buttons">${cancel}</div>`)}`
}`
  return { title: t('patientTitle'), body, leadsTo: app.redirectUri, who: given.who, alert: given.alert }
}
