/**
 * The profiles that resources here are checked against: found like any canonical, their value sets by terminology.
 *
 * https://hl7.org/fhir/R4/profiling.html
 */
import { FhirError } from '../fhir/index.js'
import type { Terminology } from '../terminology/index.js'
import { type Membership, Profiles } from '../validation/index.js'
import type { LoadCanonical } from './load-canonical.js'

/** Codes of the largest value set that a binding is checked against. */
const codesMax = 50_000

/** How long what was gathered is used where another process may have changed it. */
const sharedMs = 1000

export function profilesInForce(load: LoadCanonical, terminology: Terminology, { shared = false } = {}): Profiles {
  return new Profiles(
    {
      definition: (canonical) => load(canonical, 'StructureDefinition'),
      valueSet: (canonical) => membership(terminology, canonical),
    },
    shared ? { keptMs: sharedMs } : {},
  )
}

/** undefined where the value set is not known here, or cannot be listed. */
async function membership(terminology: Terminology, canonical: string): Promise<Membership | undefined> {
  try {
    const bySystem = new Map<string, Set<string>>()
    for (const { system, code } of await terminology.expand(canonical, codesMax)) {
      const codes = bySystem.get(system)
      if (codes) codes.add(code)
      else bySystem.set(system, new Set([code]))
    }
    const all = [...bySystem.values()]
    return (code, system) =>
      system === undefined ? all.some((codes) => codes.has(code)) : bySystem.get(system)?.has(code) === true
  } catch (error) {
    if (error instanceof FhirError) return undefined
    throw error
  }
}
