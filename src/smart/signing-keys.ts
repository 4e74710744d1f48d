/**
 * The keys that tokens are signed with: one signs, the next is already published, the last one still verifies.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#openid-connect-dynamic-client-registration-and-client-discovery-with-launch-contexts
 * https://openid.net/specs/openid-connect-core-1_0.html#RotateSigKeys
 *
 * A rotation makes the published key the signing one, so that whoever cached the key set knows it already. Private keys
 * are encrypted in the store where there is a master key.
 */
import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type JsonWebKey,
  type KeyObject,
  randomBytes,
} from 'node:crypto'
import { promisify } from 'node:util'
import type { Secrets } from '../store/index.js'

export type SigningKey = { kid: string; private: KeyObject; public: KeyObject }

type Row = { kid: string; created: number /** Until when it verifies. */; until?: number; jwk: string }
/** Newest first: the next key, the signing key, those that only verify. */
type Rows = Row[]

const name = 'smart/signing-keys'
const day = 86_400_000
const lifetimeMs = 90 * day
/** The longest token, and a day for clocks and caches. */
const graceMs = day
/** How long another process may go on signing with the key before. */
const refreshMs = 5000

type Options = { secrets: Secrets; clock: () => number; masterKey?: Uint8Array | undefined }

export class SigningKeys {
  private read: { text: string; at: number; keys: SigningKey[] } | undefined
  private reading: Promise<SigningKey[]> | undefined

  constructor(private readonly options: Options) {}

  /** The signing key first, then the next, then those that only verify. */
  async all(): Promise<SigningKey[]> {
    const { read, options } = this
    if (read && options.clock() - read.at < refreshMs) return read.keys
    this.reading ??= this.load().finally(() => {
      this.reading = undefined
    })
    return this.reading
  }

  async signing(): Promise<SigningKey> {
    return (await this.all())[0]!
  }

  /** What was read last, without waiting. */
  find(kid: string): SigningKey | undefined {
    return this.read?.keys.find((key) => key.kid === kid)
  }

  /** Of a key that another process may have made a moment ago. */
  async findFresh(kid: string): Promise<SigningKey | undefined> {
    const { read, options } = this
    // Whoever sends made-up key ids must not make us read each time.
    if (read && options.clock() - read.at > 1000) this.read = { ...read, at: 0 }
    return (await this.all()).find((key) => key.kid === kid)
  }

  async privateJwks(): Promise<{ keys: JsonWebKey[] }> {
    const keys = await this.all()
    return { keys: keys.map((key) => ({ ...key.private.export({ format: 'jwk' }), ...ofUse(key.kid) })) }
  }

  async publicJwks(): Promise<{ keys: JsonWebKey[] }> {
    const keys = await this.all()
    return { keys: keys.map((key) => ({ ...key.public.export({ format: 'jwk' }), ...ofUse(key.kid) })) }
  }

  /** The next key signs from now on; the one before verifies until the last token it signed is gone. */
  async rotate(): Promise<{ kid: string }> {
    const { secrets, clock } = this.options
    for (;;) {
      await this.load()
      const was = this.read!.text
      const [next, current, ...old] = JSON.parse(was) as Rows
      const now = clock()
      const rows: Rows = [
        await this.newRow(),
        next!,
        { ...current!, until: now + graceMs },
        ...old.filter(({ until = 0 }) => until > now),
      ]
      if (!(await secrets.swap(name, was, JSON.stringify(rows)))) continue
      await this.load()
      return { kid: next!.kid }
    }
  }

  private async load(): Promise<SigningKey[]> {
    const { secrets, clock } = this.options
    let text = await secrets.get(name)
    while (text === undefined) {
      const made = JSON.stringify([await this.newRow(), await this.newRow()])
      text = (await secrets.swap(name, undefined, made)) ? made : await secrets.get(name)
    }
    if (text !== this.read?.text) {
      const [next, current, ...old] = JSON.parse(text) as Rows
      this.read = { text, at: clock(), keys: [current!, next!, ...old].map((row) => this.opened(row)) }
      if (clock() - current!.created > 2 * lifetimeMs) await this.rotate()
    } else this.read = { ...this.read, at: clock() }
    return this.read.keys
  }

  private async newRow(): Promise<Row> {
    const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 })
    const kid = randomBytes(12).toString('base64url')
    const jwk = JSON.stringify(privateKey.export({ format: 'jwk' }))
    return { kid, created: this.options.clock(), jwk: sealed(jwk, this.options.masterKey) }
  }

  private opened({ kid, jwk }: Row): SigningKey {
    const key = JSON.parse(unsealed(jwk, this.options.masterKey)) as JsonWebKey
    const secret = createPrivateKey({ key, format: 'jwk' })
    return { kid, private: secret, public: createPublicKey(secret) }
  }
}

const ofUse = (kid: string) => ({ kid, use: 'sig', alg: 'RS256' })

const sealedPrefix = 'A256GCM.'

function sealed(text: string, key: Uint8Array | undefined): string {
  if (!key) return text
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  const bytes = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
  return sealedPrefix + Buffer.concat([nonce, cipher.getAuthTag(), bytes]).toString('base64')
}

/** The key was sealed with another master key, or with one and there is none now. */
export class MasterKeyWrong extends Error {
  override name = 'MasterKeyWrong'
}

function unsealed(text: string, key: Uint8Array | undefined): string {
  if (!text.startsWith(sealedPrefix)) return text
  if (!key) throw new MasterKeyWrong('the signing keys are encrypted; set MASTER_KEY')
  const bytes = Buffer.from(text.slice(sealedPrefix.length), 'base64')
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12))
  decipher.setAuthTag(bytes.subarray(12, 28))
  try {
    return Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()]).toString('utf8')
  } catch (cause) {
    throw new MasterKeyWrong('MASTER_KEY is not the one the signing keys were encrypted with', { cause })
  }
}
