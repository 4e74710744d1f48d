/**
 * $translate: what a code is in another code system, or value set, by concept maps.
 *
 * https://hl7.org/fhir/R4/conceptmap-operation-translate.html
 */
import type { Coding, ConceptMap, ConceptMapGroup, ConceptMapGroupElementTarget, ParametersParameter } from 'fhir/r4.js'
import { invalid, isObject, type Resource, unsupported } from '../fhir/index.js'
import { type Context, conceptMapsOf, consult } from '../interactions/index.js'
import { builtIn, builtInUrls, type TerminologyService } from '../terminology/index.js'
import { argumentsOf, booleanOf, textOf } from './arguments.js'
import type { Operation, OperationAnswer, OperationCall } from './operation.js'
import { answered, codingsOf, definitionOf } from './terminology-arguments.js'

export const translate: Operation = {
  definition: 'http://hl7.org/fhir/OperationDefinition/ConceptMap-translate',
  code: 'translate',
  system: false,
  types: ['ConceptMap'],
  type: true,
  instance: true,
  affectsState: false,
  run: (context, call) =>
    consult(context, { operation: 'translate', type: 'ConceptMap', answer: () => translated(context, call) }),
}

type Match = { equivalence: string; concept?: Coding; source?: string; product: ParametersParameter[] }

/** Equivalences that are no translation: https://hl7.org/fhir/R4/valueset-concept-map-equivalence.html */
const none = new Set(['unmatched', 'disjoint'])
const matchesMax = 1000

async function translated(context: Context, call: OperationCall): Promise<OperationAnswer> {
  if (call.input?.resourceType === 'Parameters' && isDependent(call.input))
    throw unsupported(
      'mappings that depend on other elements are not chosen here; leave "dependency" out',
      'dependency',
    )
  const given = argumentsOf(call, { definition: translate.definition })
  const names = { type: 'ConceptMap', url: 'url', resource: 'conceptMap', version: 'conceptMapVersion' } as const
  const named = await definitionOf(context, call, given, names)
  const { codings } = codingsOf(given)
  if (codings.some(({ system }) => system === undefined)) throw invalid('a coding needs its system here', 'coding')
  const reverse = booleanOf(given, 'reverse') === true
  const [source, target, targetSystem] = ['source', 'target', 'targetsystem'].map((name) => textOf(given, name))
  const matches: Match[] = []
  for (const coding of codings) {
    const maps = named ? [named.definition] : await mapsFor(context, coding.system!, reverse)
    for (const map of maps as unknown as ConceptMap[]) {
      if (!named && !isBetween(map, source, target)) continue
      const found = reverse
        ? backwards(map, coding, targetSystem)
        : await forwards(context.terminology, map, coding, targetSystem)
      matches.push(...found)
      if (matches.length > matchesMax) break
    }
  }
  const result = matches.some(({ equivalence }) => !none.has(equivalence))
  return answered([
    { name: 'result', valueBoolean: result },
    ...(result ? [] : [{ name: 'message', valueString: 'no translation of the code was found' }]),
    ...matches.slice(0, matchesMax).map(({ equivalence, concept, source: map, product }) => ({
      name: 'match',
      part: [
        { name: 'equivalence', valueCode: equivalence },
        ...(concept ? [{ name: 'concept', valueCoding: concept }] : []),
        ...product,
        ...(map === undefined ? [] : [{ name: 'source', valueUri: map }]),
      ],
    })),
  ])
}

const isDependent = ({ parameter }: Resource): boolean =>
  Array.isArray(parameter) && parameter.some((each) => isObject(each) && each['name'] === 'dependency')

/** All that are stored or built in, the stored ones first. */
async function mapsFor(context: Context, system: string, reverse: boolean): Promise<Resource[]> {
  const stored = await conceptMapsOf(context, reverse ? 'target-system' : 'source-system', system)
  const urls = new Set(stored.map(({ url }) => url))
  const built: Resource[] = []
  for (const url of builtInUrls('ConceptMap')) {
    if (urls.has(url)) continue
    const map = builtIn(url, 'ConceptMap')
    const groups = (map as unknown as ConceptMap | undefined)?.group ?? []
    if (map && groups.some((group) => (reverse ? group.target : group.source) === system)) built.push(map)
  }
  return [...stored, ...built]
}

