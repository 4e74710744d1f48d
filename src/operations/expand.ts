/**
 * $expand: the codes of a value set, filtered and in pages.
 *
 * https://hl7.org/fhir/R4/valueset-operation-expand.html
 *
 * The expansion is flat: what is abstract is marked as such.
 */
import { randomUUID } from 'node:crypto'
import type { ValueSet, ValueSetExpansionContains, ValueSetExpansionParameter } from 'fhir/r4.js'
import { invalid, type Resource, unsupported } from '../fhir/index.js'
import { type Context, consult } from '../interactions/index.js'
import { type CodeSet, type Concepts, find, type Pins } from '../terminology/index.js'
import { type Argument, argumentsOf, booleanOf, resourceOf, textOf, textsOf } from './arguments.js'
import type { Operation, OperationCall } from './operation.js'
import { definitionOf, inLanguage } from './terminology-arguments.js'

/** Most codes of a value set that is expanded, and most on one page. */
const codesMax = 100_000
const pageMax = 10_000

const echoed = ['filter', 'displayLanguage', 'includeDesignations', 'activeOnly', 'excludeNested', 'excludeNotForUI']

export const expand: Operation = {
  definition: 'http://hl7.org/fhir/OperationDefinition/ValueSet-expand',
  code: 'expand',
  system: false,
  types: ['ValueSet'],
  type: true,
  instance: true,
  affectsState: false,
  run(context, call) {
    return consult(context, {
      operation: 'expand',
      type: 'ValueSet',
      answer: async () => ({ kind: 'resource', resource: await expansion(context, call) }),
    })
  },
}

async function expansion(context: Context, call: OperationCall): Promise<Resource> {
  const given = argumentsOf(call, { definition: expand.definition })
  for (const name of ['context', 'contextDirection', 'date'])
    if (textOf(given, name) !== undefined)
      throw unsupported(`$expand does not take "${name}" here; name the value set`, name)
  const { valueSet, codes } = await wanted(context, call, given)
  const options = optionsOf(given)
  const versions = new Map<string, Concepts | undefined>()
  const all: ValueSetExpansionContains[] = []
  for (const [system, listed] of codes) {
    if (options.without.has(system)) continue
    const concepts = await context.terminology.concepts(system)
    versions.set(system, concepts)
    for (const [code, says] of listed) {
      const known = concepts && find(concepts, code)?.concept
      const designation = says?.designation ?? known?.source?.designation
      const display = inLanguage(designation, options.language) ?? says?.display ?? known?.display
      const isInactive = says?.inactive === true || known?.inactive === true
      const isAbstract = says?.abstract === true || known?.abstract === true
      if ((isInactive && options.activeOnly) || (isAbstract && options.forUi)) continue
      if (
        options.filter &&
        !options.filter([
          code,
          display,
          says?.display,
          known?.display,
          ...(designation ?? []).map(({ value }) => value),
        ])
      )
        continue
      const shownDesignations = options.designations?.(designation ?? [])
      all.push({
        system,
        ...(isAbstract && { abstract: true }),
        ...(isInactive && { inactive: true }),
        code,
        ...(display !== undefined && { display }),
        ...(shownDesignations?.length && { designation: shownDesignations }),
      })
    }
  }
  const { offset, count } = options
  if (count === undefined && all.length - (offset ?? 0) > pageMax)
    throw unsupported(`the expansion has ${all.length} codes; ask for pages with "count" and "offset"`, 'count')
  const page =
    offset === undefined && count === undefined ? all : all.slice(offset ?? 0, (offset ?? 0) + (count ?? pageMax))
  const parameter: ValueSetExpansionParameter[] = [
    ...echoed.flatMap((name) => {
      const value = textOf(given, name)
      if (value === undefined) return []
      return [
        value === 'true' || value === 'false' ? { name, valueBoolean: value === 'true' } : { name, valueString: value },
      ]
    }),
    ...(offset === undefined ? [] : [{ name: 'offset', valueInteger: offset }]),
    ...(count === undefined ? [] : [{ name: 'count', valueInteger: count }]),
    ...[...versions].flatMap(([system, concepts]) =>
      concepts?.version === undefined ? [] : [{ name: 'version', valueUri: `${system}|${concepts.version}` }],
    ),
  ]
  const { compose, expansion: _, text: __, ...rest } = valueSet
  return {
    ...rest,
    ...(booleanOf(given, 'includeDefinition') && compose && { compose }),
    expansion: {
      identifier: `urn:uuid:${randomUUID()}`,
      timestamp: new Date(context.clock()).toISOString(),
      total: all.length,
      ...(offset !== undefined && { offset }),
      ...(parameter.length && { parameter }),
      ...(page.length && { contains: page }),
    },
  } as unknown as Resource
}

