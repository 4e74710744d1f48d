/**
 * The profiles in force: R4's own, ours, and the uploaded ones, found by canonical and made ready once.
 *
 * https://hl7.org/fhir/R4/references.html#canonical
 *
 * Before a resource is checked everything its check can ask for is gathered: its profiles, what they are derived from,
 * the profiles of types, extensions and targets, and the value sets bound. The check itself waits for nothing.
 */
import {
  business,
  Decimal,
  detached,
  type Issue,
  isObject,
  type Json,
  type JsonObject,
  type Resource,
} from '../fhir/index.js'
import { Extensions } from './extensions.js'
import { collectInSteps } from './findings.js'
import { isLarge } from './invariants.js'
import { type Constraint, type Profile, profileOf } from './profile.js'
import { type Known, type Membership, ProfileCheck, plainType } from './profile-check.js'
import { withSnapshot } from './snapshot.js'
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

/** Changes to these may change what a profile asks for. */
export const definitionTypes: ReadonlySet<string> = new Set(['StructureDefinition', 'ValueSet', 'CodeSystem'])

/** What checks of resources that ask for the same canonicals need. */
type Gathered = {
  profiles: Map<string, Profile | Unusable | undefined>
  known: Known
  until: number
}

/** Sets of canonicals that are kept ready; a hospital's resources ask for a few dozen. */
const keptMax = 500

export type Asked = {
  /** Canonicals that the resource must conform to, which must be known. */
  profiles?: readonly string[]
  /** Whether what meta.profile claims is checked too, of the resource and of those in it; it need not be known. */
  claimed?: boolean
}

export class Profiles {
  /** By the definition they were made of: another version of it is another object. */
  private readonly made = new WeakMap<Resource, { base: Profile | undefined; profile: Profile | Unusable }>()
  private kept = new Map<string, Gathered>()

  /** `keptMs`: how long what was gathered may be used; absent: until `forget`. */
  constructor(
    private readonly sources: Sources,
    private readonly options: { keptMs?: number } = {},
  ) {}

  /** Definitions have changed. */
  forget(): void {
    this.kept = new Map()
  }

  /** What is wrong with a resource by the profiles it is asked to conform to and those of its extensions. */
  async issues(resource: Resource, { profiles = [], claimed = false }: Asked): Promise<Issue[]> {
    const asked = profiles.filter((each) => plainType(each) === undefined)
    const named = namedIn(resource, claimed)
    const gathered = await this.gathered([...new Set([...asked, ...named.canonicals])])
    const issues = await collectInSteps(function* (findings) {
      const around = surroundingsOf(resource, isLarge(resource))
      const check = new ProfileCheck(gathered.known, findings, around)
      const against = (canonical: string, each: JsonObject, severity: Issue['severity']) => {
        const found = gathered.profiles.get(canonical)
        if (!found)
          findings.report(severity, 'not-supported', `the profile ${shortened(canonical)} is not known here; upload it`)
        else if ('problem' in found)
          findings.report(severity, 'not-supported', `${shortened(canonical)} cannot be used: ${found.problem}`)
        else check.resource(found, each)
      }
      for (const { object, path, claims } of named.resources) {
        for (const step of path) findings.enter(step)
        if (object === resource) for (const canonical of asked) against(canonical, object, 'error')
        for (const canonical of claims)
          if (object !== resource || !asked.includes(canonical)) against(canonical, object, 'warning')
        for (const _ of path) findings.leave()
        yield
      }
      if (!named.hasExtensions) return
      findings.enter(resource.resourceType)
      yield* new Extensions(gathered.known, check, findings).inSteps(resource)
      findings.leave()
    })
    return issues.length > 1 ? different(issues) : issues
  }

  /** The StructureDefinition with a canonical. */
  async definition(canonical: string): Promise<Resource | undefined> {
    const found = await this.sources.definition(canonical)
    return found?.resourceType === 'StructureDefinition' ? found : undefined
  }

