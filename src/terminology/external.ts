/**
 * Another terminology server, asked about what is not known here.
 *
 * https://hl7.org/fhir/R4/terminology-service.html
 *
 * Only canonicals and codes are sent, nothing of a patient. Answers are kept for a time; where the other server cannot
 * be asked, the question is answered with 503 rather than with a guess.
 */
import type { ValueSet } from 'fhir/r4.js'
import { isObject, type Json, type JsonObject, unavailable } from '../fhir/index.js'
import { Recent } from './recent.js'
import type { Code, Membership } from './terminology.js'

export interface External {
  /** The value set with its expansion; undefined where the other server does not know it. */
  expansion(url: string): Promise<ValueSet | undefined>
  member(url: string, code: Code): Promise<Membership | undefined>
  /** The Parameters of $lookup; undefined where the other server does not know the code. */
  lookup(code: Code, displayLanguage?: string): Promise<JsonObject | undefined>
}

/** GETs a URL; throws where it cannot. It is handed in, since requests to the outside pass the guard of `access`. */
export type Ask = (url: string) => Promise<{ status: number; json(): Json }>

/** Characters of answers that are kept, and how long they are used. */
const keptMax = 8 * 1024 * 1024
const keptMs = 10 * 60_000

export function externalTerminology(base: string, ask: Ask, now: () => number = Date.now): External {
  const answers = new Recent<{ at: number; body: JsonObject | undefined }>(keptMax)

  async function get(operation: string, parameters: Record<string, string>): Promise<JsonObject | undefined> {
    const url = `${base.replace(/\/$/, '')}/${operation}?${new URLSearchParams(parameters)}`
    const known = answers.get(url)
    if (known && now() - known.at < keptMs) return known.body
    const body = await fetched(url)
    answers.set(url, { at: now(), body }, JSON.stringify(body ?? null).length + url.length)
    return body
  }

  async function fetched(url: string): Promise<JsonObject | undefined> {
    try {
      const response = await ask(url)
      // It understood, and does not know what was asked about.
      if (response.status >= 400 && response.status < 500 && ![401, 403, 408, 429].includes(response.status))
        return undefined
      const body = response.status === 200 ? response.json() : undefined
      if (isObject(body)) return body
    } catch {
      // Whatever went wrong out there: the caller is told the same.
    }
    throw unavailable('the terminology server that knows this cannot be reached; try again later')
  }

  return {
    async expansion(url) {
      const [canonical = '', version] = url.split('|')
      const body = await get('ValueSet/$expand', { url: canonical, ...(version && { valueSetVersion: version }) })
      return body?.['resourceType'] === 'ValueSet' && isExpansion(body) ? (body as unknown as ValueSet) : undefined
    },
    async member(url, { system, code }) {
      const body = await get('ValueSet/$validate-code', { url, system, code })
      const result = partsOf(body).find(({ name }) => name === 'result')?.['valueBoolean']
      return typeof result === 'boolean' ? { result } : undefined
    },
    async lookup({ system, code }, displayLanguage) {
      const body = await get('CodeSystem/$lookup', { system, code, ...(displayLanguage && { displayLanguage }) })
      return body?.['resourceType'] === 'Parameters' ? body : undefined
    },
  }
}

const partsOf = (body: JsonObject | undefined): JsonObject[] =>
  Array.isArray(body?.['parameter']) ? body['parameter'].filter(isObject) : []

/** What comes from outside is not taken for what it says it is. */
function isExpansion({ expansion }: JsonObject): boolean {
  if (!isObject(expansion)) return false
  const sound = (contains: Json | undefined, depth: number): boolean =>
    contains === undefined ||
    (Array.isArray(contains) &&
      depth < 50 &&
      contains.every(
        (each) =>
          isObject(each) &&
          ['system', 'code', 'display'].every((name) => each[name] === undefined || typeof each[name] === 'string') &&
          (each['designation'] === undefined || Array.isArray(each['designation'])) &&
          sound(each['contains'], depth + 1),
      ))
  return sound(expansion['contains'], 0)
}
