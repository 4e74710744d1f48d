/**
 * The id a client gives its request.
 *
 * https://hl7.org/fhir/R4/http.html#custom
 */
import type { IncomingMessage } from 'node:http'

/** undefined where there is none, or one that could not be sent back as it came. */
export function requestIdOf({ headers }: Pick<IncomingMessage, 'headers'>): string | undefined {
  const id = headers['x-request-id']
  return typeof id === 'string' && /^[\x21-\x7e]{1,200}$/.test(id) ? id : undefined
}
