/**
 * Terminology from stored value sets and code systems, and from the value sets that R4 itself requires.
 *
 * https://hl7.org/fhir/R4/terminology-service.html
 *
 * Nothing is answered from memory that has since changed: what was computed is kept together with the versions of
 * everything it was computed from, and is used only while those are the current ones.
 */
import type { CodeSystem, ValueSet } from 'fhir/r4.js'
import { isObject, type Resource, requiredCodes, tooCostly } from '../fhir/index.js'
import { type Concepts, closure, conceptsOf } from './code-system.js'
import { Recent } from './recent.js'
import type { Code, Terminology } from './terminology.js'
import { type CodeSet, expandValueSet, sizeOf } from './value-set.js'

/**
 * The current resource of the type with a canonical URL (perhaps with `|version`), or by `ValueSet/id`. Its meta must
 * hold versionId and lastUpdated; what has none is computed anew each time.
 */
export type Load = (canonicalOrRef: string, type: 'ValueSet' | 'CodeSystem') => Promise<Resource | undefined>

/** Codes kept in memory in all, of code systems and of expansions each; about 100 bytes a code. */
const keptMax = 300_000

type Expanded = { codes: CodeSet; madeOf: Map<string, string> }

export function createTerminology(load: Load): Terminology {
  const systems = new Recent<Concepts>(keptMax)
  const expansions = new Recent<Expanded>(keptMax)

  async function concepts(url: string): Promise<{ concepts: Concepts; stamp: string | undefined } | undefined> {
    const system = await load(url, 'CodeSystem')
    if (system?.resourceType !== 'CodeSystem') return undefined
    const stamp = stampOf(system)
    const kept = stamp === undefined ? undefined : systems.get(stamp)
    if (kept) return { concepts: kept, stamp }
    // What is stored has passed the structural check, so that it is what its type says.
    const made = conceptsOf(system as unknown as CodeSystem)
    if (stamp !== undefined) systems.set(stamp, made, made.byCode.size + 1)
    return { concepts: made, stamp }
  }

  async function valueSet(url: string): Promise<{ found: ValueSet | CodeSet; stamp: string | undefined } | undefined> {
    const stored = await load(url, 'ValueSet')
    if (stored?.resourceType === 'ValueSet') return { found: stored as unknown as ValueSet, stamp: stampOf(stored) }
    if (url.endsWith('?vs')) {
      const system = await concepts(url.slice(0, -'?vs'.length))
      if (system?.concepts.complete)
        return { found: new Map([[system.concepts.url, new Set(system.concepts.byCode.keys())]]), stamp: system.stamp }
    }
    const required = requiredOf(url)
    return required && { found: required, stamp: 'R4' }
  }

  /** Expands and notes what the result was made of; a part without a stamp makes it unfit for keeping. */
  async function compute(url: string): Promise<Expanded & { keepable: boolean }> {
    const madeOf = new Map<string, string>()
    let keepable = true
    const note = (key: string, stamp: string | undefined) => {
      if (stamp === undefined) keepable = false
      else madeOf.set(key, stamp)
    }
    const codes = await expandValueSet(url, {
      async valueSet(canonical) {
        const found = await valueSet(canonical)
        note(`ValueSet ${canonical}`, found?.stamp)
        return found?.found
      },
      async codeSystem(canonical, version) {
        const versioned = version === undefined ? canonical : `${canonical}|${version}`
        const found = await concepts(versioned)
        note(`CodeSystem ${versioned}`, found?.stamp)
        return found?.concepts
      },
    })
    return { codes, madeOf, keepable }
  }

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
    const made = await compute(url)
    if (made.keepable) expansions.set(url, made, sizeOf(made.codes) + 1)
    return made.codes
  }

  return {
    async expand(url, limit) {
      const codes = await expanded(url)
      if (sizeOf(codes) > limit) throw tooCostly(`the value set has more than ${limit} codes; use a smaller one`)
      return [...codes].flatMap(([system, listed]) => [...listed].map((code): Code => ({ system, code })))
    },

    async related({ system, code }, direction, limit) {
      const found = system === '' ? undefined : await concepts(system)
      if (!found?.concepts.byCode.has(code)) return [{ system, code }]
      const codes = closure(found.concepts, code, direction)
      if (codes.size > limit) throw tooCostly(`more than ${limit} codes are ${direction} the code; use a narrower one`)
      return [...codes].map((each) => ({ system, code: each }))
    },
  }
}

/** Identifies a version of a resource for ever; undefined for one that is not stored. */
function stampOf({ resourceType, id, meta }: Resource): string | undefined {
  if (!isObject(meta) || typeof meta['versionId'] !== 'string') return undefined
  return `${resourceType}/${id}/${meta['versionId']}/${String(meta['lastUpdated'])}`
}

/** @throws FhirError for those of R4's value sets that cannot be listed (MIME types, currencies, units) */
function requiredOf(url: string): CodeSet | undefined {
  const canonical = url.split('|')[0]!
  if (!Object.hasOwn(requiredCodes, canonical)) return undefined
  const listed = requiredCodes[canonical]
  if (!listed) throw tooCostly('the codes of this value set cannot be listed; search for single codes instead')
  return new Map(Object.entries(listed).map(([system, codes]) => [system, new Set(codes)]))
}
