/**
 * Signing in, step by step: what was proven, what is still asked for, and the session at the end.
 *
 * https://pages.nist.gov/800-63-4/sp800-63b.html
 *
 * Pages and the JSON endpoints are two ways to walk the same steps. A step is kept by us under a name the browser or app
 * holds, so that nothing that was proven can be claimed by whoever did not prove it.
 */
import type { Origin } from '../../interactions/index.js'
import type { Secrets } from '../../store/index.js'
import type { AccountStore, Person, StoredAccount } from './accounts.js'
import { type Attempts, type Counted, limits } from './attempts.js'
import { change, readJson } from './change.js'
import { type Contact, loginOf } from './contact.js'
import { fingerprint, type Keyed, token } from './keyed.js'
import type { OneTimeCodes } from './one-time-code.js'
import type { Passwords } from './passwords.js'
import { isPatientRole } from './ranks.js'
import { actor, type Recorder } from './record.js'
import { SignInRefused } from './refused.js'
import type { Session, Sessions } from './sessions.js'
import { claimStep, newRecoveryCodes, newSecret, recoveryText, stepOf } from './totp.js'

/** Where a request comes from. `device` is the cookie of a device somebody has signed in on before. */
export type From = { network: string; device?: string | undefined; origin: Origin }

/** What is asked of this sign-in besides the person's own rules. */
export type Asked = {
  /** A second factor whatever the role. */
  mfa: boolean
  /** Only this account: it is signed in and proves it again. */
  subject?: string | undefined
}

type Step = {
  person: string
  /** amr values of RFC 8176. */
  methods: readonly string[]
  asked: Asked
  /** The budget a right second factor resets. */
  budget?: string
  subject?: string
  /** Of a session that goes on: its twelve hours do not begin again. */
  since?: number
  /** Sealed: the secret of an authenticator app that is being set up. */
  secret?: string
  /** Sealed: recovery codes the person has not confirmed to have kept. */
  codes?: string
}

/** What is asked for next. */
export type Next =
  | { need: 'totp'; recoveryLeft: number }
  | { need: 'code'; contact: Contact }
  | { need: 'role'; accounts: readonly StoredAccount[] }
  | { need: 'enrol'; secret: string; label: string }
  | { need: 'codes'; codes: readonly string[] }
  | { need: 'nothing'; account: StoredAccount; methods: readonly string[] }

export type Done = { account: StoredAccount; session: Session; cookie: string; device: string }

export type SignIns = {
  /** @throws SignInRefused */
  password(step: string, given: { login: string; password: string }, asked: Asked, from: From): Promise<void>
  /** A code for a patient or guardian; the same for a contact nobody has. @throws SignInRefused */
  sendCode(contact: Contact, from: From): Promise<void>
  /** @throws SignInRefused */
  code(step: string, given: { contact: Contact; code: string }, asked: Asked, from: From): Promise<void>
  /** A person whose session is young enough to be asked for the second factor alone. */
  resume(step: string, session: Session, asked: Asked): Promise<void>
  /** undefined when nothing was proven yet, or too long ago. */
  next(step: string): Promise<Next | undefined>
  /** The second steps. @throws SignInRefused */
  totp(step: string, code: string, from: From): Promise<void>
  recovery(step: string, code: string, from: From): Promise<void>
  enrol(step: string, code: string, from: From): Promise<void>
  /** The code for a patient who gave a password. */
  sendSecondCode(step: string, from: From): Promise<void>
  secondCode(step: string, code: string, from: From): Promise<void>
  kept(step: string): Promise<void>
  /** Whether the account is one of the person's. */
  choose(step: string, subject: string): Promise<boolean>
  /** Once nothing is needed any more. `cookie` is the session of before. */
  complete(step: string, cookie: string | undefined, from: From): Promise<Done | undefined>
}

export type SignInParts = {
  secrets: Secrets
  keys: Keyed
  accounts: AccountStore
  passwords: Passwords
  oneTime: OneTimeCodes
  attempts: Attempts
  sessions: Sessions
  clock(): number
  needsSecondFactor(role: string): boolean
  /** Starts a message on its way and returns at once, so that nobody can tell by the time whether there was one. */
  sendCodeTo(person: Person, contact: Contact, code: string): void
  record: Recorder
}

