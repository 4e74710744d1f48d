/**
 * People and their accounts: one person has one set of credentials, and an account for each role.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#scopes-for-requesting-identity-data
 *
 * A person with two roles signs in as one or the other and never as both, so that what was done is recorded under the
 * role it was done in.
 */
import { randomUUID } from 'node:crypto'
import type { Ref } from '../../fhir/index.js'
import type { Secrets } from '../../store/index.js'
import type { Account } from '../account.js'
import { change, readJson } from './change.js'
import { type Contact, contactOf, loginOf, userNameOf } from './contact.js'
import type { Keyed } from './keyed.js'
import { type Granter, isAdministrator, mayGrant } from './ranks.js'
import { AccountRefused } from './refused.js'

export type Person = {
  id: string
  name: string
  /** Written one way (`userNameOf`). */
  userName?: string
  contacts: readonly Contact[]
  /** Argon2id, with the name of its pepper before it. */
  password?: string
  /** Sealed; there once a code of it was typed. */
  totp?: string
  /** Digests of the recovery codes that are left. */
  recovery?: readonly string[]
  /** Of messages. */
  language?: string
  /** The accounts, oldest first. */
  subjects: readonly string[]
}

export type StoredAccount = Account & { person: string }

export type NewAccount = {
  name: string
  role: string
  user: Ref
  organizations?: readonly string[] | undefined
  guardianOf?: readonly string[] | undefined
  userName?: string | undefined
  contacts?: readonly string[] | undefined
  language?: string | undefined
  /** As it is kept. */
  password?: string | undefined
  /** Another role of a person who is known. */
  person?: string | undefined
}

/** What an administrator may change of an account. */
export type AccountChange = {
  name?: string
  role?: string
  organizations?: readonly string[]
  guardianOf?: readonly string[]
  disabled?: boolean
}

export type AccountStore = {
  bySubject(subject: string): Promise<StoredAccount | undefined>
  person(id: string): Promise<Person | undefined>
  /** By user name, e-mail address or number. */
  byLogin(login: string): Promise<Person | undefined>
  /** The enabled accounts of a person, oldest first. */
  accountsOf(person: Person): Promise<StoredAccount[]>
  /** @throws AccountRefused */
  create(account: NewAccount, by: Granter): Promise<StoredAccount>
  /** Changes rights; tokens of before are refused from then on. @throws AccountRefused */
  change(subject: string, change: AccountChange, by: Granter): Promise<StoredAccount>
  /** Ends every token of the account. */
  bump(subject: string): Promise<void>
  /** @throws AccountRefused when there is no such person */
  changePerson(id: string, change: (person: Person) => Person): Promise<Person>
  /** @throws AccountRefused */
  setUserName(id: string, userName: string): Promise<void>
  /** In the order of subjects, after one of them. */
  list(limit: number, after?: string): Promise<StoredAccount[]>
  hasAdministrator(): Promise<boolean>
}

/** There is an administrator, or there was. */
export const firstKey = 'people/first'

const accountKey = (subject: string): string => `people/account/${subject}`
const personKey = (id: string): string => `people/person/${id}`

/** A name that was claimed for somebody who was then not stored is free again. */
const claimMs = 60_000

