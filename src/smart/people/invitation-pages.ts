/**
 * Accepting an invitation: from the link in a message to an account with a password.
 *
 * https://cheatsheetseries.owasp.org/cheatsheets/Forgot_Password_Cheat_Sheet.html
 *
 * Going on from the page of the link takes the invitation out of the world and binds it to this browser for an hour.
 * Nothing the form brings back says anything of the role: that stands in the invitation alone.
 */
import { randomBytes } from 'node:crypto'
import type { Ref } from '../../fhir/index.js'
import type { Secrets } from '../../store/index.js'
import {
  acceptancePage,
  invitationPage,
  type Pages,
  roleName,
  type Shown,
  sentencePage,
  type Visit,
} from '../pages/index.js'
import { type AccountStore, firstKey } from './accounts.js'
import { readJson } from './change.js'
import { contactOf, veiled } from './contact.js'
import type { Invitation, Invitations } from './invitations.js'
import { fingerprint } from './keyed.js'
import { refusedStatus, refusedText } from './login-pages.js'
import type { Passwords } from './passwords.js'
import { firstRole, isPatientRole } from './ranks.js'
import { changed, type Recorder } from './record.js'
import { AccountRefused, SignInRefused } from './refused.js'

export type InvitationPagesParts = {
  pages: Pages
  base: string
  secrets: Secrets
  accounts: AccountStore
  passwords: Passwords
  invitations: Invitations
  clock(): number
  /** The resource of somebody who has none yet: of the first administrator. */
  makeUser(name: string): Promise<Ref>
  endAll(person: string): Promise<void>
  record: Recorder
}

export type InvitationPages = {
  /** The page of the link. */
  open(visit: Visit): Promise<void>
  /** Going on from it. */
  take(visit: Visit): Promise<void>
  showForm(visit: Visit): Promise<void>
  accept(visit: Visit): Promise<void>
}

const cookie = 'invitation'
const holdMs = 3_600_000

const heldKey = (id: string): string => `people/accepting/${fingerprint(id)}`

export function invitationPages(parts: InvitationPagesParts): InvitationPages {
  const { pages, base, secrets, passwords, invitations, clock } = parts
  const formPath = `${base}/invitation/accept`

  const held = async (visit: Visit): Promise<{ id: string; invitation: Invitation } | undefined> => {
    const id = pages.cookies.read(visit.request, cookie)
    const invitation = id === undefined ? undefined : await readJson<Invitation>(secrets, heldKey(id))
    return id === undefined || !invitation ? undefined : { id, invitation }
  }

  const gone = (visit: Visit): void =>
    visit.show({ ...sentencePage({ title: visit.t('inviteTitle'), sentence: visit.t('inviteGone') }), status: 410 })

  return {
    open: async (visit) => {
      const token = new URLSearchParams((visit.request.url ?? '').split('?')[1]).get('token') ?? ''
      // A language was chosen on a later page: the link is not in the address any more.
      if (token === '') return (await held(visit)) ? visit.go(formPath) : gone(visit)
      if (!(await invitations.look(token))) return gone(visit)
      visit.show(invitationPage(visit, { action: `${base}/invitation`, token }))
    },
    take: async (visit) => {
      const fields = await visit.fields()
      if (!fields) return
      const invitation = await invitations.take(fields.get('token') ?? '')
      if (!invitation) return gone(visit)
      const id = randomBytes(32).toString('base64url')
      await secrets.put(heldKey(id), JSON.stringify(invitation), clock() + holdMs)
      pages.cookies.write(visit.response, cookie, id, holdMs / 1000)
      visit.go(formPath)
    },
    showForm: async (visit) => {
      const found = await held(visit)
      if (found) visit.show(form(visit, formPath, found.invitation))
      else gone(visit)
    },
    accept: async (visit) => {
      const fields = await visit.fields()
      if (!fields) return
      const found = await held(visit)
      if (!found) return gone(visit)
      const { id, invitation } = found
      const typed = { name: (fields.get('name') ?? '').trim().slice(0, 100), login: fields.get('login') ?? '' }
      try {
        const given = await checked(invitation, typed, fields, passwords)
        // Twice pressed, or by two at once: one of them makes the account.
        if ((await secrets.take(heldKey(id))) === undefined) return gone(visit)
        try {
          await fulfil(parts, invitation, given)
        } catch (error) {
          // The person may mend it and try again.
          await secrets.put(heldKey(id), JSON.stringify(invitation), clock() + holdMs)
          throw error
        }
      } catch (error) {
        const again = (status: number, alert: string, about?: 'login' | 'password'): void =>
          visit.show({ ...form(visit, formPath, invitation, { ...typed, alert, about }), status })
        if (error instanceof AccountRefused) return again(422, visit.t(words[error.kind]), aboutOf[error.kind])
        if (error instanceof SignInRefused) return again(refusedStatus(visit, error), refusedText(visit, error))
        throw error
      }
      pages.cookies.clear(visit.response, cookie)
      visit.show(
        sentencePage({
          title: visit.t('inviteTitle'),
          sentence: visit.t('inviteDone'),
          next: { href: `${base}/sign-in?anew`, label: visit.t('signIn') },
        }),
      )
    },
  }
}

