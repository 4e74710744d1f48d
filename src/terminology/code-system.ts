/**
 * The concepts of a code system with their hierarchy and properties, and the filters that value sets apply to them.
 *
 * https://hl7.org/fhir/R4/codesystem.html
 *
 * The hierarchy is made of nesting (unless hierarchyMeaning says that it means something else than is-a) and of the
 * properties parent, child and subsumedBy.
 */
import type { CodeSystem, CodeSystemConcept, CodeSystemConceptProperty, ValueSetComposeIncludeFilter } from 'fhir/r4.js'
import { unsupported } from '../fhir/index.js'
import { patternOf } from './pattern.js'

/** `source` is the concept as its code system states it. */
export type Concept = {
  display?: string
  /** Not to be used as a code itself, only to choose others by it. */
  abstract?: true
  inactive?: true
  source?: CodeSystemConcept
  parents: Set<string>
  children: Set<string>
  properties: Map<string, string[]>
}

/**
 * `complete` tells whether all codes of the system are here; only then can it be listed. A system that is made by a
 * grammar has `parse` and lists nothing.
 */
export type Concepts = {
  url: string
  version?: string
  name?: string
  complete: boolean
  byCode: Map<string, Concept>
  /** The code as it is spelt here, where case does not matter. */
  spelling?: Map<string, string>
  parse?: (code: string) => Concept | undefined
}

export function conceptsOf(system: CodeSystem): Concepts {
  const byCode = new Map<string, Concept>()
  const flat = [...flatten(system.concept ?? [])]
  for (const [source] of flat)
    byCode.set(source.code, {
      ...(source.display !== undefined && { display: source.display }),
      source,
      parents: new Set(),
      children: new Set(),
      properties: new Map(),
    })
  const relate = (child: string, parent: string) => {
    byCode.get(child)?.parents.add(parent)
    byCode.get(parent)?.children.add(child)
  }
  const nestingIsA = system.hierarchyMeaning === undefined || system.hierarchyMeaning === 'is-a'
  const up = propertiesFor(system, 'parent', ['parent', 'subsumedBy'])
  const down = propertiesFor(system, 'child', ['child'])
  const abstract = propertiesFor(system, 'notSelectable', ['notSelectable', 'abstract'])
  const inactive = propertiesFor(system, 'inactive', ['inactive'])
  const status = propertiesFor(system, 'status', ['status'])
  for (const [{ code, property = [] }, parent] of flat) {
    if (parent !== undefined && nestingIsA) relate(code, parent)
    const concept = byCode.get(code)!
    for (const each of property) {
      const value = textOf(each)
      if (value === undefined) continue
      if (up.has(each.code)) relate(code, value)
      if (down.has(each.code)) relate(value, code)
      if (abstract.has(each.code) && value === 'true') concept.abstract = true
      if (inactive.has(each.code) && value === 'true') concept.inactive = true
      if (status.has(each.code) && /^(retired|inactive)$/i.test(value)) concept.inactive = true
      concept.properties.set(each.code, [...(concept.properties.get(each.code) ?? []), value])
    }
  }
  return {
    url: system.url ?? '',
    ...(system.version !== undefined && { version: system.version }),
    ...((system.title ?? system.name) !== undefined && { name: (system.title ?? system.name)! }),
    complete: system.content === 'complete',
    byCode,
    ...(system.caseSensitive === false && {
      spelling: new Map([...byCode.keys()].map((code) => [code.toLowerCase(), code])),
    }),
  }
}

/** The concept of a code, and the code as the system spells it. */
export function find(concepts: Concepts, code: string): { code: string; concept: Concept } | undefined {
  const exact = concepts.byCode.get(code) ?? concepts.parse?.(code)
  if (exact) return { code, concept: exact }
  const spelt = concepts.spelling?.get(code.toLowerCase())
  return spelt === undefined ? undefined : { code: spelt, concept: concepts.byCode.get(spelt)! }
}

function* flatten(concepts: CodeSystemConcept[], parent?: string): Generator<[CodeSystemConcept, string | undefined]> {
  for (const concept of concepts) {
    yield [concept, parent]
    if (concept.concept) yield* flatten(concept.concept, concept.code)
  }
}

/** https://hl7.org/fhir/R4/codesystem-concept-properties.html */
function propertiesFor({ property = [] }: CodeSystem, name: string, codes: string[]): Set<string> {
  const uri = `http://hl7.org/fhir/concept-properties#${name}`
  return new Set([...codes, ...property.filter((each) => each.uri === uri).map(({ code }) => code)])
}

function textOf(property: CodeSystemConceptProperty): string | undefined {
  const { valueCoding, valueCode, valueString, valueInteger, valueBoolean, valueDateTime, valueDecimal } = property
  const value =
    valueCoding?.code ?? valueCode ?? valueString ?? valueInteger ?? valueBoolean ?? valueDateTime ?? valueDecimal
  return value === undefined ? undefined : String(value)
}

/** The code and all below it (or above it), nearest first; a hierarchy that runs in a circle does no harm. */
export function closure({ byCode }: Concepts, code: string, direction: 'below' | 'above'): Set<string> {
  const found = new Set([code])
  for (const each of found) {
    const concept = byCode.get(each)
    for (const next of (direction === 'below' ? concept?.children : concept?.parents) ?? [])
      if (byCode.has(next)) found.add(next)
  }
  return found
}

/**
 * Whether a filter lets a code through.
 *
 * https://hl7.org/fhir/R4/valueset-filter-operator.html
 *
 * @throws FhirError for operators that are not supported
 */
export function filterOf(
  concepts: Concepts,
  { property, op, value }: ValueSetComposeIncludeFilter,
): (code: string, concept: Concept) => boolean {
  const { byCode, url } = concepts
  const onConcept = property === 'concept' || property === 'code'
  const values = (code: string, concept: Concept) => (onConcept ? [code] : propertyValues(concept, property))
  switch (op) {
    case '=':
      return (code, concept) => values(code, concept).includes(value)
    case 'in':
    case 'not-in': {
      const listed = new Set(value.split(',').map((each) => each.trim()))
      return (code, concept) => values(code, concept).some((each) => listed.has(each)) === (op === 'in')
    }
    case 'exists':
      return (code, concept) => values(code, concept).length > 0 === (value === 'true')
    case 'regex': {
      const matches = patternOf(value)
      return (code, concept) => values(code, concept).some(matches)
    }
    case 'is-a':
    case 'descendent-of':
    case 'is-not-a':
    case 'generalizes': {
      if (!onConcept) throw unsupported(`the filter ${op} is supported for the property concept only (system ${url})`)
      const related = byCode.has(value) ? closure(concepts, value, op === 'generalizes' ? 'above' : 'below') : new Set()
      if (op === 'descendent-of') return (code) => code !== value && related.has(code)
      return (code) => related.has(code) === (op !== 'is-not-a')
    }
    default:
      throw unsupported(`value sets with a filter of the kind ${op} are not supported; list the codes instead`)
  }
}

function propertyValues(concept: Concept, property: string): string[] {
  const values = concept.properties.get(property)
  if (values) return values
  if (property === 'parent') return [...concept.parents]
  if (property === 'child') return [...concept.children]
  return property === 'display' && concept.display !== undefined ? [concept.display] : []
}
