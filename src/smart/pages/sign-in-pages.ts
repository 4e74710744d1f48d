/**
 * The pages of signing in.
 *
 * https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#autofill
 */
import { Html, html } from './html.js'
import { roleName } from './languages.js'
import { button, checkbox, choices, field } from './page.js'
import type { Shown, Visit } from './pages.js'

type Alerted = { alert?: string | undefined }

/** Where the forms post to; `app` is the app that waits. */
type Form = Alerted & { action: string; app?: string | undefined; cancel?: boolean }

const buttons = ({ t }: Visit, label: string, cancel = false): Html => html`<div class="buttons">
${button({ label })}
${cancel && button({ label: t('cancel'), name: 'decision', value: 'deny', kind: 'second', skipsFields: true })}
</div>
`

const forApp = ({ t }: Visit, app: string | undefined): Html | false =>
  app !== undefined && html`<p>${t('signInFor', { app })}</p>`

const link = (href: string, label: string): Html => html`<p><a href="${href}">${label}</a></p>
`

export function passwordPage(
  visit: Visit,
  given: Form & { login?: string | undefined; again?: string | undefined; toContact: string },
): Shown {
  const { t } = visit
  const { action, app, login, again, alert, toContact, cancel } = given
  return {
    title: t('signInTitle'),
    alert,
    body: html`${forApp(visit, app)}${again !== undefined && html`<p>${t('signInAgain', { name: again })}</p>`}
${visit.form(
  action,
  html`${field({
    name: 'login',
    label: t('userName'),
    autocomplete: 'username',
    value: login,
    maxlength: 254,
    focus: login === undefined,
    invalid: alert !== undefined,
  })}${field({
    name: 'password',
    label: t('password'),
    type: 'password',
    autocomplete: 'current-password',
    maxlength: 1024,
    focus: login !== undefined,
    invalid: alert !== undefined,
  })}${buttons(visit, t('signIn'), cancel)}`,
)}
${link(toContact, t('toContact'))}<p class="hint">${t('signInHelp')}</p>`,
  }
}

export function contactPage(visit: Visit, given: Form & { contact?: string | undefined; toPassword: string }): Shown {
  const { t } = visit
  const { action, app, contact, alert, toPassword, cancel } = given
  return {
    title: t('signInTitle'),
    alert,
    body: html`${forApp(visit, app)}
${visit.form(
  action,
  html`${field({
    name: 'contact',
    label: t('contact'),
    hint: t('contactHint'),
    autocomplete: 'username',
    value: contact,
    maxlength: 254,
    focus: true,
    invalid: alert !== undefined,
  })}${buttons(visit, t('sendCode'), cancel)}`,
)}
${link(toPassword, t('toPassword'))}<p class="hint">${t('signInHelp')}</p>`,
  }
}

/** The code that was sent; `again` is where a new one is asked for. */
export function codePage(visit: Visit, { action, again, alert }: Form & { again: string }): Shown {
  const { t } = visit
  return {
    title: t('codeTitle'),
    alert,
    body: html`<p>${t('codeSent')}</p>
${visit.form(
  action,
  html`${field({
    name: 'code',
    label: t('code'),
    autocomplete: 'one-time-code',
    digits: 6,
    focus: true,
    invalid: alert !== undefined,
  })}${buttons(visit, t('signIn'))}`,
)}
${visit.form(again, button({ label: t('codeAgain'), kind: 'second' }))}`,
  }
}

export function totpPage(visit: Visit, { action, alert, toRecovery }: Form & { toRecovery: string }): Shown {
  const { t } = visit
  return {
    title: t('totpTitle'),
    alert,
    body: html`${visit.form(
      action,
      html`${field({
        name: 'code',
        label: t('totp'),
        hint: t('totpHint'),
        autocomplete: 'one-time-code',
        digits: 6,
        focus: true,
        invalid: alert !== undefined,
      })}${buttons(visit, t('signIn'))}`,
    )}
${link(toRecovery, t('toRecovery'))}`,
  }
}

export function recoveryPage(
  visit: Visit,
  { action, alert, left, toTotp }: Form & { left: number; toTotp: string },
): Shown {
  const { t } = visit
  return {
    title: t('totpTitle'),
    alert,
    body: html`${visit.form(
      action,
      html`${field({
        name: 'recovery',
        label: t('recovery'),
        hint: t('recoveryHint'),
        autocomplete: 'off',
        maxlength: 32,
        focus: true,
        invalid: alert !== undefined,
      })}${buttons(visit, t('signIn'))}`,
    )}
<p class="hint">${t('recoveryLeft', { count: left })}</p>
${link(toTotp, t('toTotp'))}`,
  }
}

