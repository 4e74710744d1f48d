/**
 * The value by which a resource is sorted, as every store must compute it.
 *
 * https://hl7.org/fhir/R4/search.html#sort
 */
import { fold, type IndexEntry, type Sort } from './expression.js'

/** Longer texts sort by their beginning, so that the place of a page fits into a URL. */
const codePoints = 64

/** The key of one entry; undefined for entries that cannot be sorted by. */
export function sortKeyOf(entry: IndexEntry, descending: boolean): string | number | undefined {
  switch (entry.kind) {
    case 'token':
      return entry.code === undefined ? undefined : cut(entry.code)
    case 'string':
      return cut(fold(entry.value))
    case 'uri':
      return cut(entry.value)
    case 'reference':
      return `${entry.type}/${entry.id}`
    case 'reference-url':
      return cut(entry.url)
    case 'interval':
      return descending ? entry.hi : entry.lo
    case 'quantity': {
      const { lo, hi } = entry.canonical ?? entry
      return descending ? hi : lo
    }
    case 'composite':
    case 'position':
    case 'text':
      return undefined
  }
}

/** The keys of one resource; null where it has none. */
export function sortKeys(
  subject: { id: string; updated: number; entries: readonly IndexEntry[] },
  sort: readonly Sort[],
): (string | number | null)[] {
  return sort.map(({ param, descending }) => {
    if (param === '_id') return subject.id
    if (param === '_lastUpdated') return subject.updated
    let best: string | number | null = null
    for (const entry of subject.entries) {
      if (entry.param !== param) continue
      const key = sortKeyOf(entry, descending)
      if (key === undefined) continue
      if (best === null || (descending ? compareKeys(key, best) > 0 : compareKeys(key, best) < 0)) best = key
    }
    return best
  })
}

/** Numbers as numbers, texts by code point, numbers before texts, null last. */
export function compareKeys(a: string | number | null, b: string | number | null): number {
  if (a === b) return 0
  if (a === null) return 1
  if (b === null) return -1
  if (typeof a === 'number') return typeof b === 'number' ? a - b : -1
  if (typeof b === 'number') return 1
  return compareText(a, b)
}

/** UTF-16 units order like code points, except that surrogates come after U+E000 to U+FFFF. */
function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) return rank(x) - rank(y)
  }
  return a.length - b.length
}

const rank = (unit: number): number => (unit < 0xd800 ? unit : unit >= 0xe000 ? unit - 0x800 : unit + 0x2000)

function cut(text: string): string {
  if (text.length <= codePoints) return text
  let end = 0
  for (let i = 0; i < codePoints && end < text.length; i++) end += text.codePointAt(end)! > 0xffff ? 2 : 1
  return text.slice(0, end)
}
