/**
 * Passwords, kept as argon2id.
 *
 * https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html#argon2id
 *
 * Hashing takes 20 ms and 19 MiB each time, on threads of libuv and never on the one that answers requests. How many
 * run at once is a matter of the process: all tenants share the same turns.
 */
import { createHmac } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { hash, parseOptions, verify } from '@node-rs/argon2'
import { AccountRefused } from './refused.js'
import { seats, type Turns, turns } from './turns.js'

/** The least that is made; what was made with less is made anew when its owner signs in. */
export const cost = { memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const

export const passwordLengths = { min: 12, maxBytes: 1024 } as const

/** One core is left for those who read; never more than two for each core. */
const atOnce = Math.max(1, availableParallelism() - 1)
const waitingMax = 100
const processTurns = turns({ atOnce, waitingMax })

/** A thousand who come at once must not even look up their accounts: that alone would hold up who reads. */
const seated = seats(atOnce + waitingMax)

export type Passwords = {
  /** @throws AccountRefused where the password cannot be allowed */
  make(password: string, context: readonly string[]): Promise<string>
  /** The same work where there is nothing to compare with. `renewed` replaces what was kept. */
  check(password: string, kept: string | undefined): Promise<{ right: boolean; renewed?: string }>
  /** Runs what ends in a check, unless too many are under way already. @throws SignInRefused busy */
  seated<T>(work: () => Promise<T>): Promise<T>
}

export type PasswordOptions = {
  /** The first is used for new passwords; those after it are still understood. */
  peppers: readonly string[]
  breached(password: string): Promise<boolean>
  /** For tests. */
  turns?: Turns
}

export function passwords({ peppers, breached, turns: hashing = processTurns }: PasswordOptions): Passwords {
  const rings = (peppers.length > 0 ? peppers : ['']).map(ring)
  const current = rings[0]!
  const made = (password: string): Promise<string> =>
    hashing.take(async () => `${current.name}${await hash(plain(password), { ...cost, ...current.secret })}`)
  let nobody: Promise<string> | undefined
  return {
    seated,
    make: async (password, context) => {
      await allow(password, context, breached)
      return made(password)
    },
    check: async (password, kept) => {
      if (Buffer.byteLength(password) > passwordLengths.maxBytes * 4) return { right: false }
      nobody ??= made('the password of nobody')
      const text = kept ?? (await nobody)
      const ringName = text.slice(0, text.indexOf('$'))
      const used = rings.find(({ name }) => name === ringName) ?? current
      const encoded = text.slice(ringName.length)
      const right = (await hashing.take(() => verify(encoded, plain(password), used.secret))) && kept !== undefined
      return right && (used !== current || isWeak(encoded)) ? { right, renewed: await made(password) } : { right }
    },
  }
}

/** The same characters typed on different keyboards are the same password: NIST SP 800-63B, 3.1.1.2. */
const plain = (password: string): string => password.normalize('NFKC')

const isWeak = (encoded: string): boolean => {
  const { memoryCost, timeCost } = parseOptions(encoded)
  return memoryCost < cost.memoryCost || timeCost < cost.timeCost
}

/** A pepper, and the short name that is kept with what it went into. */
function ring(pepper: string): { name: string; secret: { secret?: Uint8Array } } {
  if (pepper === '') return { name: '', secret: {} }
  const secret = createHmac('sha256', pepper).update('password').digest()
  return { name: createHmac('sha256', pepper).update('name').digest('base64url').slice(0, 8), secret: { secret } }
}

async function allow(
  password: string,
  context: readonly string[],
  breached: (password: string) => Promise<boolean>,
): Promise<void> {
  const text = plain(password)
  if ([...text].length < passwordLengths.min) throw new AccountRefused('short', 'a password has at least 12 characters')
  if (Buffer.byteLength(text) > passwordLengths.maxBytes)
    throw new AccountRefused('long', 'a password has at most 1,024 bytes')
  if (isPlayed(text, context) || (await breached(text)))
    throw new AccountRefused('known', 'the password is among those that are tried first')
}

/** One thing over and over, a run of keys, or the person's own name with a few letters around it. */
function isPlayed(password: string, context: readonly string[]): boolean {
  const text = password.toLowerCase()
  if (/^(.{1,4})\1+.{0,3}$/su.test(text)) return true
  const rows = ['abcdefghijklmnopqrstuvwxyz', '1234567890', 'qwertyuiopasdfghjklzxcvbnm', 'azertyuiopqsdfghjklmwxcvbn']
  const runs = rows.flatMap((row) => [row, [...row].reverse().join('')])
  if (runs.some((run) => (run + run).includes(text))) return true
  return context.some((word) => {
    const known = word.toLowerCase().split('@')[0]!
    return known.length >= 4 && text.includes(known) && text.length - known.length < 6
  })
}
