/**
 * The second factor of an authenticator app, and the codes for when the phone is lost.
 *
 * https://www.rfc-editor.org/rfc/rfc6238
 *
 * A code is understood one step of 30 seconds early or late, and a step is used once: also when two processes are shown
 * the same code at the same moment.
 */
import { randomInt } from 'node:crypto'
import { generateSecret, generateURI, verify } from 'otplib'
import type { Secrets } from '../../store/index.js'
import { change } from './change.js'

export const stepMs = 30_000

export const newSecret = (): string => generateSecret({ length: 20 })

/** What the authenticator app scans. */
export const enrolment = (issuer: string, label: string, secret: string): string =>
  generateURI({ issuer, label, secret })

/** The step a code belongs to; undefined when it is not right. */
export async function stepOf(secret: string, code: string, now: number): Promise<number | undefined> {
  if (!/^\d{6}$/.test(code)) return undefined
  const epoch = Math.floor(now / 1000)
  const result = await verify({ secret, token: code, epoch, epochTolerance: 30 })
  return result.valid && 'timeStep' in result ? result.timeStep : undefined
}

/** Whether the step was free: of many who show the same code, one gets in. */
export const claimStep = (secrets: Secrets, person: string, step: number, now: number): Promise<boolean> =>
  change<number, boolean>(secrets, `people/totp/${person}`, (last = Number.NEGATIVE_INFINITY) =>
    // Also those before it: a code that was looked at over a shoulder is of no use once a later one was typed.
    step <= last ? { answer: false } : { now: step, expires: now + 10 * stepMs, answer: true },
  )

/** Without letters and digits that are mistaken for one another. */
const alphabet = 'abcdefghjkmnpqrstuvwxyz23456789'

/** Ten codes of 49 bits: `k7dm2-p9xwt`. */
export const newRecoveryCodes = (): string[] =>
  Array.from({ length: 10 }, () =>
    [5, 5].map((length) => Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join('')).join('-'),
  )

/** As it may be typed: capitals, spaces, without the dash. */
export const recoveryText = (typed: string): string =>
  typed
    .toLowerCase()
    .replace(/[^a-z0-9]/g, '')
    .slice(0, 64)