  /**
   * The definition with its snapshot.
   *
   * @throws FhirError 422 where it cannot be made
   */
  async snapshot(definition: Resource): Promise<Resource> {
    const bases: Resource[] = []
    let at = definition
    while (typeof at['baseDefinition'] === 'string' && plainType(at['baseDefinition']) === undefined) {
      const base = await this.definition(at['baseDefinition'])
      if (!base)
        throw business(`what the profile is derived from, ${shortened(at['baseDefinition'])}, is not known here`)
      if (bases.length >= derivationsMax)
        throw business('the profile is derived from itself, or through too many others')
      bases.push(base)
      at = base
    }
    try {
      return withSnapshot(definition, bases)
    } catch (error) {
      throw business(error instanceof Error ? error.message : 'the snapshot cannot be made')
    }
  }

  private async gathered(canonicals: readonly string[]): Promise<Gathered> {
    const key = canonicals.join(' ')
    const { kept } = this
    const found = kept.get(key)
    if (found && found.until > Date.now()) return found
    const profiles: Gathered['profiles'] = new Map()
    const valueSets = new Map<string, Membership | undefined>()
    await this.gather(canonicals, profiles, valueSets)
    const known: Known = {
      profile: (canonical) => {
        const found = profiles.get(canonical)
        return found && 'root' in found ? found : undefined
      },
      valueSet: (canonical) => valueSets.get(canonical),
    }
    const { keptMs = Number.POSITIVE_INFINITY } = this.options
    const gathered = { profiles, known, until: Date.now() + keptMs }
    // Into the map of when it was begun: what was forgotten meanwhile stays so.
    if (kept.size >= keptMax) kept.delete(kept.keys().next().value!)
    kept.set(detached(key), gathered)
    return gathered
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

/** Most canonicals of one resource that are looked for. */
const namedMax = 200

type Named = {
  canonicals: string[]
  hasExtensions: boolean
  /** The resource and those in it that claim profiles. */
  resources: { object: JsonObject; path: (string | number)[]; claims: string[] }[]
}

/** The canonicals a resource names: of its extensions, and in the meta.profile of itself and of the resources in it. */
function namedIn(resource: Resource, claimed: boolean): Named {
  const canonicals = new Set<string>()
  const resources: Named['resources'] = []
  let hasExtensions = false
  const path: (string | number)[] = [resource.resourceType]
  const visit = (value: Json): void => {
    if (typeof value !== 'object' || value === null || value instanceof Decimal) return
    if (Array.isArray(value)) {
      for (let i = 0; i < value.length; i++) {
        path.push(i)
        visit(value[i]!)
        path.pop()
      }
      return
    }
    const object = value as JsonObject
    if (typeof object['resourceType'] === 'string') {
      const claims = claimed ? claimsOf(object) : []
      for (const canonical of claims) if (canonicals.size < namedMax) canonicals.add(canonical)
      if (object === resource || claims.length > 0) resources.push({ object, path: [...path], claims })
    }
    for (const key in object) {
      const member = object[key]!
      if (typeof member !== 'object' || member === null) continue
      if ((key === 'extension' || key === 'modifierExtension') && Array.isArray(member)) {
        hasExtensions = true
        for (const each of member) {
          const url = isObject(each) ? each['url'] : undefined
          if (typeof url === 'string' && url.includes(':') && canonicals.size < namedMax) canonicals.add(url)
        }
      }
      path.push(key)
      visit(member)
      path.pop()
    }
  }
  visit(resource)
  return { canonicals: [...canonicals], hasExtensions, resources }
}

function claimsOf({ meta }: JsonObject): string[] {
  const claims = isObject(meta) ? meta['profile'] : undefined
  if (!Array.isArray(claims)) return []
  return claims.filter((each): each is string => typeof each === 'string' && plainType(each) === undefined).slice(0, 20)
}

/** Several profiles may say the same of one element. */
function different(issues: readonly Issue[]): Issue[] {
  const seen = new Set<string>()
  return issues.filter((issue) => {
    const text = JSON.stringify(issue)
    const isNew = !seen.has(text)
    seen.add(text)
    return isNew
  })
}

const shortened = (canonical: string): string => (canonical.length > 200 ? `${canonical.slice(0, 200)}…` : canonical)