/** Between the first step and the last. */
const stepMs = 15 * 60_000

/** Of the cookie of a known device. */
export const deviceMs = 180 * 24 * 3_600_000

const personsOfDeviceMax = 50

export function signIns(parts: SignInParts): SignIns {
  const { secrets, keys, accounts, passwords, oneTime, attempts, sessions, clock, record } = parts
  const stepKey = (step: string): string => `people/step/${fingerprint(step)}`
  const deviceKey = (device: string): string => `people/device/${fingerprint(device)}`

  const knows = async (device: string | undefined, person: Person | undefined): Promise<boolean> =>
    device !== undefined &&
    person !== undefined &&
    ((await readJson<string[]>(secrets, deviceKey(device))) ?? []).includes(person.id)

  /** Whose tries are counted together: those of a device the person knows, or else of the network. */
  const sideOf = (known: boolean, { network, device }: From): string =>
    known ? `device ${device}` : `network ${network}`

  const begin = (step: string, value: Step): Promise<void> =>
    secrets.put(stepKey(step), JSON.stringify(value), clock() + stepMs)

  const changeStep = (step: string, next: (was: Step) => Step): Promise<Step | undefined> =>
    change<Step, Step | undefined>(secrets, stepKey(step), (was) => {
      const now = was && next(was)
      return now ? { now, expires: clock() + stepMs, answer: now } : { answer: undefined }
    })

  /** @throws SignInRefused code: whoever comes too late begins again */
  const current = async (step: string): Promise<{ step: Step; person: Person }> => {
    const found = await readJson<Step>(secrets, stepKey(step))
    const person = found && (await accounts.person(found.person))
    if (!found || !person) throw new SignInRefused('code')
    return { step: found, person }
  }

  const accountsFor = async (person: Person, { subject }: Asked): Promise<StoredAccount[]> => {
    const own = await accounts.accountsOf(person)
    return subject === undefined ? own : own.filter((account) => account.subject === subject)
  }

  const refuse = async (kind: 'credentials' | 'code', person: Person | undefined, from: From): Promise<never> => {
    // A name that was typed is not told: it may be a password in the wrong field.
    const why = kind === 'credentials' ? 'wrong-password' : 'wrong-code'
    await record({ kind: 'sign-in', outcome: 4, why, ...(person && { person: named(person) }) }, from.origin)
    throw new SignInRefused(kind)
  }

  /** Counts a try of a second factor; right is undone, wrong stays. */
  const second = async (
    id: string,
    from: From,
    method: readonly string[],
    isRight: (found: { step: Step; person: Person }) => Promise<boolean>,
  ): Promise<void> => {
    const found = await current(id)
    const { step, person } = found
    const known = await knows(from.device, person)
    const side = keys.digest('second', `${person.id} ${sideOf(known, from)}`)
    const counted = [await attempts.count(`second/${side}`, limits.signIn)]
    if (!known)
      counted.push(await attempts.count(`second-anywhere/${keys.digest('second', person.id)}`, limits.secondAnywhere))
    if (!(await isRight(found))) return refuse('code', person, from)
    await Promise.all(counted.map((each) => each.undo()))
    if (step.budget !== undefined) await attempts.forget(step.budget)
    await changeStep(id, (was) => ({ ...was, methods: [...new Set([...was.methods, ...method, 'mfa'])] }))
  }

  const withPassword: SignIns['password'] = async (id, { login, password }, asked, from) => {
    const name = loginOf(login.slice(0, 300))
    const person = await accounts.byLogin(name)
    const known = await knows(from.device, person)
    const networkKey = `network/${keys.digest('network', from.network)}`
    if (!known) await attempts.check(networkKey, limits.network)
    // By what was typed and not by whose it is: that two names are one person's must not show.
    const budget = `sign-in/${keys.digest('sign-in', `${name} ${sideOf(known, from)}`)}`
    const counted: Counted[] = []
    const undo = (): Promise<unknown> => Promise.all(counted.map((each) => each.undo()))
    let checked: { right: boolean; renewed?: string }
    try {
      counted.push(await attempts.count(budget, limits.signIn))
      if (!known) counted.push(await attempts.count(`anywhere/${keys.digest('sign-in', name)}`, limits.signInAnywhere))
      checked = await passwords.check(password, person?.password)
    } catch (error) {
      await undo()
      throw error
    }
    const own = person && checked.right ? await accountsFor(person, asked) : []
    if (!person || own.length === 0) {
      if (!known) await attempts.count(networkKey, limits.network).catch(() => {})
      return refuse('credentials', person, from)
    }
    await undo()
    const { renewed } = checked
    if (renewed !== undefined)
      await accounts.changePerson(person.id, (was) =>
        was.password === person.password ? { ...was, password: renewed } : was,
      )
    await begin(id, { person: person.id, methods: ['pwd'], asked, budget })
  }

  return {
    password: (...given) => passwords.seated(() => withPassword(...given)),
    sendCode: async (contact, from) => {
      const found = await accounts.byLogin(contact.to)
      // Staff have no sign-in by code alone: for this door nobody has their address.
      const own = found ? await accounts.accountsOf(found) : []
      const person = own.some(({ role }) => isPatientRole(role)) ? found : undefined
      const device = (await knows(from.device, person)) ? from.device : undefined
      const sent = await oneTime.request({ contact, network: from.network, device }, person?.id)
      if (person && sent) parts.sendCodeTo(person, contact, sent.code)
    },
    code: async (id, { contact, code }, asked, from) => {
      const found = await accounts.byLogin(contact.to)
      const device = (await knows(from.device, found)) ? from.device : undefined
      let personId: string
      try {
        personId = await oneTime.verify({ contact, network: from.network, device }, code)
      } catch (error) {
        if (error instanceof SignInRefused && error.kind === 'code') return refuse('code', found, from)
        throw error
      }
      const person = await accounts.person(personId)
      const own = person ? await accountsFor(person, asked) : []
      if (!person || !own.some(({ role }) => isPatientRole(role))) return refuse('code', found, from)
      await begin(id, { person: person.id, methods: [contact.kind === 'sms' ? 'sms' : 'otp'], asked })
    },
    resume: (id, { person, subject, since }, asked) => begin(id, { person, methods: ['pwd'], asked, subject, since }),
    next,
    totp: (id, code, from) =>
      second(id, from, ['otp'], async ({ person }) => {
        if (person.totp === undefined) return false
        const at = await stepOf(keys.unseal(person.totp), digits(code), clock())
        return at !== undefined && claimStep(secrets, person.id, at, clock())
      }),
    recovery: (id, code, from) =>
      second(id, from, ['otp'], async ({ person }) => {
        const digest = keys.digest('recovery', `${person.id} ${recoveryText(code)}`)
        let isRight = false
        await accounts.changePerson(person.id, (was) => {
          isRight = was.recovery?.includes(digest) ?? false
          return isRight ? { ...was, recovery: was.recovery!.filter((each) => each !== digest) } : was
        })
        if (isRight)
          await record(
            { kind: 'account-changed', outcome: 0, why: 'recovery-code-used', person: named(person) },
            from.origin,
          )
        return isRight
      }),
    enrol: async (id, code, from) => {
      await second(id, from, ['otp'], async ({ step, person }) => {
        if (step.secret === undefined || person.totp !== undefined) return false
        const secret = keys.unseal(step.secret)
        const at = await stepOf(secret, digits(code), clock())
        if (at === undefined || !(await claimStep(secrets, person.id, at, clock()))) return false
        const codes = newRecoveryCodes()
        const recovery = codes.map((each) => keys.digest('recovery', `${person.id} ${recoveryText(each)}`))
        await accounts.changePerson(person.id, (was) =>
          was.totp === undefined ? { ...was, totp: keys.seal(secret), recovery } : was,
        )
        await changeStep(id, ({ secret: _, ...was }) => ({ ...was, codes: keys.seal(JSON.stringify(codes)) }))
        await record(
          { kind: 'account-changed', outcome: 0, why: 'second-factor-enrolled', person: named(person) },
          from.origin,
        )
        return true
      })
    },
    sendSecondCode: async (id, from) => {
      const { person } = await current(id)
      const [contact] = person.contacts
      if (!contact) throw new SignInRefused('code')
      const device = (await knows(from.device, person)) ? from.device : undefined
      const sent = await oneTime.request({ contact, network: from.network, device }, person.id)
      if (sent) parts.sendCodeTo(person, contact, sent.code)
    },
    secondCode: async (id, code, from) => {
      const { person, step } = await current(id)
      const [contact] = person.contacts
      // With the code alone the person has signed in already; it is not a second factor to itself.
      if (!contact || !step.methods.includes('pwd')) throw new SignInRefused('code')
      await second(id, from, [contact.kind === 'sms' ? 'sms' : 'otp'], async () => {
        const device = (await knows(from.device, person)) ? from.device : undefined
        try {
          return (await oneTime.verify({ contact, network: from.network, device }, digits(code))) === person.id
        } catch (error) {
          if (error instanceof SignInRefused && error.kind === 'code') return false
          throw error
        }
      })
    },
    kept: async (id) => {
      await changeStep(id, ({ codes: _, ...was }) => was)
    },
    choose: async (id, subject) => {
      const { step, person } = await current(id)
      const isOwn = allowed(await accountsFor(person, step.asked), step).some((account) => account.subject === subject)
      if (isOwn) await changeStep(id, (was) => ({ ...was, subject }))
      return isOwn
    },
    complete: async (id, cookie, from) => {
      const ready = await next(id)
      if (ready?.need !== 'nothing') return undefined
      const text = await secrets.take(stepKey(id))
      return text === undefined ? undefined : finish(ready.account, JSON.parse(text) as Step, cookie, from)
    },
  }

  async function next(id: string): Promise<Next | undefined> {
    const step = await readJson<Step>(secrets, stepKey(id))
    const person = step && (await accounts.person(step.person))
    if (!step || !person) return undefined
    if (step.codes !== undefined) return { need: 'codes', codes: JSON.parse(keys.unseal(step.codes)) as string[] }
    const isSecond = step.methods.includes('mfa')
    if (!isSecond && person.totp !== undefined) return { need: 'totp', recoveryLeft: person.recovery?.length ?? 0 }
    const own = allowed(await accountsFor(person, step.asked), step)
    const account = own.length === 1 ? own[0] : own.find(({ subject }) => subject === step.subject)
    if (!account) return own.length === 0 ? undefined : { need: 'role', accounts: own }
    const isPatient = isPatientRole(account.role)
    // A patient's password is good together with a code, a code by itself.
    const isEnough =
      isSecond ||
      (!step.asked.mfa && !parts.needsSecondFactor(account.role) && !(isPatient && step.methods.includes('pwd')))
    if (isEnough) return { need: 'nothing', account, methods: step.methods }
    const [contact] = person.contacts
    if (isPatient && contact && step.methods.includes('pwd')) return { need: 'code', contact }
    const secret = step.secret === undefined ? newSecret() : keys.unseal(step.secret)
    if (step.secret === undefined) await changeStep(id, (was) => ({ secret: keys.seal(secret), ...was }))
    return { need: 'enrol', secret, label: person.userName ?? person.contacts[0]?.to ?? person.name }
  }

  async function finish(
    account: StoredAccount,
    { methods, since }: Step,
    cookie: string | undefined,
    { device = token(), origin }: From,
  ): Promise<Done> {
    const { subject, person, role, revision } = account
    const begun = await sessions.begin({ subject, person, role, revision, methods, since }, cookie)
    await change<string[], void>(secrets, deviceKey(device), (was = []) => ({
      now: [person, ...was.filter((each) => each !== person)].slice(0, personsOfDeviceMax),
      expires: clock() + deviceMs,
      answer: undefined,
    }))
    await record({ kind: 'sign-in', outcome: 0, person: actor(account), methods }, origin)
    return { account, device, ...begun }
  }
}

const named = ({ name, subjects }: Person): { name: string; subject?: string } => ({
  name,
  ...(subjects[0] !== undefined && { subject: subjects[0] }),
})

/** A code that was sent opens the accounts of a patient or guardian, not those a person has as staff. */
const isPatientCode = ({ methods }: Step): boolean => !methods.includes('pwd')

const allowed = (accounts: StoredAccount[], step: Step): StoredAccount[] =>
  isPatientCode(step) ? accounts.filter(({ role }) => isPatientRole(role)) : accounts

const digits = (text: string): string => text.replace(/\s/g, '').slice(0, 20)
