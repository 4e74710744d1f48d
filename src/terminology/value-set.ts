/**
 * The codes of a value set: its expansion where it has one, otherwise what its compose includes and excludes.
 *
 * https://hl7.org/fhir/R4/valueset.html#compositions
 *
 * Value sets may include each other. One that leads back to itself adds nothing by doing so; how many are visited and
 * how many codes are handled on the way is limited.
 */
import type { ValueSet, ValueSetComposeInclude, ValueSetExpansionContains } from 'fhir/r4.js'
import { notFound, tooCostly } from '../fhir/index.js'
import { type Concepts, filtered } from './code-system.js'

/** The codes by system. */
export type CodeSet = Map<string, Set<string>>

/** How the value sets and code systems are found that a value set is made of; undefined where they are not. */
export type Sources = {
  valueSet(url: string): Promise<ValueSet | CodeSet | undefined>
  codeSystem(url: string, version: string | undefined): Promise<Concepts | undefined>
}

/** Most value sets one expansion may visit, and most codes it may look at on the way (half a second's work). */
const visitsMax = 500
const workMax = 2_000_000

/**
 * @throws FhirError not-found where something it is made of is unknown, too-costly where it is too large
 */
export async function expandValueSet(url: string, sources: Sources): Promise<CodeSet> {
  return new Expansion(sources).valueSet(url)
}

export const sizeOf = (codes: CodeSet): number => {
  let size = 0
  for (const each of codes.values()) size += each.size
  return size
}

class Expansion {
  private readonly open: string[] = []
  private readonly done = new Map<string, CodeSet>()
  private visits = 0
  private work = 0
  /** The outermost open value set that was met again since the innermost was opened. */
  private metAgain = Number.POSITIVE_INFINITY

  constructor(private readonly sources: Sources) {}

  async valueSet(url: string): Promise<CodeSet> {
    const done = this.done.get(url)
    if (done) return done
    const place = this.open.indexOf(url)
    if (place >= 0) {
      this.metAgain = Math.min(this.metAgain, place)
      return new Map()
    }
    if (++this.visits > visitsMax) throw tooCostly(`the value set imports more than ${visitsMax} others`)
    const found = await this.sources.valueSet(url)
    if (!found) throw notFound(`the value set ${shown(url)} is not known here; create it first`)
    if (found instanceof Map) return found
    this.open.push(url)
    const codes = listedCodes(found) ?? (await this.compose(found))
    this.open.pop()
    // Inside a circle a result lacks what the circle's other members add, so that only whole results are kept.
    if (this.metAgain >= this.open.length) {
      this.done.set(url, codes)
      this.metAgain = Number.POSITIVE_INFINITY
    }
    return codes
  }

  private async compose({ compose, url }: ValueSet): Promise<CodeSet> {
    if (!compose) throw notFound(`the value set ${shown(url ?? '')} has neither a compose nor a complete expansion`)
    const codes: CodeSet = new Map()
    for (const include of compose.include) add(codes, await this.part(include))
    for (const exclude of compose.exclude ?? [])
      if (isWholeSystem(exclude)) codes.delete(exclude.system!)
      else remove(codes, await this.part(exclude))
    return codes
  }

  /** One include or exclude: what its system gives and what all its value sets have in common. */
  private async part(part: ValueSetComposeInclude): Promise<CodeSet> {
    let codes = part.system === undefined ? undefined : await this.ofSystem(part.system, part)
    for (const canonical of part.valueSet ?? []) {
      const imported = await this.valueSet(canonical)
      codes = codes ? common(codes, imported) : imported
    }
    if (codes) this.spend(sizeOf(codes))
    return codes ?? new Map()
  }

  private spend(work: number): void {
    this.work += work
    if (this.work > workMax) throw tooCostly('the value set is made of too many codes; use a smaller one')
  }

  private async ofSystem(system: string, { concept, filter, version }: ValueSetComposeInclude): Promise<CodeSet> {
    if (concept) return new Map([[system, new Set(concept.map(({ code }) => code))]])
    const concepts = await this.sources.codeSystem(system, version)
    if (!concepts?.complete)
      throw notFound(`the codes of the system ${shown(system)} are not (all) known here; create its CodeSystem first`)
    if (!filter?.length) return new Map([[system, new Set(concepts.byCode.keys())]])
    this.spend(concepts.byCode.size * filter.length)
    const [first, ...others] = filter.map((each) => filtered(concepts, each))
    return new Map([[system, new Set([...first!].filter((code) => others.every((other) => other.has(code))))]])
  }
}

/** The codes of a stored expansion; undefined where it is a page of one, or marked as incomplete. */
function listedCodes({ expansion }: ValueSet): CodeSet | undefined {
  if (!expansion?.contains || expansion.offset) return undefined
  const codes: CodeSet = new Map()
  let listed = 0
  const visit = ({ system, code, abstract, contains = [] }: ValueSetExpansionContains) => {
    listed++
    if (system !== undefined && code !== undefined && !abstract) addCode(codes, system, code)
    for (const each of contains) visit(each)
  }
  for (const each of expansion.contains) visit(each)
  return expansion.total !== undefined && Number(expansion.total) > listed ? undefined : codes
}

function addCode(codes: CodeSet, system: string, code: string): void {
  const found = codes.get(system)
  if (found) found.add(code)
  else codes.set(system, new Set([code]))
}

function add(codes: CodeSet, more: CodeSet): void {
  for (const [system, listed] of more) for (const code of listed) addCode(codes, system, code)
}

function remove(codes: CodeSet, fewer: CodeSet): void {
  for (const [system, listed] of fewer) for (const code of listed) codes.get(system)?.delete(code)
}

function common(a: CodeSet, b: CodeSet): CodeSet {
  const both: CodeSet = new Map()
  for (const [system, codes] of a) {
    const others = b.get(system)
    if (others) both.set(system, new Set([...codes].filter((code) => others.has(code))))
  }
  return both
}

const isWholeSystem = ({ system, concept, filter, valueSet }: ValueSetComposeInclude): boolean =>
  system !== undefined && !concept && !filter?.length && !valueSet

/** A canonical in a message, unless it is too long to be read. */
const shown = (url: string): string => (url.length <= 200 ? url : `${url.slice(0, 200)}…`)
