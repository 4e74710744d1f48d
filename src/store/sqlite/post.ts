/**
 * From the index entries of a resource to what is stored of them.
 *
 * https://hl7.org/fhir/R4/search.html
 */
import type { Ref } from '../../fhir/index.js'
import { fold, type IndexEntry } from '../../search/index.js'
import { type Kind, unnamed } from './dictionary.js'
import { digest } from './digest.js'
import type { TextParam } from './full-text.js'
import type { Names } from './names.js'
import type { ComponentValue, Posted } from './posted.js'
import { seriesOfWidth } from './series.js'

export type Source = {
  tid: number
  entries: readonly IndexEntry[]
  /** The resources it refers to, by whatever element. */
  referred: readonly number[]
  /** The number of the resource referred to; one that is not there gets a number too. */
  ridOf: (ref: Ref) => number
  /** The parameter by whose date a patient's resources of this type are kept in order. */
  dateParam: string | undefined
}

/** The words of the full texts stand beside: they are in the index alone. */
export type Post = { posted: Posted; shape: number; words: Map<TextParam, string> }

/** What stands for a component of a composite among the parameters. */
export const componentCode = (code: string, component: string | number): string =>
  `${code}${typeof component === 'number' ? `$${component}` : component}`

export function post({ tid, entries, referred, ridOf, dateParam }: Source, names: Names): Post {
  const posted: Posted = {
    intervals: [],
    targets: [],
    terms: [],
    composites: [],
    places: [],
    words: [],
    timeline: undefined,
  }
  const terms = new Map<number, Set<number>>()
  const targets = new Map<string, { pid: number; target: number }>()
  const known = new Set<number>()
  const shape = new Set<number>()
  const patients = new Set<number>()
  const words: Post['words'] = new Map()
  const param = (code: string, kind: Kind) => {
    const pid = names.param(tid, code, kind)
    shape.add(pid)
    return pid
  }
  const addTerm = (pid: number, term: number) => {
    const of = terms.get(pid)
    if (of) of.add(term)
    else terms.set(pid, new Set([term]))
  }
  const addTarget = (pid: number, target: number) => {
    targets.set(`${pid} ${target}`, { pid, target })
    known.add(target)
  }

  for (const entry of entries) {
    switch (entry.kind) {
      case 'token':
      case 'string':
      case 'uri':
      case 'reference-url': {
        const pid = param(entry.param, termKind(entry.kind))
        addTerm(pid, termOf(entry, pid, names))
        break
      }
      case 'interval':
      case 'quantity':
        posted.intervals.push(...intervalsOf(entry, entry.param, param, names))
        break
      case 'reference': {
        const target = ridOf(entry)
        addTarget(param(entry.param, 'reference'), target)
        if (entry.version !== undefined) {
          const pid = param(entry.param, 'versioned')
          addTerm(pid, names.term(pid, versioned(entry), 0, null))
        }
        if (entry.type === 'Patient') patients.add(target)
        break
      }
      case 'composite': {
        const { composite, lead } = compositeOf(entry, param, tid, names, ridOf)
        posted.composites.push(composite)
        for (const { pid, value } of lead) {
          if (value.kind === 'term') addTerm(pid, value.term)
          else if (value.kind === 'target') addTarget(pid, value.target)
          else posted.intervals.push({ pid, series: value.series, lo: value.lo, hi: value.hi })
        }
        break
      }
      case 'position':
        posted.places.push({
          pid: param(entry.param, 'position'),
          latitude: entry.latitude,
          longitude: entry.longitude,
        })
        break
      case 'text': {
        const pid = param(entry.param, 'text')
        posted.words.push({ pid, digest: digest(entry.words) })
        words.set(entry.param, entry.words)
        break
      }
    }
  }
  for (const target of referred) if (!known.has(target)) addTarget(unnamed, target)
  for (const [pid, of] of terms) posted.terms.push({ pid, terms: [...of].sort((a, b) => a - b) })
  for (const target of targets.values()) posted.targets.push(target)
  if (dateParam !== undefined && patients.size) {
    const pid = names.paramsOf(tid, dateParam).find(({ kind }) => kind === 'interval')?.pid
    if (pid !== undefined && shape.has(pid)) posted.timeline = { pid, targets: [...patients] }
  }
  return { posted, shape: names.shape([...shape].sort((a, b) => a - b)), words }
}

