/**
 * Terminology from stored value sets and code systems, and from those that come with the server.
 *
 * https://hl7.org/fhir/R4/terminology-service.html
 *
 * What is stored stands before what is built in, and what is built in before what another server is asked. Nothing is
 * answered from memory that has since changed: what was computed is kept together with the versions of everything it
 * was computed from, and is used only while those are the current ones.
 */
import type { CodeSystem, ValueSet } from 'fhir/r4.js'
import { detached, invalid, isObject, type Resource, tooCostly } from '../fhir/index.js'
import { builtIn } from './built-in.js'
import { type Concepts, closure, conceptsOf } from './code-system.js'
import type { External } from './external.js'
import { published } from './published.js'
import { Recent } from './recent.js'
import type { CanonicalType, Code, Membership, Terminology } from './terminology.js'
import { type CodeSet, expandValueSet, type Listed, memberOf, type Sources, sizeOf } from './value-set.js'

/**
 * The current resource of the type with a canonical URL (perhaps with `|version`), or by `ValueSet/id`. Its meta must
 * hold versionId and lastUpdated; what has none is computed anew each time.
 */
export type Load = (canonicalOrRef: string, type: CanonicalType) => Promise<Resource | undefined>

/** Versions of code systems that a caller wants: by URL, where the value set says none, in any case, or as a check. */
export type Pins = Partial<Record<'wanted' | 'forced' | 'checked', ReadonlyMap<string, string>>>

/** What the operations ask beyond what search and validation do. */
export interface TerminologyService extends Terminology {
  /** The resource of a canonical, stored or built in. */
  resource(canonical: string, type: CanonicalType): Promise<Resource | undefined>
  /** A code system, or undefined where nothing of it is known here. */
  concepts(url: string, version?: string): Promise<Concepts | undefined>
  /** All codes of a value set, by canonical or as it is. @throws FhirError like `expand` */
  codesOf(valueSet: string | ValueSet, limit: number, pins?: Pins): Promise<CodeSet>
  memberOf(valueSet: string | ValueSet, code: { system?: string; code: string }): Promise<Membership>
  /** Another server, where one is configured. */
  external?: External
}

/** Codes kept in memory in all, of code systems and of expansions each; about 100 bytes a code. */
const keptMax = 300_000

type Expanded = { codes: CodeSet; madeOf: Map<string, string> }

