/**
 * Idempotency-Key: a request sent twice is done once, and answered the same both times.
 *
 * https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header
 *
 * The key is claimed in the same commit as what it protects, so there is no moment in which one is durable without
 * the other, and no request that is "still running" after a crash.
 */
import { createHash } from 'node:crypto'
import { business, invalid } from '../fhir/index.js'
import { type Claim, CommitRefused } from '../store/index.js'
import type { Context } from './context.js'

/** How long a key is remembered. */
export const keptMs = 24 * 60 * 60 * 1000

/**
 * Runs `perform`, which commits the claim it is given (made from what it will answer), or repeats the answer of the
 * first request with this key.
 */
export async function once<T>(
  { caller, clock }: Context,
  { key, content }: { key: string | undefined; content: () => readonly string[] },
  perform: (claim: (answer: unknown) => Claim[]) => Promise<T>,
  repeat: (answer: unknown) => Promise<T>,
): Promise<T> {
  if (key === undefined) return perform(() => [])
  if (key.length < 1 || key.length > 512) throw invalid('an Idempotency-Key has 1 to 500 characters')
  const fingerprint = hash(content())
  try {
    return await perform((answer) => [
      // Hashed, because clients are known to put business data into such keys.
      {
        key: `once:${hash([caller.id, key])}`,
        value: JSON.stringify([fingerprint, answer]),
        expires: clock() + keptMs,
      },
    ])
  } catch (error) {
    if (!(error instanceof CommitRefused) || error.reason.kind !== 'claim') throw error
    const [first, answer] = JSON.parse(error.reason.value) as [string, unknown]
    if (first !== fingerprint)
      throw business('this Idempotency-Key was used for another request; take a new one', undefined, { cause: error })
    return repeat(answer)
  }
}

function hash(parts: readonly string[]): string {
  const sum = createHash('sha256')
  for (const part of parts) sum.update(`${part.length}:${part}`)
  return sum.digest('base64url')
}
