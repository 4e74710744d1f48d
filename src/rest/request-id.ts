/**
 * The id a client gives its request.
 *
 * https://hl7.org/fhir/R4/http.html#custom
 */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

/** undefined where there is none, or one that could not be sent back as it came. */
export function requestIdOf({ headers }: Pick<IncomingMessage, 'headers'>): string | undefined {
  const id = headers['x-request-id']
  return typeof id === 'string' && /^[\x21-\x7e]{1,200}$/.test(id) ? id : undefined
}

/** An id of our own: its first half is this process's, the second counts. */
export const newRequestId = (): string => `${ours}${(count++).toString(16).padStart(12, '0')}`
const ours = randomUUID().slice(0, 24)
let count = 0
