/**
 * The token of the next page; where it would be too long for a URL, the server keeps what it stands for.
 *
 * https://hl7.org/fhir/R4/http.html#paging
 */
import { FhirError, isObject, type Json, parseJson } from '../fhir/index.js'
import type { Reach } from '../search/index.js'
import type { Context } from './context.js'
import { seal, unseal } from './token.js'

/** Searches by POST may have thousands of values, and their next link is followed by GET. */
const tokenMax = 6000
const keptMs = 24 * 60 * 60 * 1000

export async function pageToken(context: Context, kind: string, reach: Reach, state: Json): Promise<string> {
  const token = seal(context, kind, reach, state)
  if (token.length <= tokenMax) return token
  const kept = `page:${context.newId()}`
  await context.store.secrets.put(kept, JSON.stringify(state), context.clock() + keptMs)
  return seal(context, kind, reach, { kept })
}

/** What `pageToken` was given. @throws FhirError as `unseal` does, and 410 where it was not kept so long */
export async function pageState(context: Context, kind: string, reach: Reach, token: string): Promise<Json> {
  const state = unseal(context, kind, reach, token)
  if (!isObject(state) || typeof state['kept'] !== 'string') return state
  const text = await context.store.secrets.get(state['kept'])
  if (text !== undefined) return parseJson(text)
  throw new FhirError(410, [
    { severity: 'error', code: 'expired', diagnostics: 'the page link is too old; begin the search again' },
  ])
}
