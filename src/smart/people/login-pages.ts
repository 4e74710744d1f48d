/**
 * The pages an app's request for a sign-in leads through.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#obtain-authorization-code
 *
 * `/` asks for a password and `/contact` and `/code` for a code that is sent; `/step` asks for whatever is still missing.
 */
import { toString as qrCode } from 'qrcode'
import type { LoginPages, LoginRequest, SignIn } from '../account.js'
import {
  codePage,
  contactPage,
  enrolPage,
  type Pages,
  passwordPage,
  recoveryCodesPage,
  recoveryPage,
  rolePage,
  type Shown,
  totpPage,
  type Visit,
} from '../pages/index.js'
import type { Browser } from './browser.js'
import { type Contact, contactOf } from './contact.js'
import { SignInRefused } from './refused.js'
import type { Session } from './sessions.js'
import type { Asked, Next, SignIns } from './sign-in.js'
import { enrolment } from './totp.js'

export type LoginPagesParts = {
  pages: Pages
  browser: Browser
  signIns: SignIns
  /** The contact a code was sent to, for as long as a step lasts. */
  contacts: { put(step: string, contact: Contact): Promise<void>; get(step: string): Promise<Contact | undefined> }
  /** Name of the tenant, as authenticator apps show it. */
  site: string
  placeOf(organizations: readonly string[]): Promise<string | undefined>
}

type Step = LoginRequest & { visit: Visit; asked: Asked; step: string }

type Handler = (given: Step, parts: LoginPagesParts) => Promise<void>

const routes: Record<string, { GET?: Handler; POST: Handler }> = {
  '': { GET: begin, POST: withPassword },
  '/contact': { GET: async (given) => show(given, contactForm(given)), POST: askForCode },
  '/code': { GET: async (given) => show(given, codeForm(given)), POST: withCode },
  '/again': { POST: sendAgain },
  '/step': { GET: showStep, POST: takeStep },
  '/recovery': { GET: showRecovery, POST: takeRecovery },
}

export const loginPages = (parts: LoginPagesParts): LoginPages => ({
  login: async (request) => {
    const visit = parts.pages.visit(request.request, request.response, request.locales)
    const asked = { mfa: request.mfa }
    const given: Step = { ...request, visit, asked, step: request.uid }
    const method = request.request.method === 'HEAD' ? 'GET' : request.request.method
    const route = routes[request.below]
    const handler = method === 'GET' || method === 'POST' ? route?.[method] : undefined
    if (handler) await handler(given, parts)
    else visit.fail(route ? 405 : 404, visit.t('errorPage'))
  },
})

/** The redirect at the end of the last form goes to the app. */
const show = ({ visit, redirectUri }: Step, shown: Shown): void => visit.show({ ...shown, leadsTo: redirectUri })

async function begin(given: Step, parts: LoginPagesParts): Promise<void> {
  const { visit, asked, step } = given
  const { session, account } = (await parts.browser.signedIn(visit)) ?? {}
  if (session && account && session.at >= (given.signedInAfter ?? 0)) {
    if (!asked.mfa || session.methods.includes('mfa')) return given.finish(signInOf(session))
    // The password was proven a moment ago: the second factor alone is asked for.
    if (parts.browser.isFresh(session)) {
      await parts.signIns.resume(step, session, { mfa: true, subject: session.subject })
      return visit.go(`${given.path}/step`)
    }
  }
  show(given, passwordForm(given, { again: given.signedInAfter === undefined ? undefined : account?.name }))
}

const signInOf = ({ id, subject, at, methods }: Session): SignIn => ({ subject, at, methods, session: id })

const passwordForm = (
  given: Step,
  { alert, login = given.loginHint, again }: { alert?: string; login?: string | undefined; again?: string | undefined },
): Shown =>
  passwordPage(given.visit, {
    action: given.path,
    app: given.client.name || undefined,
    login,
    again,
    toContact: `${given.path}/contact`,
    alert,
    cancel: given.client.name !== '',
  })

const contactForm = (given: Step, { alert, contact }: { alert?: string; contact?: string } = {}): Shown =>
  contactPage(given.visit, {
    action: `${given.path}/contact`,
    app: given.client.name || undefined,
    contact,
    toPassword: given.path,
    alert,
    cancel: given.client.name !== '',
  })

const codeForm = ({ visit, path }: Step, alert?: string): Shown =>
  codePage(visit, { action: `${path}/code`, again: `${path}/again`, alert })

