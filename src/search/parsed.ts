/**
 * A search request as it comes, and as it is understood.
 *
 * https://hl7.org/fhir/R4/search.html
 */
import type { Issue } from '../fhir/index.js'
import type { Terminology } from '../terminology/index.js'
import type { Query } from './expression.js'
import type { SearchParams } from './params.js'

/**
 * `types` come from the route (one), or are absent for a search of the whole system; `_type` is among the parameters.
 * Parameters are decoded from percent-encoding, in the order in which they came.
 */
export type SearchRequest = {
  types?: string[]
  parameters: [name: string, value: string][]
  /** `Patient/1/Observation`, `Patient/1/*`: also the compartment. */
  compartment?: { type: string; id: string }
}

export type ParseContext = {
  searchParams: SearchParams
  terminology: Terminology
  baseUrls: readonly string[]
  /** Time zone of dates without one. */
  zone: string
  /** What `ap` of dates is measured from, in milliseconds since 1970; the clock if absent. */
  now?: number
  handling: 'strict' | 'lenient'
  pageSize: number
  pageSizeMax: number
}

export type Parsed = {
  query: Query
  /** What was really applied, in canonical form: the self link. */
  applied: [name: string, value: string][]
  /** With lenient handling: what was not applied, and why. */
  ignored: Issue[]
  summary?: 'true' | 'text' | 'data' | 'count' | 'false'
  elements?: string[]
  /** `_explain` was asked for. */
  explain: boolean
}
