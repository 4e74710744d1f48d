/**
 * The public keys of clients that keep them at a URL.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html#signature-verification
 *
 * Kept no longer than Cache-Control says, a minute where it says nothing, and never longer than an hour. A URL that does
 * not answer is not asked again for ten seconds.
 */
import { type JsonObject, parseJson } from '../fhir/index.js'
import type { SmartContext } from './smart-context.js'

export type KeySet = { keys: readonly JsonObject[] }

const silentMs = 60_000
const longestMs = 3_600_000
const failedMs = 10_000
const urlsMax = 1000
const none: KeySet = { keys: [] }

type Kept = { until: number; keys: Promise<KeySet> }

export class ClientKeys {
  private readonly kept = new Map<string, Kept>()

  constructor(private readonly context: Pick<SmartContext, 'call' | 'clock'>) {}

  async at(url: string): Promise<KeySet> {
    const now = this.context.clock()
    const known = this.kept.get(url)
    if (known && now < known.until) return known.keys
    if (this.kept.size >= urlsMax) this.kept.clear()
    const kept: Kept = { until: now + failedMs, keys: Promise.resolve(none) }
    this.kept.set(url, kept)
    kept.keys = this.fetched(url, kept)
    return kept.keys
  }

  private async fetched(url: string, kept: Kept): Promise<KeySet> {
    const { status, headers, body } = await this.context.call({ url, headers: { Accept: 'application/json' } })
    const set = status === 200 ? keySetOf(body) : undefined
    if (!set) return none
    kept.until = this.context.clock() + freshMs(headers['cache-control'] ?? '')
    return set
  }
}

function freshMs(cacheControl: string): number {
  if (/\bno-(store|cache)\b/i.test(cacheControl)) return 0
  const [, seconds] = /\bmax-age=(\d{1,9})/i.exec(cacheControl) ?? []
  return seconds === undefined ? silentMs : Math.min(Number(seconds) * 1000, longestMs)
}

function keySetOf(body: Buffer): KeySet | undefined {
  try {
    const { keys } = parseJson(body) as { keys?: unknown }
    return Array.isArray(keys) ? { keys: keys.filter(isKey) } : undefined
  } catch {
    // Whatever it is that answers there, it is no key set.
    return undefined
  }
}

/** Symmetric and private keys are nobody's public keys. */
const isKey = (key: unknown): key is JsonObject =>
  typeof key === 'object' &&
  key !== null &&
  !Array.isArray(key) &&
  /^(RSA|EC)$/.test(String((key as JsonObject)['kty'])) &&
  !('d' in key)
