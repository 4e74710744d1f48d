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
import { type Concepts, filterOf, find } from './code-system.js'
import type { Membership } from './terminology.js'

/** What a value set itself says of a code; undefined where only its system does. */
export type Listed = Pick<ValueSetExpansionContains, 'display' | 'designation' | 'abstract' | 'inactive'> | undefined

/** The codes by system, in order. */
export type CodeSet = Map<string, Map<string, Listed>>

/** How the value sets and code systems are found that a value set is made of; undefined where they are not. */
export type Sources = {
  valueSet(url: string): Promise<ValueSet | CodeSet | undefined>
  codeSystem(url: string, version: string | undefined): Promise<Concepts | undefined>
}

/** Most value sets one expansion may visit, and most codes it may look at on the way (half a second's work). */
const visitsMax = 500
const workMax = 2_000_000
/** A regular expression costs as much as this many comparisons. */
const regexWork = 50

/**
 * @throws FhirError not-found where something it is made of is unknown, too-costly where it is too large
 */
export async function expandValueSet(valueSet: string | ValueSet, sources: Sources): Promise<CodeSet> {
  const expansion = new Expansion(sources)
  return typeof valueSet === 'string' ? expansion.valueSet(valueSet) : expansion.codesOf(valueSet)
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
    const codes = await this.codesOf(found)
    this.open.pop()
    // Inside a circle a result lacks what the circle's other members add, so that only whole results are kept.
    if (this.metAgain >= this.open.length) {
      this.done.set(url, codes)
      this.metAgain = Number.POSITIVE_INFINITY
    }
    return codes
  }

  async codesOf(valueSet: ValueSet): Promise<CodeSet> {
    return listedCodes(valueSet) ?? (await this.compose(valueSet))
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
    if (concept)
      return new Map([
        [
          system,
          new Map(
            concept.map(({ code, display, designation }): [string, Listed] => [
              code,
              display === undefined && !designation
                ? undefined
                : { ...(display !== undefined && { display }), ...(designation && { designation }) },
            ]),
          ),
        ],
      ])
    const concepts = await this.sources.codeSystem(system, version)
    if (concepts?.parse)
      throw tooCostly(`the codes of the system ${shown(system)} cannot be listed; ask for single ones`)
    if (!concepts?.complete)
      throw notFound(`the codes of the system ${shown(system)} are not (all) known here; create its CodeSystem first`)
    const { byCode } = concepts
    const filters = (filter ?? []).map((each) => filterOf(concepts, each))
    this.spend(byCode.size * (filter ?? []).reduce((sum, { op }) => sum + (op === 'regex' ? regexWork : 1), 0))
    const codes = new Map<string, Listed>()
    for (const [code, found] of byCode) if (filters.every((passes) => passes(code, found))) codes.set(code, undefined)
    return new Map([[system, codes]])
  }
}

/** Whether a code is in a value set, by its rules; nothing is listed. */
export async function memberOf(
  valueSet: string | ValueSet,
  code: { system?: string; code: string },
  sources: Sources,
): Promise<Membership> {
  return new Question(code, sources).ask(valueSet)
}

class Question {
  private readonly open = new Set<string>()
  private visits = 0

  constructor(
    private readonly asked: { system?: string; code: string },
    private readonly sources: Sources,
  ) {}

  async ask(valueSet: string | ValueSet): Promise<Membership> {
    if (typeof valueSet !== 'string') return this.inThis(valueSet)
    if (this.open.has(valueSet)) return { result: false }
    if (++this.visits > visitsMax) throw tooCostly(`the value set imports more than ${visitsMax} others`)
    const found = await this.sources.valueSet(valueSet)
    if (!found) throw notFound(`the value set ${shown(valueSet)} is not known here; create it first`)
    this.open.add(valueSet)
    const answer = found instanceof Map ? { result: this.isListed(found) } : await this.inThis(found)
    this.open.delete(valueSet)
    return answer
  }

