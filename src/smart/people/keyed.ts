/**
 * What the people of a tenant are protected with: one secret key, from which all others are derived.
 *
 * https://www.rfc-editor.org/rfc/rfc5869
 *
 * The master key, when there is one, is kept outside the database: whoever has the database alone cannot read the secrets
 * of authenticator apps.
 */
import { createCipheriv, createDecipheriv, createHash, createHmac, hkdfSync, randomBytes } from 'node:crypto'
import type { Secrets } from '../../store/index.js'

export type Keyed = {
  /** A name nobody can guess back: of contacts, user names and codes. `purpose` keeps the uses apart. */
  digest(purpose: string, text: string): string
  seal(text: string): string
  unseal(sealed: string): string
  /** Of the forms of the pages. */
  formKey: Uint8Array
}

export async function keyed(secrets: Secrets, masterKey?: Uint8Array): Promise<Keyed> {
  await secrets.swap('people/key', undefined, randomBytes(32).toString('base64url'))
  const root = Buffer.from((await secrets.get('people/key'))!, 'base64url')
  const derived = (purpose: string, salt: Uint8Array | string): Buffer =>
    Buffer.from(hkdfSync('sha256', root, salt, purpose, 32))
  // Names must be found again when the master key changes, so that it is not in theirs.
  const naming = derived('names', '')
  // What was sealed before there was a master key can still be opened.
  const sealing = [...(masterKey ? [masterKey] : []), ''].map((salt) => derived('sealing', salt))
  return {
    digest: (purpose, text) => createHmac('sha256', naming).update(`${purpose} ${text}`).digest('base64url'),
    seal: (text) => {
      const iv = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', sealing[0]!, iv)
      const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
      return Buffer.concat([iv, cipher.getAuthTag(), body]).toString('base64url')
    },
    unseal: (sealed) => {
      const bytes = Buffer.from(sealed, 'base64url')
      for (const key of sealing) {
        const text = opened(bytes, key)
        if (text !== undefined) return text
      }
      throw new Error('a secret was sealed with another MASTER_KEY')
    },
    formKey: derived('forms', ''),
  }
}

function opened(bytes: Buffer, key: Buffer): string | undefined {
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12))
  decipher.setAuthTag(bytes.subarray(12, 28))
  try {
    return Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()]).toString('utf8')
  } catch {
    return undefined
  }
}

/** Of what is long and random by itself: session ids, tokens. */
export const fingerprint = (secret: string): string => createHash('sha256').update(secret).digest('base64url')

export const token = (): string => randomBytes(32).toString('base64url')