async function wanted(
  context: Context,
  call: OperationCall,
  given: Argument[],
): Promise<{ valueSet: ValueSet; codes: CodeSet }> {
  const names = { type: 'ValueSet', url: 'url', resource: 'valueSet', version: 'valueSetVersion' } as const
  const pins = pinsOf(given)
  const url = textOf(given, 'url')
  // The implicit value set of a code system, or one of another server, has no resource here.
  const isHere =
    url === undefined ||
    call.id !== undefined ||
    resourceOf(call, given, 'valueSet') ||
    (await context.terminology.resource(withVersion(url, textOf(given, 'valueSetVersion')), 'ValueSet'))
  if (!isHere) {
    const canonical = withVersion(url, textOf(given, 'valueSetVersion'))
    const codes = await context.terminology.codesOf(canonical, codesMax, pins)
    return { valueSet: { resourceType: 'ValueSet', url, status: 'active' }, codes }
  }
  const found = await definitionOf(context, call, given, names)
  if (!found) throw invalid('$expand needs a value set: its "url", or "valueSet" in the body', 'url')
  const valueSet = found.definition as unknown as ValueSet
  // By its reference what was computed before can be used.
  const key = found.canonical ?? (call.id === undefined ? valueSet : `ValueSet/${call.id}`)
  return { valueSet, codes: await context.terminology.codesOf(key, codesMax, pins) }
}

const withVersion = (url: string, version: string | undefined): string =>
  version === undefined || url.includes('|') ? url : `${url}|${version}`

function optionsOf(given: Argument[]) {
  const language = textOf(given, 'displayLanguage')
  const words = textOf(given, 'filter')?.toLowerCase().split(/\s+/).filter(Boolean) ?? []
  const [offset, count] = [wholeOf(given, 'offset'), wholeOf(given, 'count')]
  if (booleanOf(given, 'excludePostCoordinated') === false)
    throw unsupported('there are no post-coordinated codes here', 'excludePostCoordinated')
  booleanOf(given, 'excludeNested')
  const tokens = textsOf(given, 'designation')
  const includes = booleanOf(given, 'includeDesignations') ?? tokens.length > 0
  const designations = (all: Designation[]): Designation[] =>
    tokens.length === 0 ? all : all.filter((each) => tokens.some((token) => isAsked(each, token)))
  return {
    language,
    offset,
    count: count === undefined ? undefined : Math.min(count, pageMax),
    activeOnly: booleanOf(given, 'activeOnly') === true,
    forUi: booleanOf(given, 'excludeNotForUI') === true,
    without: new Set(textsOf(given, 'exclude-system').map((each) => each.split('|')[0]!)),
    ...(includes && { designations }),
    // Each word must begin a word of one of the texts, as people type it.
    ...(words.length > 0 && {
      filter: (texts: (string | undefined)[]) => {
        const text = ` ${texts
          .filter((each) => each !== undefined)
          .join(' ')
          .toLowerCase()}`
        return words.every((word) => beginsIn(text, word))
      },
    }),
  }
}

type Designation = NonNullable<ValueSetExpansionContains['designation']>[number]

function beginsIn(text: string, word: string): boolean {
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1))
    if (/[^\p{L}\p{N}]/u.test(text[at - 1] ?? ' ')) return true
  return false
}

/** `use.system|use.code`, or `urn:ietf:bcp:47|language`. */
function isAsked(designation: Designation, token: string): boolean {
  const [system, code] = token.split('|')
  if (system === 'urn:ietf:bcp:47') return designation.language === code
  return designation.use?.system === system && (code === undefined || designation.use?.code === code)
}

function wholeOf(given: Argument[], name: string): number | undefined {
  const text = textOf(given, name)
  if (text !== undefined && !/^\+?\d{1,9}$/.test(text))
    throw invalid(`"${name}" must be a whole number, 0 or more`, name)
  return text === undefined ? undefined : Number(text)
}

function pinsOf(given: Argument[]): Pins | undefined {
  const pins = (name: string) =>
    new Map(
      textsOf(given, name).map((each): [string, string] => {
        const [system, version] = each.split('|')
        if (!system || !version) throw invalid(`"${name}" must be system|version`, name)
        return [system, version]
      }),
    )
  const all = {
    wanted: pins('system-version'),
    forced: pins('force-system-version'),
    checked: pins('check-system-version'),
  }
  return Object.values(all).some(({ size }) => size > 0) ? all : undefined
}