const words = {
  taken: 'errorUserTaken',
  userName: 'errorUser',
  contact: 'errorContact',
  role: 'inviteGone',
  absent: 'inviteGone',
  short: 'errorPasswordShort',
  long: 'errorPasswordLong',
  known: 'errorPasswordKnown',
  differ: 'errorPasswordsDiffer',
  fields: 'errorFields',
} as const satisfies Record<AccountRefused['kind'], string>

const aboutOf: Partial<Record<AccountRefused['kind'], 'login' | 'password'>> = {
  taken: 'login',
  userName: 'login',
  short: 'password',
  long: 'password',
  known: 'password',
  differ: 'password',
}

/** Patients may leave the password out: a code is sent to them each time. */
const isPatient = (invitation: Invitation): boolean => invitation.kind === 'account' && isPatientRole(invitation.role)

function form(
  visit: Visit,
  action: string,
  invitation: Invitation,
  typed: { name?: string; login?: string; alert?: string; about?: 'login' | 'password' | undefined } = {},
): Shown {
  const { t } = visit
  const isAccount = invitation.kind === 'account'
  const contact = isAccount ? contactOf(invitation.contact) : undefined
  const sentence = isAccount
    ? t('inviteWho', { role: roleName(t, invitation.role), contact: contact ? veiled(contact) : '' })
    : invitation.kind === 'first'
      ? t('inviteFirst')
      : undefined
  return acceptancePage(visit, {
    action,
    alert: typed.alert,
    about: typed.about,
    name: typed.name || (isAccount ? invitation.name : undefined),
    userName: typed.login || undefined,
    asks: {
      name: invitation.kind !== 'credentials',
      userName: invitation.kind !== 'credentials' && !isPatient(invitation),
      password: !isPatient(invitation),
    },
    ...(sentence !== undefined && { sentence }),
  })
}

type Given = { name: string; login: string; password?: string }

/** @throws AccountRefused */
async function checked(
  invitation: Invitation,
  { name, login }: { name: string; login: string },
  fields: URLSearchParams,
  passwords: Passwords,
): Promise<Given> {
  const [password, again] = [fields.get('password') ?? '', fields.get('again') ?? '']
  const isNamed = invitation.kind === 'credentials' || name !== ''
  if (isPatient(invitation)) {
    if (!isNamed) throw new AccountRefused('fields', 'a name is missing')
    return { name, login: '' }
  }
  if (!isNamed || password === '' || (invitation.kind !== 'credentials' && login === ''))
    throw new AccountRefused('fields', 'a field is missing')
  if (password !== again) throw new AccountRefused('differ', 'the passwords differ')
  return { name, login, password: await passwords.make(password, [login, name]) }
}

/** @throws AccountRefused */
async function fulfil(
  { accounts, secrets, makeUser, endAll, record }: InvitationPagesParts,
  invitation: Invitation,
  { name, login, password }: Given,
): Promise<void> {
  switch (invitation.kind) {
    case 'credentials': {
      // Whoever lost the password may have lost the phone with it: the second factor is set up anew.
      await accounts.changePerson(invitation.person, ({ totp: _, recovery: __, ...was }) => ({
        ...was,
        ...(password !== undefined && { password }),
      }))
      await endAll(invitation.person)
      await record({
        kind: 'account-changed',
        outcome: 0,
        why: 'credentials-renewed',
        person: { subject: invitation.subject },
      })
      return
    }
    case 'first': {
      // Of two links, and of two processes, one makes the first administrator.
      if ((await accounts.hasAdministrator()) || !(await secrets.swap(firstKey, undefined, 'made')))
        throw new AccountRefused('absent', 'there is an administrator already')
      try {
        const user = await makeUser(name)
        const account = await accounts.create({ name, role: firstRole, user, userName: login, password }, 'operator')
        await record(changed('account-changed', 'first-administrator', 'operator', account))
      } catch (error) {
        await secrets.drop(firstKey)
        throw error
      }
      return
    }
    case 'account': {
      const { kind: _, contact, ...wanted } = invitation
      // Who invited was allowed to, when the invitation was written.
      const account = await accounts.create(
        { ...wanted, name, contacts: [contact], password, ...(login !== '' && { userName: login }) },
        'operator',
      )
      await record(changed('account-changed', 'invitation-accepted', 'operator', account))
    }
  }
}