export function accountStore(secrets: Secrets, { digest }: Pick<Keyed, 'digest'>, clock: () => number): AccountStore {
  const loginKey = (login: string): string => `people/login/${digest('login', login)}`
  const bySubject = async (subject: string): Promise<StoredAccount | undefined> =>
    isPlain(subject) ? readJson<StoredAccount>(secrets, accountKey(subject)) : undefined
  const person = async (id: string): Promise<Person | undefined> =>
    isPlain(id) ? readJson<Person>(secrets, personKey(id)) : undefined

  /** All of them, or none; for good once `keep` is called. */
  const claim = async (logins: readonly string[], id: string): Promise<{ keep(): Promise<void> }> => {
    const claimed: string[] = []
    for (const key of logins.map(loginKey)) {
      if (await secrets.swap(key, undefined, id, clock() + claimMs)) claimed.push(key)
      else if ((await secrets.get(key)) !== id) {
        for (const each of claimed) await secrets.drop(each)
        throw new AccountRefused('taken', 'somebody has this user name, address or number already')
      }
    }
    return {
      keep: async () => {
        for (const each of claimed) await secrets.put(each, id)
      },
    }
  }

  const changeAccount = async (
    subject: string,
    next: (account: StoredAccount) => StoredAccount,
  ): Promise<StoredAccount> => {
    const changed = await change<StoredAccount, StoredAccount | undefined>(secrets, accountKey(subject), (was) => {
      const now = was && next(was)
      return now ? { now, answer: now } : { answer: undefined }
    })
    return changed ?? absent()
  }

  const changePerson = async (id: string, next: (person: Person) => Person): Promise<Person> => {
    const changed = await change<Person, Person | undefined>(secrets, personKey(id), (was) => {
      const now = was && next(was)
      return now ? { now, answer: now } : { answer: undefined }
    })
    return changed ?? absent()
  }

  return {
    bySubject,
    person,
    changePerson,
    byLogin: async (login) => {
      const id = await secrets.get(loginKey(loginOf(login.slice(0, 300))))
      // Two reads, whether there is such a person or not: the time tells nothing.
      return person(id ?? 'nobody')
    },
    accountsOf: async ({ subjects }) => {
      const accounts = await Promise.all(subjects.map(bySubject))
      return accounts.filter((account) => account !== undefined && !account.disabled) as StoredAccount[]
    },
    create: async (wanted, by) => {
      const { name, role, user, organizations = [], guardianOf } = wanted
      if (!mayGrant(by, { role, organizations })) throw new AccountRefused('role', 'the role is above your own')
      const subject = randomUUID()
      const known = wanted.person === undefined ? undefined : await person(wanted.person)
      if (wanted.person !== undefined && !known) return absent()
      const id = known?.id ?? randomUUID()
      const userName = wanted.userName === undefined ? undefined : checkedUserName(wanted.userName)
      const contacts = (wanted.contacts ?? []).map(checkedContact)
      const claimed = await claim([...(userName === undefined ? [] : [userName]), ...contacts.map(({ to }) => to)], id)
      const account: StoredAccount = {
        subject,
        user: { type: user.type, id: user.id },
        role,
        organizations: [...organizations],
        name,
        disabled: false,
        revision: 1,
        person: id,
        ...(guardianOf && { guardianOf: [...guardianOf] }),
      }
      await secrets.put(accountKey(subject), JSON.stringify(account))
      if (known)
        await changePerson(id, (was) => ({
          ...was,
          contacts: [...was.contacts, ...contacts.filter(({ to }) => was.contacts.every((each) => each.to !== to))],
          subjects: [...was.subjects, subject],
        }))
      else {
        const { language, password } = wanted
        const made: Person = {
          id,
          name,
          contacts,
          subjects: [subject],
          ...(userName !== undefined && { userName }),
          ...(language !== undefined && { language }),
          ...(password !== undefined && { password }),
        }
        await secrets.put(personKey(id), JSON.stringify(made))
      }
      await claimed.keep()
      return account
    },
    change: async (subject, wanted, by) => {
      const account = (await bySubject(subject)) ?? absent()
      const next = { ...account, ...wanted }
      // Both what it was and what it becomes: nobody changes who stands above them.
      if (!mayGrant(by, account) || !mayGrant(by, next)) throw new AccountRefused('role', 'the role is above your own')
      return changeAccount(subject, (was) => ({
        ...was,
        ...(wanted.name !== undefined && { name: wanted.name }),
        ...(wanted.role !== undefined && { role: wanted.role }),
        ...(wanted.organizations && { organizations: [...wanted.organizations] }),
        ...(wanted.guardianOf && { guardianOf: [...wanted.guardianOf] }),
        ...(wanted.disabled !== undefined && { disabled: wanted.disabled }),
        revision: was.revision + 1,
      }))
    },
    bump: async (subject) => {
      await changeAccount(subject, (was) => ({ ...was, revision: was.revision + 1 }))
    },
    setUserName: async (id, text) => {
      const userName = checkedUserName(text)
      const claimed = await claim([userName], id)
      const before = (await person(id))?.userName
      await changePerson(id, (was) => ({ ...was, userName }))
      await claimed.keep()
      if (before !== undefined && before !== userName) await secrets.drop(loginKey(before))
    },
    list: async (limit, after) => {
      const rows = await secrets.list(accountKey(''), limit, after === undefined ? undefined : accountKey(after))
      return rows.map(([, text]) => JSON.parse(text) as StoredAccount)
    },
    hasAdministrator: async () => {
      if ((await secrets.get(firstKey)) !== undefined) return true
      let last: string | undefined
      do {
        const rows = await secrets.list(accountKey(''), 500, last)
        if (rows.some(([, text]) => isAdministrator((JSON.parse(text) as StoredAccount).role))) {
          // Remembered: among many patients the search takes a while.
          await secrets.swap(firstKey, undefined, 'found')
          return true
        }
        last = rows.at(-1)?.[0]
      } while (last !== undefined)
      return false
    },
  }
}

/** Ids are ours; what comes back from outside may be anything. */
const isPlain = (id: string): boolean => /^[\w-]{1,64}$/.test(id)

function absent(): never {
  throw new AccountRefused('absent', 'there is no such account')
}

function checkedUserName(text: string): string {
  const userName = userNameOf(text)
  // An address as a user name is found as the address: the two must not be different people.
  if (userName === undefined)
    throw new AccountRefused('userName', 'a user name has 3 to 100 letters, digits and . _ @ -')
  return userName
}

function checkedContact(text: string): Contact {
  const contact = contactOf(text)
  if (!contact) throw new AccountRefused('contact', 'write an e-mail address, or a number that begins with +')
  return contact
}