/** The fields of the form, unless the person went back to the app or the form is not ours: then it is answered. */
async function fieldsOf({ visit, deny }: Step): Promise<URLSearchParams | undefined> {
  const fields = await visit.fields()
  if (fields?.get('decision') !== 'deny') return fields
  await deny()
  return undefined
}

/** Does it, or shows the page again and says why not. */
async function tried(given: Step, work: () => Promise<void>, again: (alert: string) => Shown): Promise<boolean> {
  try {
    await work()
    return true
  } catch (error) {
    if (!(error instanceof SignInRefused)) throw error
    const { visit } = given
    show(given, { ...again(refusedText(visit, error)), status: refusedStatus(visit, error) })
    return false
  }
}

export function refusedText({ t }: Visit, { kind, waitMs }: SignInRefused): string {
  switch (kind) {
    case 'credentials':
      return t('errorSignIn')
    case 'code':
      return t('errorCode')
    case 'tooMany':
      return t('errorTooMany', { minutes: Math.ceil(waitMs / 60_000) })
    case 'busy':
      return t('errorBusy')
  }
}

export function refusedStatus({ response }: Pick<Visit, 'response'>, { kind, waitMs }: SignInRefused): number {
  if (kind === 'credentials' || kind === 'code') return 401
  response.setHeader('Retry-After', String(Math.max(1, Math.ceil(waitMs / 1000))))
  return 429
}

async function withPassword(given: Step, parts: LoginPagesParts): Promise<void> {
  const fields = await fieldsOf(given)
  if (!fields) return
  const [login, password] = [fields.get('login') ?? '', fields.get('password') ?? '']
  const from = parts.browser.from(given.visit)
  if (login === '' || password === '') {
    const alert = given.visit.t('errorFields')
    return show(given, { ...passwordForm(given, { alert, login: login || undefined }), status: 400 })
  }
  const isRight = await tried(
    given,
    () => parts.signIns.password(given.step, { login, password }, given.asked, from),
    (alert) => passwordForm(given, { alert, login }),
  )
  if (isRight) await goOn(given, parts)
}

async function askForCode(given: Step, parts: LoginPagesParts): Promise<void> {
  const fields = await fieldsOf(given)
  if (!fields) return
  const typed = fields.get('contact') ?? ''
  const contact = contactOf(typed)
  if (!contact) {
    const alert = given.visit.t('errorContact')
    return show(given, { ...contactForm(given, { alert, contact: typed }), status: 400 })
  }
  const isSent = await tried(
    given,
    () => parts.signIns.sendCode(contact, parts.browser.from(given.visit)),
    (alert) => contactForm(given, { alert, contact: typed }),
  )
  if (!isSent) return
  await parts.contacts.put(given.step, contact)
  given.visit.go(`${given.path}/code`)
}

async function withCode(given: Step, parts: LoginPagesParts): Promise<void> {
  const fields = await fieldsOf(given)
  if (!fields) return
  const contact = await parts.contacts.get(given.step)
  if (!contact) return given.visit.go(`${given.path}/contact`)
  const code = (fields.get('code') ?? '').replace(/\s/g, '')
  const isRight = await tried(
    given,
    () => parts.signIns.code(given.step, { contact, code }, given.asked, parts.browser.from(given.visit)),
    (alert) => codeForm(given, alert),
  )
  if (isRight) await goOn(given, parts)
}

/** A new code: to the contact that was typed, or to that of the person who gave a password. */
async function sendAgain(given: Step, parts: LoginPagesParts): Promise<void> {
  if (!(await fieldsOf(given))) return
  const { visit, path, step } = given
  const from = parts.browser.from(visit)
  const next = await parts.signIns.next(step)
  const contact = await parts.contacts.get(step)
  if (next?.need === 'code') {
    const isSent = await tried(
      given,
      () => parts.signIns.sendSecondCode(step, from),
      (alert) => codePage(visit, { action: `${path}/step`, again: `${path}/again`, alert }),
    )
    if (isSent) visit.go(`${path}/step`)
  } else if (contact) {
    const isSent = await tried(
      given,
      () => parts.signIns.sendCode(contact, from),
      (alert) => codeForm(given, alert),
    )
    if (isSent) visit.go(`${path}/code`)
  } else visit.go(path)
}