const termKind = (kind: 'token' | 'string' | 'uri' | 'reference-url'): Kind => (kind === 'reference-url' ? 'url' : kind)

type TermEntry = Extract<IndexEntry, { kind: 'token' | 'string' | 'uri' | 'reference-url' }>

function termOf(entry: TermEntry, pid: number, names: Names): number {
  switch (entry.kind) {
    case 'token':
      return names.term(pid, entry.code ?? null, entry.system ? names.system(entry.system) : 0, null)
    case 'string': {
      const folded = fold(entry.value)
      return names.term(pid, folded, 0, folded === entry.value ? null : entry.value)
    }
    case 'uri':
      return names.term(pid, entry.value, 0, null)
    case 'reference-url':
      return names.term(pid, entry.url, 0, null)
  }
}

export const versioned = ({ type, id, version }: Ref & { version?: string }): string =>
  `${type}/${id}/_history/${version}`

/** SQLite keeps infinities, JSON and our packing of bounds do not: the largest double says the same. */
const finite = (value: number): number => Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, value))

function intervalsOf(
  entry: Extract<IndexEntry, { kind: 'interval' | 'quantity' }>,
  code: string,
  param: (code: string, kind: Kind) => number,
  names: Names,
) {
  const lo = finite(entry.lo)
  const hi = finite(entry.hi)
  if (entry.kind === 'interval') {
    const pid = param(code, 'interval')
    return [{ pid, series: names.term(pid, seriesOfWidth(hi - lo), 0, null), lo, hi }]
  }
  const pid = param(code, 'quantity')
  const sys = entry.system ? names.system(entry.system) : 0
  const recorded = { pid, series: names.term(pid, entry.code ?? null, sys, entry.unit ?? null), lo, hi }
  if (!entry.canonical) return [recorded]
  const canonicalPid = param(code, 'canonical')
  const { canonical } = entry
  return [
    recorded,
    {
      pid: canonicalPid,
      series: names.term(canonicalPid, canonical.code, 0, null),
      lo: finite(canonical.lo),
      hi: finite(canonical.hi),
    },
  ]
}

/**
 * One component leads: its values are in the indexes, and the others are looked at in the packed entries. The first
 * whose values are exact (a code, a reference) is the most selective; `plan` chooses the same one.
 */
function compositeOf(
  entry: Extract<IndexEntry, { kind: 'composite' }>,
  param: (code: string, kind: Kind) => number,
  tid: number,
  names: Names,
  ridOf: (ref: Ref) => number,
) {
  const pid = param(entry.param, 'composite')
  const inner = (component: string, kind: Kind) => names.param(tid, componentCode(entry.param, component), kind)
  const components = entry.components.map((values) =>
    values.flatMap((value): { pid: number; value: ComponentValue }[] => {
      switch (value.kind) {
        case 'token':
        case 'string':
        case 'uri':
        case 'reference-url': {
          const pid = inner(value.param, termKind(value.kind))
          return [{ pid, value: { kind: 'term', term: termOf(value, pid, names) } }]
        }
        case 'reference': {
          const found: { pid: number; value: ComponentValue }[] = [
            { pid: inner(value.param, 'reference'), value: { kind: 'target', target: ridOf(value) } },
          ]
          if (value.version !== undefined) {
            const pid = inner(value.param, 'versioned')
            found.push({ pid, value: { kind: 'term', term: names.term(pid, versioned(value), 0, null) } })
          }
          return found
        }
        case 'interval':
        case 'quantity':
          return intervalsOf(value, value.param, inner, names).map(({ pid, series, lo, hi }) => ({
            pid,
            value: { kind: 'interval', series, lo, hi },
          }))
        default:
          return []
      }
    }),
  )
  const exact = components.findIndex((values) => values.some(({ value }) => value.kind !== 'interval'))
  const lead = components.every((values) => values.length) ? components[Math.max(exact, 0)]! : []
  return { composite: { pid, components: components.map((values) => values.map(({ value }) => value)) }, lead }
}
