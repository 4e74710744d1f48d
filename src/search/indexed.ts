/**
 * What search knows of a resource: the entries that stores keep and `match` reads.
 *
 * https://hl7.org/fhir/R4/search.html#table
 */
import { type Resource, tooLarge } from '../fhir/index.js'
import type { Sink } from './entries.js'
import type { IndexEntry } from './expression.js'
import { fullTextEntries } from './full-text.js'
import { indexPlan } from './index-plan.js'
import type { SearchParams } from './params.js'

/**
 * @param options.zone time zone of dates without one
 * @param options.baseUrls our own base URLs: absolute references to them are local ones
 * @param options.entriesMax most values before they are compared with each other
 * @param options.fullText whether to index words for `_text` and `_content` (the default)
 *
 * @throws FhirError too-long where there are more
 */
export function indexed(
  resource: Resource,
  options: {
    searchParams: SearchParams
    zone: string
    baseUrls: readonly string[]
    fullText?: boolean
    entriesMax?: number
  },
): IndexEntry[] {
  const { searchParams, zone, baseUrls, fullText = true, entriesMax = Number.POSITIVE_INFINITY } = options
  const plan = indexPlan(searchParams, resource.resourceType)
  const sink: Sink = { entries: [], root: resource, zone, baseUrls }
  for (const property in resource) {
    const rules = plan.byProperty.get(property)
    if (!rules) continue
    for (const rule of rules) {
      rule(resource, sink)
      if (sink.entries.length > entriesMax)
        throw tooLarge(
          `the resource has more than ${entriesMax} values to search by; split it up, or raise SEARCH_VALUES_MAX`,
        )
    }
  }
  for (const rule of plan.always) rule(resource, sink)
  const entries = distinct(sink.entries)
  return fullText ? entries.concat(fullTextEntries(resource)) : entries
}

/** Above this many entries, comparing each with each costs more than writing them out. */
const fewEntries = 48

/** Equal entries once. */
function distinct(entries: IndexEntry[]): IndexEntry[] {
  if (entries.length <= fewEntries) {
    const kept: IndexEntry[] = []
    for (const entry of entries)
      if (!kept.some((each) => each.param === entry.param && equal(each, entry))) kept.push(entry)
    return kept
  }
  const byText = new Map<string, IndexEntry>()
  for (const entry of entries) {
    const text = JSON.stringify(entry)
    if (!byText.has(text)) byText.set(text, entry)
  }
  return [...byText.values()]
}

function equal(a: IndexEntry, b: IndexEntry): boolean {
  switch (a.kind) {
    case 'token':
      return b.kind === 'token' && a.code === b.code && a.system === b.system
    case 'string':
      return b.kind === 'string' && a.value === b.value
    case 'interval':
      return b.kind === 'interval' && a.lo === b.lo && a.hi === b.hi
    case 'reference':
      return b.kind === 'reference' && a.id === b.id && a.type === b.type && a.version === b.version
    case 'reference-url':
      return b.kind === 'reference-url' && a.url === b.url
    case 'uri':
      return b.kind === 'uri' && a.value === b.value
    case 'quantity':
      return b.kind === 'quantity' && a.lo === b.lo && a.hi === b.hi && sameUnit(a, b)
    case 'position':
      return b.kind === 'position' && a.latitude === b.latitude && a.longitude === b.longitude
    case 'composite':
    case 'text':
      return JSON.stringify(a) === JSON.stringify(b)
  }
}

const sameUnit = (a: IndexEntry & { kind: 'quantity' }, b: IndexEntry & { kind: 'quantity' }): boolean =>
  a.system === b.system && a.code === b.code && a.unit === b.unit
