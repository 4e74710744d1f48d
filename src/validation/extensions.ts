/**
 * The extensions of a resource against their definitions: where they may stand, how often, and what they hold.
 *
 * https://hl7.org/fhir/R4/defining-extensions.html#context
 *
 * An extension whose definition is not known here is taken as it is, as the specification demands; of a modifier
 * extension that is not known a warning tells, because the meaning of what it stands in may be another.
 */
import { isObject, type Json, type JsonObject, typeDefinition } from '../fhir/index.js'
import type { Findings } from './findings.js'
import type { Profile } from './profile.js'
import type { Known, ProfileCheck } from './profile-check.js'
import { type Row, shapeOf } from './shape.js'

/** What contexts can name a place by: its paths and its types; `inside` is the url of the extension it is. */
type Place = { names: readonly string[]; inside?: string }

export class Extensions {
  constructor(
    private readonly known: Known,
    private readonly check: ProfileCheck,
    private readonly findings: Findings,
  ) {}

  resource(resource: JsonObject): void {
    const type = String(resource['resourceType'])
    if (typeDefinition(type)?.kind === 'resource') this.element(resource, type, { names: lineage(type) }, type)
  }

  /** The entries of a Bundle one by one, so that a long check can let others go first. */
  *inSteps(resource: JsonObject): Generator<void> {
    const { entry, ...others } = resource
    if (resource['resourceType'] !== 'Bundle' || !Array.isArray(entry)) return this.resource(resource)
    this.resource(others)
    const row = shapeOf('Bundle').rows.get('entry')!
    this.findings.enter('entry')
    for (const [index, each] of entry.entries()) {
      this.findings.enter(index)
      if (isObject(each)) this.inside(each, 'Bundle', row, 'Bundle')
      this.findings.leave()
      yield
    }
    this.findings.leave()
  }

  private element(element: JsonObject, type: string, place: Place, path: string): void {
    const { findings } = this
    for (const name of ['extension', 'modifierExtension'] as const) {
      const list = element[name]
      if (Array.isArray(list)) this.list(list.filter(isObject), name, place)
    }
    const { rows } = shapeOf(type)
    for (const key in element) {
      const row = rows.get(key)
      const value = element[key]!
      if (!row || typeof value !== 'object' || value === null) continue
      if (row.content === 'primitive' && !row.sibling) continue
      findings.enter(row.element)
      const items: Json[] = Array.isArray(value) ? value : [value]
      items.forEach((item, index) => {
        if (!isObject(item)) return
        if (Array.isArray(value)) findings.enter(index)
        this.inside(item, type, row, path)
        if (Array.isArray(value)) findings.leave()
      })
      findings.leave()
    }
  }

  private inside(item: JsonObject, owner: string, row: Row, path: string): void {
    if (row.content === 'resource') {
      this.resource(item)
      return
    }
    const own = `${path}.${row.element}`
    const names = [own, `${path}.${row.property}`, ...lineage(owner).map((each) => `${each}.${row.element}`)]
    const { url } = item
    const place: Place = {
      names: [...names, ...lineage(row.type)],
      ...(row.type === 'Extension' && typeof url === 'string' && { inside: url }),
    }
    this.element(item, row.sibling ? 'Element' : row.type, place, own)
  }

  private list(list: readonly JsonObject[], name: 'extension' | 'modifierExtension', place: Place): void {
    const { findings } = this
    const counts = new Map<string, number>()
    findings.enter(name)
    list.forEach((extension, index) => {
      const { url } = extension
      // Parts of a complex extension have names of their own; its definition speaks of them.
      if (typeof url !== 'string' || !url.includes(':')) return
      findings.enter(index)
      const profile = this.known.profile(url)
      if (profile?.type === 'Extension') {
        const count = (counts.get(url) ?? 0) + 1
        counts.set(url, count)
        if (count > (profile.root.max ?? Number.POSITIVE_INFINITY))
          findings.error('extension', `${profile.title} may be here ${profile.root.max} times`)
        this.defined(profile, extension, name, place)
      } else if (name === 'modifierExtension')
        findings.report(
          'warning',
          'extension',
          'this modifier extension is not known here; what it means was not looked at',
        )
      findings.leave()
    })
    findings.leave()
  }

  private defined(profile: Profile, extension: JsonObject, name: string, place: Place): void {
    const { findings } = this
    if (profile.modifier !== (name === 'modifierExtension'))
      findings.error('extension', `${profile.title} belongs in ${profile.modifier ? 'modifierExtension' : 'extension'}`)
    const wrong = misplaced(profile, place)
    if (wrong !== undefined) findings.error('extension', wrong)
    this.check.element(profile.root, { value: extension, type: 'Extension', property: name })
  }
}

const core = 'http://hl7.org/fhir/StructureDefinition/'

/** Places where HL7's own definitions of 4.0.1 use its extensions against their contexts, which R5 has put right. */
const widened: Record<string, readonly string[]> = {
  [`${core}structuredefinition-fhir-type`]: ['ElementDefinition.type'],
  [`${core}regex`]: ['ElementDefinition.type'],
  [`${core}structuredefinition-normative-version`]: ['DomainResource', 'ElementDefinition'],
  [`${core}valueset-concept-comments`]: ['CodeSystem.concept'],
}

/** A sentence where an extension may not stand in a place; `Element` is any, resources too. Contexts that are FHIRPath are not evaluated. */
function misplaced({ url, title, contexts }: Profile, { names, inside }: Place): string | undefined {
  if (contexts.length === 0 || contexts.some(({ type }) => type === 'fhirpath')) return undefined
  const fits = contexts.some(({ type, expression }) =>
    type === 'extension'
      ? inside === expression
      : expression === 'Element' || names.includes(expression.replace('[x]', '')),
  )
  if (fits || widened[url]?.some((each) => names.includes(each))) return undefined
  const places = [...new Set(contexts.map(({ expression }) => expression))].slice(0, 8).join(', ')
  return `${title} is an extension of ${places}; it may not be here`
}

/** A type and the types it is derived from. */
function lineage(type: string): string[] {
  const names: string[] = []
  for (let at: string | undefined = type; at !== undefined; at = typeDefinition(at)?.base) names.push(at)
  // Not every table names the base of a primitive or of a backbone element.
  if (!names.includes('Element') && typeDefinition(type)?.kind !== 'resource') names.push('Element')
  return names
}