/** `picture` is the SVG of the QR code, made by us. */
export function enrolPage(
  visit: Visit,
  { action, alert, picture, secret }: Form & { picture: string; secret: string },
): Shown {
  const { t } = visit
  const grouped = secret.replace(/(.{4})(?=.)/g, '$1 ')
  return {
    title: t('enrolTitle'),
    alert,
    body: html`<p>${t('enrolWhy')}</p>
<div class="qr" role="img" aria-label="${t('enrolPicture')}">${new Html(picture)}</div>
<p>${t('enrolSecret')}</p>
<p class="secret">${grouped}</p>
${visit.form(
  action,
  html`${field({
    name: 'code',
    label: t('enrolCode'),
    hint: t('totpHint'),
    autocomplete: 'one-time-code',
    digits: 6,
    focus: alert !== undefined,
    invalid: alert !== undefined,
  })}${buttons(visit, t('next'))}`,
)}`,
  }
}

export function recoveryCodesPage(visit: Visit, { action, alert, codes }: Form & { codes: readonly string[] }): Shown {
  const { t } = visit
  return {
    title: t('recoveryTitle'),
    alert,
    body: html`<p>${t('recoveryWhy')}</p>
<ul class="secret codes">${codes.map(
      (code) => html`<li>${code}</li>
`,
    )}</ul>
${visit.form(action, html`${checkbox('kept', '1', t('recoveryKept'))}${buttons(visit, t('next'))}`)}`,
  }
}

export type RoleRow = { subject: string; role: string; name: string; place?: string | undefined }

export function rolePage(visit: Visit, { action, alert, roles }: Form & { roles: readonly RoleRow[] }): Shown {
  const { t } = visit
  const rows = roles.map(({ subject, role, name, place }) => ({
    value: subject,
    title: roleName(t, role),
    detail: place === undefined ? name : `${name}, ${place}`,
  }))
  return {
    title: t('roleTitle'),
    alert,
    body: html`<p>${t('roleWhy')}</p>
${visit.form(action, html`${choices('subject', t('roleTitle'), rows)}${buttons(visit, t('next'))}`)}`,
  }
}

/** One sentence, and where to go on. */
export const sentencePage = ({
  title,
  sentence,
  next,
}: {
  title: string
  sentence: string
  next?: { href: string; label: string }
}): Shown => ({
  title,
  body: html`<p role="status">${sentence}</p>
${next && link(next.href, next.label)}`,
})

/** Opening the link uses nothing up: going on does. */
export function invitationPage(visit: Visit, { action, token }: { action: string; token: string }): Shown {
  const { t } = visit
  return {
    title: t('inviteTitle'),
    keeps: { token },
    body: visit.form(
      action,
      html`<input type="hidden" name="token" value="${token}">
<div class="buttons">${button({ label: t('next') })}</div>
`,
    ),
  }
}

export type AcceptancePage = Form & {
  sentence?: string
  name?: string | undefined
  userName?: string | undefined
  /** The field the alert is about. */
  about?: 'name' | 'login' | 'password' | undefined
  /** Fields that are asked for. */
  asks: { name: boolean; userName: boolean; password: boolean }
}

export function acceptancePage(visit: Visit, given: AcceptancePage): Shown {
  const { t } = visit
  const { action, alert, sentence, name, userName, asks, about } = given
  return {
    title: t('inviteTitle'),
    alert,
    body: html`${sentence !== undefined && html`<p>${sentence}</p>`}
${visit.form(
  action,
  html`${asks.name && field({ name: 'name', label: t('inviteName'), autocomplete: 'name', value: name, maxlength: 100, invalid: about === 'name' })}${
    asks.userName &&
    field({
      name: 'login',
      label: t('inviteUser'),
      hint: t('inviteUserHint'),
      autocomplete: 'username',
      value: userName,
      maxlength: 100,
      invalid: about === 'login',
    })
  }${
    asks.password &&
    html`${field({
      name: 'password',
      label: t('passwordNew'),
      hint: t('passwordHint'),
      type: 'password',
      autocomplete: 'new-password',
      maxlength: 1024,
      invalid: about === 'password',
    })}${field({
      name: 'again',
      label: t('passwordAgain'),
      type: 'password',
      autocomplete: 'new-password',
      maxlength: 1024,
      invalid: about === 'password',
    })}`
  }${buttons(visit, t('next'))}`,
)}`,
  }
}