/** After each step that was right: to the next one, or to the end. */
async function goOn(given: Step, parts: LoginPagesParts): Promise<void> {
  const { visit, step, path } = given
  const next = await parts.signIns.next(step)
  // The first code goes out by itself; one that is refused now is asked for on the page.
  if (next?.need === 'code')
    await parts.signIns.sendSecondCode(step, parts.browser.from(visit)).catch((error) => {
      if (!(error instanceof SignInRefused)) throw error
    })
  if (next?.need !== 'nothing') return visit.go(next ? `${path}/step` : path)
  const done = await parts.signIns.complete(step, visit.session, parts.browser.from(visit))
  if (!done) return visit.go(path)
  parts.browser.signIn(visit, done)
  await given.finish(signInOf(done.session))
}

async function showStep(given: Step, parts: LoginPagesParts): Promise<void> {
  const next = await parts.signIns.next(given.step)
  if (!next || next.need === 'nothing') return goOn(given, parts)
  show(given, await stepPage(given, parts, next))
}

async function stepPage(given: Step, parts: LoginPagesParts, next: Next, alert?: string): Promise<Shown> {
  const { visit, path } = given
  const action = `${path}/step`
  switch (next.need) {
    case 'totp':
      return totpPage(visit, { action, alert, toRecovery: `${path}/recovery` })
    case 'code':
      return codePage(visit, { action, alert, again: `${path}/again` })
    case 'role': {
      const places = await Promise.all(next.accounts.map(({ organizations }) => parts.placeOf(organizations)))
      const roles = next.accounts.map(({ subject, role, name }, at) => ({ subject, role, name, place: places[at] }))
      return rolePage(visit, { action, alert, roles })
    }
    case 'enrol': {
      const picture = await qrCode(enrolment(parts.site, next.label, next.secret), { type: 'svg', margin: 1 })
      return enrolPage(visit, { action, alert, picture, secret: next.secret })
    }
    case 'codes':
      return recoveryCodesPage(visit, { action, alert, codes: next.codes })
    case 'nothing':
      throw new Error('there is no page for a sign-in that is complete')
  }
}

async function takeStep(given: Step, parts: LoginPagesParts): Promise<void> {
  const fields = await fieldsOf(given)
  if (!fields) return
  const { visit, step } = given
  const next = await parts.signIns.next(step)
  if (!next || next.need === 'nothing') return goOn(given, parts)
  const again = async (status: number, alert: string): Promise<void> =>
    show(given, { ...(await stepPage(given, parts, next, alert)), status })
  try {
    const problem = await taken(given, parts, next, fields)
    if (problem === undefined) await goOn(given, parts)
    else await again(400, problem)
  } catch (error) {
    if (!(error instanceof SignInRefused)) throw error
    await again(refusedStatus(visit, error), refusedText(visit, error))
  }
}

/** What is wrong with it, in words; undefined when it was right. @throws SignInRefused */
async function taken(
  { visit, step }: Step,
  { signIns, browser }: LoginPagesParts,
  next: Next,
  fields: URLSearchParams,
): Promise<string | undefined> {
  const from = browser.from(visit)
  const code = fields.get('code') ?? ''
  switch (next.need) {
    case 'totp':
      await signIns.totp(step, code, from)
      return undefined
    case 'code':
      await signIns.secondCode(step, code, from)
      return undefined
    case 'enrol':
      await signIns.enrol(step, code, from)
      return undefined
    case 'role':
      return (await signIns.choose(step, fields.get('subject') ?? '')) ? undefined : visit.t('errorChoose')
    case 'codes':
      if (fields.get('kept') !== '1') return visit.t('errorKept')
      await signIns.kept(step)
      return undefined
    case 'nothing':
      return undefined
  }
}

const recoveryForm = ({ visit, path }: Step, left: number, alert?: string): Shown =>
  recoveryPage(visit, { action: `${path}/recovery`, toTotp: `${path}/step`, left, alert })

async function showRecovery(given: Step, parts: LoginPagesParts): Promise<void> {
  const next = await parts.signIns.next(given.step)
  if (next?.need === 'totp') show(given, recoveryForm(given, next.recoveryLeft))
  else await goOn(given, parts)
}

async function takeRecovery(given: Step, parts: LoginPagesParts): Promise<void> {
  const fields = await fieldsOf(given)
  if (!fields) return
  const next = await parts.signIns.next(given.step)
  if (next?.need !== 'totp') return goOn(given, parts)
  const isRight = await tried(
    given,
    () => parts.signIns.recovery(given.step, fields.get('recovery') ?? '', parts.browser.from(given.visit)),
    (alert) => recoveryForm(given, next.recoveryLeft, alert),
  )
  if (isRight) await goOn(given, parts)
}
