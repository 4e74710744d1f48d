/**
 * The profiles in force: R4's own, ours, and the uploaded ones, found by canonical and made ready once.
 *
 * https://hl7.org/fhir/R4/references.html#canonical
 *
 * Before a resource is checked everything its check can ask for is gathered: its profiles, what they are derived from,
 * the profiles of types, extensions and targets, and the value sets bound. The check itself waits for nothing.
 */
import { type Issue, isObject, type Json, type Resource } from '../fhir/index.js'
import { collect } from './findings.js'
import { isLarge } from './invariants.js'
import { type Constraint, type Profile, profileOf } from './profile.js'
import { type Known, type Membership, ProfileCheck, plainType } from './profile-check.js'
import { surroundingsOf } from './surroundings.js'

/** Where definitions come from: what is stored stands before what is built in. */
export type Sources = {
  /** The StructureDefinition with a canonical, perhaps with `|version`. */
  definition(canonical: string): Promise<Resource | undefined>
  /** Whether a code is of a value set; undefined where the value set is not known or not to be listed. */
  valueSet(canonical: string): Promise<Membership | undefined>
}

/** A resource that cannot be checked against a profile, with a sentence that says why. */
type Unusable = { problem: string }

/** Profiles one check may lead to: a profile refers to others through types, extensions and targets. */
const reachMax = 500
/** How profiles may be derived from one another. */
const derivationsMax = 16

export class Profiles {
  /** By the definition they were made of: another version of it is another object. */
  private readonly made = new WeakMap<Resource, { base: Profile | undefined; profile: Profile | Unusable }>()

  constructor(private readonly sources: Sources) {}

  /** What is wrong with a resource by the profiles it is asked to conform to and those of its extensions. */
  async issues(resource: Resource, canonicals: readonly string[]): Promise<Issue[]> {
    const gathered = new Map<string, Profile | Unusable | undefined>()
    const valueSets = new Map<string, Membership | undefined>()
    const asked = canonicals.filter((each) => plainType(each) === undefined)
    await this.gather([...asked, ...extensionsIn(resource)], gathered, valueSets)
    const known: Known = {
      profile: (canonical) => {
        const found = gathered.get(canonical)
        return found && 'root' in found ? found : undefined
      },
      valueSet: (canonical) => valueSets.get(canonical),
    }
    return collect((findings) => {
      findings.enter(resource.resourceType)
      for (const canonical of asked) {
        const found = gathered.get(canonical)
        if (!found) findings.error('not-supported', `the profile ${shortened(canonical)} is not known here`)
        else if ('problem' in found)
          findings.error('not-supported', `the profile ${shortened(canonical)} cannot be used: ${found.problem}`)
        else new ProfileCheck(known, findings, surroundingsOf(resource, isLarge(resource))).resource(found, resource)
      }
      findings.leave()
    })
  }

  private async gather(
    first: readonly string[],
    profiles: Map<string, Profile | Unusable | undefined>,
    valueSets: Map<string, Membership | undefined>,
  ): Promise<void> {
    const waiting = [...new Set(first)]
    for (let canonical = waiting.pop(); canonical !== undefined; canonical = waiting.pop()) {
      if (profiles.has(canonical) || profiles.size >= reachMax || plainType(canonical) !== undefined) continue
      const profile = await this.profile(canonical, 0)
      profiles.set(canonical, profile)
      if (!profile || !('root' in profile)) continue
      for (const used of usedBy(profile)) {
        if (used.kind === 'profile') waiting.push(used.canonical)
        else if (!valueSets.has(used.canonical))
          valueSets.set(used.canonical, await this.sources.valueSet(used.canonical))
      }
    }
  }

  private async profile(canonical: string, depth: number): Promise<Profile | Unusable | undefined> {
    if (depth > derivationsMax) return { problem: 'it is derived from itself, or through too many others' }
    const definition = await this.sources.definition(canonical)
    if (definition?.resourceType !== 'StructureDefinition') return undefined
    const { baseDefinition } = definition
    let base: Profile | undefined
    if (typeof baseDefinition === 'string' && plainType(baseDefinition) === undefined) {
      const found = await this.profile(baseDefinition, depth + 1)
      if (!found) return { problem: `what it is derived from, ${shortened(baseDefinition)}, is not known` }
      if ('problem' in found) return found
      base = found
    }
    const known = this.made.get(definition)
    if (known && known.base === base) return known.profile
    const profile = usable(definition, base)
    this.made.set(definition, { base, profile })
    return profile
  }
}

function usable(definition: Resource, base: Profile | undefined): Profile | Unusable {
  try {
    return profileOf(definition, base)
  } catch (error) {
    return { problem: error instanceof Error ? error.message : 'it cannot be read' }
  }
}

type Used = { kind: 'profile' | 'valueSet'; canonical: string }

const used = new WeakMap<Profile, Used[]>()

/** The canonicals a profile refers to. */
function usedBy(profile: Profile): Used[] {
  let found = used.get(profile)
  if (!found) {
    found = []
    collectUsed(profile.root, found)
    used.set(profile, found)
  }
  return found
}

function collectUsed({ types = [], binding, children, slices }: Constraint, into: Used[]): void {
  for (const { profiles, targets } of types)
    for (const canonical of [...profiles, ...targets])
      if (plainType(canonical) === undefined) into.push({ kind: 'profile', canonical })
  if (binding && (binding.strength === 'required' || binding.strength === 'extensible'))
    into.push({ kind: 'valueSet', canonical: binding.valueSet })
  for (const each of children.values()) collectUsed(each, into)
  for (const each of slices.values()) collectUsed(each, into)
}

const urlsMax = 200

/** The URLs of the extensions in a resource. */
function extensionsIn(resource: Resource): string[] {
  const urls = new Set<string>()
  const visit = (value: Json) => {
    if (urls.size >= urlsMax) return
    if (Array.isArray(value)) value.forEach(visit)
    else if (isObject(value))
      for (const key in value) {
        const member = value[key]!
        if (typeof member !== 'object' || member === null) continue
        if ((key === 'extension' || key === 'modifierExtension') && Array.isArray(member))
          for (const each of member) if (isObject(each) && typeof each['url'] === 'string') urls.add(each['url'])
        visit(member)
      }
  }
  visit(resource)
  return [...urls].filter((url) => url.includes(':'))
}

const shortened = (canonical: string): string => (canonical.length > 200 ? `${canonical.slice(0, 200)}…` : canonical)