const isBetween = (map: ConceptMap, source: string | undefined, target: string | undefined): boolean =>
  (source === undefined || [map.sourceUri, map.sourceCanonical].includes(source)) &&
  (target === undefined || [map.targetUri, map.targetCanonical].includes(target))

async function forwards(
  terminology: TerminologyService,
  map: ConceptMap,
  coding: Coding,
  targetSystem: string | undefined,
  visited = new Set<string>(),
): Promise<Match[]> {
  const matches: Match[] = []
  for (const group of map.group ?? []) {
    if (group.source !== coding.system || (targetSystem !== undefined && group.target !== targetSystem)) continue
    const elements = group.element.filter(({ code }) => code === coding.code)
    if (elements.length === 0) {
      matches.push(...(await unmapped(terminology, map, group, coding, targetSystem, visited)))
      continue
    }
    for (const { target = [] } of elements)
      for (const each of target) {
        const concept = each.code === undefined ? undefined : coded(group.target, each.code, each.display)
        matches.push(matchOf(map, each, concept))
      }
  }
  return matches
}

/** https://hl7.org/fhir/R4/conceptmap-definitions.html#ConceptMap.group.unmapped */
async function unmapped(
  terminology: TerminologyService,
  map: ConceptMap,
  group: ConceptMapGroup,
  coding: Coding,
  targetSystem: string | undefined,
  visited: Set<string>,
): Promise<Match[]> {
  const { unmapped: rule, target } = group
  switch (rule?.mode) {
    case 'provided':
      return [matchOf(map, { equivalence: 'equal' }, coded(target, coding.code!, coding.display))]
    case 'fixed':
      return rule.code === undefined
        ? []
        : [matchOf(map, { equivalence: 'inexact' }, coded(target, rule.code, rule.display))]
    case 'other-map': {
      if (rule.url === undefined || visited.has(rule.url) || visited.size > 10) return []
      const other = await terminology.resource(rule.url, 'ConceptMap')
      const seen = new Set([...visited, rule.url])
      return other ? forwards(terminology, other as unknown as ConceptMap, coding, targetSystem, seen) : []
    }
    default:
      return []
  }
}

/** What is mapped to the code; wider and narrower change places. */
function backwards(map: ConceptMap, coding: Coding, targetSystem: string | undefined): Match[] {
  return (map.group ?? [])
    .filter(({ source, target }) => target === coding.system && (targetSystem === undefined || source === targetSystem))
    .flatMap((group) =>
      group.element.flatMap((element) =>
        (element.target ?? [])
          .filter(({ code }) => code === coding.code)
          .map((each) => ({
            ...matchOf(map, each, coded(group.source, element.code!, element.display)),
            equivalence: turned[each.equivalence] ?? each.equivalence,
            product: [],
          })),
      ),
    )
}

const turned: Record<string, string> = {
  wider: 'narrower',
  narrower: 'wider',
  subsumes: 'specializes',
  specializes: 'subsumes',
}

const coded = (system: string | undefined, code: string, display: string | undefined): Coding => ({
  ...(system !== undefined && { system }),
  code,
  ...(display !== undefined && { display }),
})

function matchOf(map: ConceptMap, target: ConceptMapGroupElementTarget, concept: Coding | undefined): Match {
  const product = (target.product ?? []).map(({ property, system, value, display }) => ({
    name: 'product',
    part: [
      { name: 'element', valueUri: property },
      { name: 'concept', valueCoding: coded(system, value, display) },
    ],
  }))
  return {
    equivalence: target.equivalence,
    ...(concept && { concept }),
    ...(map.url !== undefined && { source: map.url }),
    product,
  }
}
