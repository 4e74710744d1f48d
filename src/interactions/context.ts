/**
 * What every interaction is given, and what it gives back. No HTTP in sight.
 *
 * https://hl7.org/fhir/R4/http.html
 */
import type { Caller } from '../access/index.js'
import type { Resource } from '../fhir/index.js'
import type { Parsed, SearchParams } from '../search/index.js'
import type { Change, Found, Store, Stored } from '../store/index.js'
import type { TerminologyService } from '../terminology/index.js'
import type { Profiles } from '../validation/index.js'

/**
 * A hospital rule: sees each change before it is committed with what it replaces, and throws a FhirError or gives
 * further changes for the same commit. `server.ts` hands in the list; interactions know no rule. Of other types than
 * `types` it is not asked, and what it is not asked about need not be read before.
 */
export type Rule = ((change: Change, before: Stored | undefined, context: Context) => Promise<Change[]>) & {
  types?: ReadonlySet<string>
  /** Does not ask what was there before, which then need not be read for it. */
  onlyAfter?: true
}

export type Context = {
  caller: Caller
  store: Store
  rules: Rule[]
  /** The search parameters in force now: R4's and the uploaded ones. */
  searchParams: SearchParams
  terminology: TerminologyService
  /** The profiles in force now: R4's, those of profiles/hiv and the uploaded ones. */
  profiles: Profiles
  clock: () => number
  newId: () => string
  /** Our own base URLs without a final slash; the first is the one links are written with. */
  baseUrls: readonly string[]
  settings: Settings
  /** The request behind it, as the audit log names it; undefined for the server's own work. */
  origin?: Origin | undefined
  /** Told of our own errors that must not fail more: of one entry of a batch, of a visit for a search parameter. */
  report?: ((error: unknown) => void) | undefined
}

/** `id` is X-Request-Id, ours where the client sent none; `address` the network address it came from. */
export type Origin = { id: string; address: string }

export type Settings = {
  /** Time zone of dates without one. */
  zone: string
  pageSize: number
  pageSizeMax: number
  /** Most resources one response or conditional delete may touch. */
  includesMax: number
  bundleEntriesMax: number
  /** Most search values of one resource: more would keep others waiting. */
  searchValuesMax: number
  /** Refuse dangling local references and deletes of what is referred to. */
  integrity: boolean
  /** 32 bytes that seal paging tokens. */
  sealingKey: Uint8Array
  handling: 'strict' | 'lenient'
  /** Whether accesses are recorded; off only while everybody may do everything. */
  audit: boolean
}

/** The preconditions a client may state. `ifNoneExist` holds search parameters as a query string. */
export type Preconditions = {
  ifMatch?: string
  ifNoneMatch?: string
  ifNoneExist?: string
  /** Idempotency-Key of the request. */
  idempotencyKey?: string
}

/** Version 0 of `stored` says that there never was such a resource (a delete of nothing). */
export type Written = { outcome: 'created' | 'updated' | 'deleted' | 'unchanged'; stored: Stored }

/** A patch as it came: JSON Patch operations, or a Parameters resource for FHIRPath Patch. */
export type PatchBody = { kind: 'json'; operations: unknown } | { kind: 'fhirpath'; parameters: Resource }

/**
 * One request inside a batch that is not a write of a resource (a read, a search, an operation): answered by the HTTP
 * layer. `affectsState` tells operations that may change something, which a transaction could not undo, from those
 * that only answer; without it every operation by POST counts as the former.
 */
export type Dispatch = ((request: BatchRequest) => Promise<BatchResponse>) & { affectsState?: (url: string) => boolean }
export type BatchRequest = {
  method: string
  url: string
  resource?: Resource
  preconditions: Preconditions
  ifNoneMatch?: string
  ifModifiedSince?: string
  prefer?: string
}
export type BatchResponse = {
  status: number
  /** Of the resource in `body`. */
  fullUrl?: string
  location?: string
  etag?: string
  lastModified?: string
  body?: Buffer
  outcome?: Resource
}

/**
 * A search's page: what was found, how the request was understood, the sealed token of the next page, and how the
 * store went about it where `_explain` asks.
 */
export type SearchResult = { found: Found; parsed: Parsed; next?: string; plan?: string[] }

/** The answer of a batch or transaction; entries stand in the order of the request. */
export type BundleAnswer = { type: 'batch-response' | 'transaction-response'; entries: BatchResponse[] }
