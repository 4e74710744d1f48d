/**
 * One-time codes for patients and guardians, sent to an address or number the hospital has from them.
 *
 * https://cheatsheetseries.owasp.org/cheatsheets/Multifactor_Authentication_Cheat_Sheet.html#sms-messages-and-phone-calls
 *
 * A contact nobody has is treated like any other, with a code nobody receives: same limits, same work, same answers.
 */
import { randomInt } from 'node:crypto'
import type { Secrets } from '../../store/index.js'
import { type Attempts, limits } from './attempts.js'
import { change } from './change.js'
import type { Contact } from './contact.js'
import type { Keyed } from './keyed.js'
import { SignInRefused } from './refused.js'

export type OneTimeCodes = {
  /** `person` is who has the contact, if anybody. @throws SignInRefused tooMany */
  request(asked: Asked, person: string | undefined): Promise<{ code: string } | undefined>
  /** The person. @throws SignInRefused */
  verify(asked: Asked, code: string): Promise<string>
}

/** A device the person has signed in on has codes and limits of its own, which no stranger can use up. */
export type Asked = { contact: Contact; network: string; device?: string | undefined }

const lifeMs = 10 * 60_000
const triesMax = 5

/** `code` is a digest; `person` undefined where the contact is nobody's. */
type Kept = { code: string; person?: string; tries: number; until: number }

export function oneTimeCodes(
  secrets: Secrets,
  { digest }: Pick<Keyed, 'digest'>,
  attempts: Attempts,
  clock: () => number,
): OneTimeCodes {
  const nameOf = ({ contact, device }: Asked): string => digest('contact', `${contact.to} ${device ?? ''}`)
  const key = (asked: Asked): string => `people/one-time/${nameOf(asked)}`
  const kept = (contact: Contact, code: string): string => digest('one-time', `${contact.to} ${code}`)
  return {
    request: async (asked, person) => {
      await attempts.count(`one-time-address/${digest('network', asked.network)}`, limits.oneTimeAddress)
      const hourly = await attempts.count(`one-time-hour/${nameOf(asked)}`, limits.oneTimeHourly)
      await attempts.count(`one-time-day/${nameOf(asked)}`, limits.oneTimeDaily).catch(async (error) => {
        await hourly.undo()
        throw error
      })
      const code = String(randomInt(1_000_000)).padStart(6, '0')
      const until = clock() + lifeMs
      const now: Kept = { code: kept(asked.contact, code), tries: 0, until, ...(person !== undefined && { person }) }
      await secrets.put(key(asked), JSON.stringify(now), until)
      return person === undefined ? undefined : { code }
    },
    verify: async (asked, code) => {
      const wrong = await attempts.count(`one-time-wrong/${nameOf(asked)}`, limits.oneTimeWrong)
      const given = kept(asked.contact, code)
      const person = await change<Kept, string | undefined>(secrets, key(asked), (was) => {
        if (!was || was.tries >= triesMax) return { answer: undefined }
        // Compared as digests, whose bytes tell nothing of the code.
        const isRight = was.code === given && was.person !== undefined
        // A code that was right is spent like one that was tried too often.
        const now = { ...was, tries: isRight ? triesMax : was.tries + 1 }
        return { now, expires: was.until, answer: isRight ? was.person : undefined }
      })
      if (person === undefined) throw new SignInRefused('code')
      await wrong.undo()
      return person
    },
  }
}