export function createTerminology(load: Load, external?: External): TerminologyService {
  const systems = new Recent<Concepts>(keptMax)
  const expansions = new Recent<Expanded>(keptMax)

  async function resource(canonical: string, type: CanonicalType) {
    const stored = await load(canonical, type)
    if (stored) return stored.resourceType === type ? { found: stored, stamp: stampOf(stored) } : undefined
    const found = builtIn(canonical, type)
    return found && { found, stamp: `built-in ${type} ${String(found['url'])}` }
  }

  async function concepts(url: string): Promise<{ concepts: Concepts; stamp: string | undefined } | undefined> {
    const system = await resource(url, 'CodeSystem')
    const known = published(url.split('|')[0]!)
    // A CodeSystem without content (as HL7's of UCUM) says less than the grammar.
    if (known && (!system || system.found['content'] === 'not-present')) return { concepts: known, stamp: 'published' }
    if (!system) return undefined
    const { found, stamp } = system
    const kept = stamp === undefined ? undefined : systems.get(stamp)
    if (kept) return { concepts: kept, stamp }
    // What is stored has passed the structural check, so that it is what its type says.
    const made = conceptsOf(found as unknown as CodeSystem)
    if (stamp !== undefined) systems.set(stamp, made, made.byCode.size + 1)
    return { concepts: made, stamp }
  }

  async function valueSet(url: string): Promise<{ found: ValueSet | CodeSet; stamp: string | undefined } | undefined> {
    const known = await resource(url, 'ValueSet')
    if (known) return { found: known.found as unknown as ValueSet, stamp: known.stamp }
    if (url.endsWith('?vs')) {
      const system = await concepts(url.slice(0, -'?vs'.length))
      if (system?.concepts.complete) {
        const codes = [...system.concepts.byCode.keys()].map((code): [string, Listed] => [code, undefined])
        return { found: new Map([[system.concepts.url, new Map(codes)]]), stamp: system.stamp }
      }
    }
    // Not kept beyond the answer: how long it may be used is for `external` to say.
    const elsewhere = url.includes(':') ? await external?.expansion(url) : undefined
    return elsewhere && { found: elsewhere, stamp: undefined }
  }

  const sourcesOf = (note: (key: string, stamp: string | undefined) => void, pins: Pins = {}): Sources => ({
    async valueSet(canonical) {
      const found = await valueSet(canonical)
      note(`ValueSet ${canonical}`, found?.stamp)
      return found?.found
    },
    async codeSystem(canonical, stated) {
      const version = pins.forced?.get(canonical) ?? stated ?? pins.wanted?.get(canonical)
      const versioned = version === undefined ? canonical : `${canonical}|${version}`
      const found = await concepts(versioned)
      note(`CodeSystem ${versioned}`, found?.stamp)
      const checked = pins.checked?.get(canonical)
      if (checked !== undefined && found && found.concepts.version !== checked)
        throw invalid(`the value set uses another version of ${canonical} than the one that is demanded`)
      return found?.concepts
    },
  })

  const unnoted = () => undefined

  async function isCurrent({ madeOf }: Expanded): Promise<boolean> {
    for (const [key, stamp] of madeOf) {
      const [type, url] = [key.slice(0, key.indexOf(' ')), key.slice(key.indexOf(' ') + 1)]
      const now = type === 'ValueSet' ? await valueSet(url) : await concepts(url)
      if (now?.stamp !== stamp) return false
    }
    return true
  }

  async function expanded(url: string): Promise<CodeSet> {
    const kept = expansions.get(url)
    if (kept && (await isCurrent(kept))) return kept.codes
    const madeOf = new Map<string, string>()
    let keepable = true
    const note = (key: string, stamp: string | undefined) => {
      if (stamp === undefined) keepable = false
      else madeOf.set(detached(key), stamp)
    }
    const codes = await expandValueSet(url, sourcesOf(note))
    if (keepable) expansions.set(detached(url), { codes, madeOf }, sizeOf(codes) + 1)
    return codes
  }

  async function codesOf(wanted: string | ValueSet, limit: number, pins?: Pins): Promise<CodeSet> {
    const codes =
      typeof wanted === 'string' && !pins
        ? await expanded(wanted)
        : await expandValueSet(wanted, sourcesOf(unnoted, pins))
    if (sizeOf(codes) > limit) throw tooCostly(`the value set has more than ${limit} codes; use a smaller one`)
    return codes
  }

  async function member(wanted: string | ValueSet, code: { system?: string; code: string }): Promise<Membership> {
    const answer = await memberOf(wanted, code, sourcesOf(unnoted))
    if (answer.result !== undefined || typeof wanted !== 'string' || code.system === undefined) return answer
    return (await external?.member(wanted, { ...code, system: code.system })) ?? answer
  }

  return {
    async expand(url, limit) {
      const codes = await codesOf(url, limit)
      return [...codes].flatMap(([system, listed]) => [...listed.keys()].map((code): Code => ({ system, code })))
    },

    async related({ system, code }, direction, limit) {
      const found = system === '' ? undefined : await concepts(system)
      if (!found?.concepts.byCode.has(code)) return [{ system, code }]
      const codes = closure(found.concepts, code, direction)
      if (codes.size > limit) throw tooCostly(`more than ${limit} codes are ${direction} the code; use a narrower one`)
      return [...codes].map((each) => ({ system, code: each }))
    },

    holds: member,
    memberOf: member,
    codesOf,
    resource: async (canonical, type) => (await resource(canonical, type))?.found,
    concepts: async (url, version) => (await concepts(version === undefined ? url : `${url}|${version}`))?.concepts,
    ...(external && { external }),
  }
}

/** Identifies a version of a resource for ever; undefined for one that is not stored. */
function stampOf({ resourceType, id, meta }: Resource): string | undefined {
  if (!isObject(meta) || typeof meta['versionId'] !== 'string') return undefined
  return `${resourceType}/${id}/${meta['versionId']}/${String(meta['lastUpdated'])}`
}