  private async inThis(valueSet: ValueSet): Promise<Membership> {
    const listed = listedCodes(valueSet)
    if (listed) return { result: this.isListed(listed) }
    const { compose, url } = valueSet
    if (!compose) throw notFound(`the value set ${shown(url ?? '')} has neither a compose nor a complete expansion`)
    const included = await any(compose.include, (part) => this.inPart(part))
    if (included.result === false) return included
    const excluded = await any(compose.exclude ?? [], (part) => this.inPart(part))
    if (excluded.result === true) return { result: false }
    return excluded.result === undefined ? excluded : included
  }

  private async inPart(part: ValueSetComposeInclude): Promise<Membership> {
    const ofSystem = part.system === undefined ? { result: true } : await this.inSystem(part.system, part)
    if (ofSystem.result === false) return ofSystem
    let answer: Membership = part.system === undefined && !part.valueSet ? { result: false } : ofSystem
    for (const each of part.valueSet ?? []) {
      const imported = await this.ask(each)
      if (imported.result === false) return imported
      if (imported.result === undefined) answer = imported
    }
    return answer
  }

  private async inSystem(url: string, { concept, filter, version }: ValueSetComposeInclude): Promise<Membership> {
    const { system, code } = this.asked
    if (system !== undefined && system !== url) return { result: false }
    if (concept) return { result: concept.some((each) => each.code === code) }
    const concepts = await this.sources.codeSystem(url, version)
    const found = concepts && find(concepts, code)
    if (!concepts || (!found && !concepts.complete && !concepts.parse))
      return { result: undefined, why: `the codes of the system ${shown(url)} are not (all) known here` }
    if (!found) return { result: false }
    return { result: (filter ?? []).every((each) => filterOf(concepts, each)(found.code, found.concept)) }
  }

  private isListed(codes: CodeSet): boolean {
    const { system, code } = this.asked
    return system === undefined ? [...codes.values()].some((each) => each.has(code)) : !!codes.get(system)?.has(code)
  }
}

/** True where one is, otherwise unknown where one is. */
async function any<T>(parts: T[], ask: (part: T) => Promise<Membership>): Promise<Membership> {
  let answer: Membership = { result: false }
  for (const part of parts) {
    const each = await ask(part)
    if (each.result) return each
    if (each.result === undefined) answer = each
  }
  return answer
}

/** The codes of a stored expansion; undefined where it is a page of one, or marked as incomplete. */
function listedCodes({ expansion }: ValueSet): CodeSet | undefined {
  if (!expansion?.contains || expansion.offset) return undefined
  const codes: CodeSet = new Map()
  let listed = 0
  const visit = (each: ValueSetExpansionContains) => {
    listed++
    const { system, code, abstract, inactive, display, designation } = each
    if (system !== undefined && code !== undefined && !abstract)
      addCode(codes, system, code, {
        ...(display !== undefined && { display }),
        ...(designation && { designation }),
        ...(inactive && { inactive }),
      })
    for (const inner of each.contains ?? []) visit(inner)
  }
  for (const each of expansion.contains) visit(each)
  return expansion.total !== undefined && Number(expansion.total) > listed ? undefined : codes
}

function addCode(codes: CodeSet, system: string, code: string, says: Listed): void {
  const found = codes.get(system)
  if (!found) codes.set(system, new Map([[code, says]]))
  // What was said first stands, unless nothing was.
  else if (found.get(code) === undefined) found.set(code, says)
}

function add(codes: CodeSet, more: CodeSet): void {
  for (const [system, listed] of more) for (const [code, says] of listed) addCode(codes, system, code, says)
}

function remove(codes: CodeSet, fewer: CodeSet): void {
  for (const [system, listed] of fewer) for (const code of listed.keys()) codes.get(system)?.delete(code)
}

function common(a: CodeSet, b: CodeSet): CodeSet {
  const both: CodeSet = new Map()
  for (const [system, codes] of a) {
    const others = b.get(system)
    if (!others) continue
    const kept = [...codes].filter(([code]) => others.has(code))
    both.set(system, new Map(kept.map(([code, says]): [string, Listed] => [code, says ?? others.get(code)])))
  }
  return both
}

const isWholeSystem = ({ system, concept, filter, valueSet }: ValueSetComposeInclude): boolean =>
  system !== undefined && !concept && !filter?.length && !valueSet

/** A canonical in a message, unless it is too long to be read. */
export const shown = (url: string): string => (url.length <= 200 ? url : `${url.slice(0, 200)}…`)
