/**
 * Bundles of what was found, joined from stored bytes: no resource is parsed on its way out.
 *
 * https://hl7.org/fhir/R4/bundle.html
 */
import { type Issue, instant, operationOutcome, type Ref, writeJson, writeString } from '../fhir/index.js'
import type { Match, Stored } from '../store/index.js'
import { etag } from './etag.js'
import { isSubset, type Subset, subsetBytes } from './subset.js'

export type BundleContent = {
  type: 'searchset' | 'history'
  matches: readonly Match[]
  links: readonly Link[]
  /** Where fullUrls begin; without a final slash. */
  baseUrl: string
  total?: number
  /** Told in an entry of mode `outcome`, such as parameters that were ignored. For a searchset only. */
  issues?: readonly Issue[]
  /** `_summary` and `_elements`; without it resources are whole, and their bytes are copied. */
  subset?: Subset
}

export type Link = { relation: string; url: string }

/** The JSON of a searchset or history Bundle. */
export function writeBundle({ type, matches, links, baseUrl, total, issues = [], subset = {} }: BundleContent): Buffer {
  const pieces: Piece[] = [bundleHead({ type, links, total })]
  let separator = ',"entry":['
  const entryOf = type === 'history' ? historyEntry : searchEntry
  for (const match of matches) {
    pieces.push(separator, ...entryOf(isSubset(subset) ? subsetMatch(match, subset) : match, baseUrl))
    separator = ','
  }
  if (issues.length && type === 'searchset') {
    pieces.push(separator, outcomeEntry(issues))
    separator = ','
  }
  pieces.push(separator === ',' ? ']}' : '}')
  return join(pieces)
}

/** Text and stored bytes that follow each other in a JSON document. */
export type Piece = string | Buffer

/** The beginning of a Bundle, up to its entries; after the last entry it is closed with `]}`. */
export function bundleHead({
  type,
  links,
  total,
}: {
  type: BundleContent['type']
  links: readonly Link[]
  total?: number | undefined
}): string {
  const written = links.map(({ relation, url }) => `{"relation":${writeString(relation)},"url":${writeString(url)}}`)
  return `{"resourceType":"Bundle","type":"${type}"${total === undefined ? '' : `,"total":${total}`}${
    written.length ? `,"link":[${written.join(',')}]` : ''
  }`
}

/** One entry of a searchset. */
export function searchEntry({ stored, mode }: Match, baseUrl: string): Piece[] {
  return [`{${fullUrlOf(stored, baseUrl)},"resource":`, stored.body, `,"search":{"mode":"${mode}"}}`]
}

/** An OperationOutcome in a searchset: https://hl7.org/fhir/R4/search.html#errors */
export const outcomeEntry = (issues: readonly Issue[]): string =>
  `{"resource":${writeJson(operationOutcome([...issues]))},"search":{"mode":"outcome"}}`

/** One version in a history; a deletion has no resource. */
export function historyEntry({ stored }: Pick<Match, 'stored'>, baseUrl: string): Piece[] {
  const { type, id, version, updated, deleted, method, body } = stored
  const url = method === 'POST' ? type : `${type}/${id}`
  const status = deleted ? '204' : version === 1 || method === 'POST' ? '201' : '200'
  const before = `{${fullUrlOf(stored, baseUrl)}`
  const after = `,"request":{"method":"${method}","url":${writeString(url)}},"response":{"status":"${status}","etag":${writeString(
    etag(version),
  )},"lastModified":"${instant(updated)}"}}`
  return deleted ? [before + after] : [`${before},"resource":`, body, after]
}

function subsetMatch(match: Match, subset: Subset): Match {
  const { stored, mode } = match
  return stored.deleted ? match : { ...match, stored: withBody(stored, subsetBytes(stored, subset, mode)) }
}

const withBody = (stored: Stored, body: Buffer): Stored => ({ ...stored, body })

/** The pieces as one buffer. Texts that follow each other are written together: each write costs more than its bytes. */
export function join(pieces: readonly Piece[]): Buffer {
  const runs: Piece[] = []
  let text = ''
  let length = 0
  for (const piece of pieces) {
    if (typeof piece === 'string') {
      text += piece
      continue
    }
    length += Buffer.byteLength(text) + piece.length
    runs.push(text, piece)
    text = ''
  }
  length += Buffer.byteLength(text)
  runs.push(text)
  const whole = Buffer.allocUnsafe(length)
  let at = 0
  for (const run of runs) at += typeof run === 'string' ? whole.write(run, at) : run.copy(whole, at)
  return whole
}

/** `"fullUrl":"…"` of a resource; ids and types have nothing that JSON escapes. */
function fullUrlOf({ type, id }: Ref, baseUrl: string): string {
  if (quoted.baseUrl !== baseUrl) quoted = { baseUrl, text: `"fullUrl":${writeString(baseUrl).slice(0, -1)}/` }
  return `${quoted.text}${type}/${id}"`
}

/** The base URL is the same for every entry, nearly always also for every Bundle. */
let quoted = { baseUrl: '', text: '"fullUrl":"/' }
