/**
 * How a person is reached and called: e-mail addresses, mobile numbers, user names, each written in one way only.
 *
 * https://www.itu.int/rec/T-REC-E.164
 */
export type Contact = { kind: 'email' | 'sms'; to: string }

/** undefined when it is neither an address nor an international number. */
export function contactOf(text: string): Contact | undefined {
  const plain = text.normalize('NFKC').trim()
  if (plain.length > 254) return undefined
  if (/^[^\s@<>"(),:;\\[\]]{1,64}@[a-z0-9.-]{1,190}\.[a-z0-9-]{2,63}$/i.test(plain))
    return { kind: 'email', to: plain.toLowerCase() }
  const number = plain.replace(/[\s().-]/g, '')
  return /^\+[1-9]\d{6,14}$/.test(number) ? { kind: 'sms', to: number } : undefined
}

/** undefined when it cannot be a user name. */
export function userNameOf(text: string): string | undefined {
  const plain = text.normalize('NFKC').trim().toLowerCase()
  return /^[\p{L}\p{N}._@-]{3,100}$/u.test(plain) ? plain : undefined
}

/** What somebody typed to be found by: a user name, an address or a number. */
export const loginOf = (text: string): string => contactOf(text)?.to ?? text.normalize('NFKC').trim().toLowerCase()

/** `a…@example.org`, `+256…12`: enough to recognise one's own. */
export function veiled({ kind, to }: Contact): string {
  if (kind === 'sms') return `${to.slice(0, 4)}…${to.slice(-2)}`
  const at = to.lastIndexOf('@')
  return `${to.slice(0, 1)}…${to.slice(at)}`
}
