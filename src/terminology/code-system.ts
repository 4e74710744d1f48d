/**
 * The concepts of a code system with their hierarchy and properties, and the filters that value sets apply to them.
 *
 * https://hl7.org/fhir/R4/codesystem.html
 *
 * The hierarchy is made of nesting (unless hierarchyMeaning says that it means something else than is-a) and of the
 * properties parent, child and subsumedBy. Regular expressions are refused: they come from outside and may run for ever.
 */
import type { CodeSystem, CodeSystemConcept, CodeSystemConceptProperty, ValueSetComposeIncludeFilter } from 'fhir/r4.js'
import { unsupported } from '../fhir/index.js'

export type Concept = {
  display?: string
  parents: Set<string>
  children: Set<string>
  properties: Map<string, string[]>
}

/** `complete` tells whether all codes of the system are here; only then can it be listed. */
export type Concepts = { url: string; complete: boolean; byCode: Map<string, Concept> }

export function conceptsOf(system: CodeSystem): Concepts {
  const byCode = new Map<string, Concept>()
  const flat = [...flatten(system.concept ?? [])]
  for (const [{ code, display }] of flat)
    byCode.set(code, {
      ...(display !== undefined && { display }),
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
  for (const [{ code, property = [] }, parent] of flat) {
    if (parent !== undefined && nestingIsA) relate(code, parent)
    const { properties } = byCode.get(code)!
    for (const each of property) {
      const value = textOf(each)
      if (value === undefined) continue
      if (up.has(each.code)) relate(code, value)
      if (down.has(each.code)) relate(value, code)
      properties.set(each.code, [...(properties.get(each.code) ?? []), value])
    }
  }
  return { url: system.url ?? '', complete: system.content === 'complete', byCode }
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
 * The codes that a filter lets through.
 *
 * https://hl7.org/fhir/R4/valueset-filter-operator.html
 *
 * @throws FhirError for operators that are not supported
 */
export function filtered(concepts: Concepts, { property, op, value }: ValueSetComposeIncludeFilter): Set<string> {
  const { byCode, url } = concepts
  const onConcept = property === 'concept' || property === 'code'
  const all = (holds: (code: string, concept: Concept) => boolean) =>
    new Set([...byCode].filter(([code, concept]) => holds(code, concept)).map(([code]) => code))
  const values = (code: string, concept: Concept) => (onConcept ? [code] : propertyValues(concept, property))
  switch (op) {
    case '=':
      return all((code, concept) => values(code, concept).includes(value))
    case 'in':
    case 'not-in': {
      const listed = new Set(value.split(',').map((each) => each.trim()))
      return all((code, concept) => values(code, concept).some((each) => listed.has(each)) === (op === 'in'))
    }
    case 'exists':
      return all((code, concept) => values(code, concept).length > 0 === (value === 'true'))
    case 'is-a':
    case 'descendent-of':
    case 'is-not-a':
    case 'generalizes': {
      if (!onConcept) throw unsupported(`the filter ${op} is supported for the property concept only (system ${url})`)
      const related = byCode.has(value) ? closure(concepts, value, op === 'generalizes' ? 'above' : 'below') : new Set()
      if (op === 'descendent-of') return all((code) => code !== value && related.has(code))
      return all((code) => related.has(code) === (op !== 'is-not-a'))
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
