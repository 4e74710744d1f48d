/**
 * $lookup: what a code system says of a code.
 *
 * https://hl7.org/fhir/R4/codesystem-operation-lookup.html
 */
import type { CodeSystemConceptProperty, ParametersParameter } from 'fhir/r4.js'
import { invalid, notFound, type Resource, unsupported } from '../fhir/index.js'
import { type Context, consult } from '../interactions/index.js'
import { type Concept, type Concepts, find, shown } from '../terminology/index.js'
import { argumentsOf, textOf, textsOf } from './arguments.js'
import type { Operation, OperationAnswer, OperationCall } from './operation.js'
import { answered, codingsOf, inLanguage } from './terminology-arguments.js'

export const lookup: Operation = {
  definition: 'http://hl7.org/fhir/OperationDefinition/CodeSystem-lookup',
  code: 'lookup',
  system: false,
  types: ['CodeSystem'],
  type: true,
  instance: false,
  affectsState: false,
  run: (context, call) =>
    consult(context, { operation: 'lookup', type: 'CodeSystem', answer: () => found(context, call) }),
}

async function found({ terminology }: Context, call: OperationCall): Promise<OperationAnswer> {
  const given = argumentsOf(call, { definition: lookup.definition })
  if (textOf(given, 'date') !== undefined)
    throw unsupported('the version of a date is not known; name the version', 'date')
  const [coding] = codingsOf(given).codings
  const { system, version, code = '' } = coding!
  if (system === undefined) throw invalid('a coding needs its system here', 'coding')
  const language = textOf(given, 'displayLanguage')
  const concepts = await terminology.concepts(system, version)
  const known = concepts && find(concepts, code)
  if (!known) {
    const elsewhere = concepts?.complete ? undefined : await terminology.external?.lookup({ system, code }, language)
    if (elsewhere) return { kind: 'resource', resource: elsewhere as unknown as Resource }
    throw notFound(
      concepts
        ? `the code ${shown(code)} is not known in the system ${shown(system)}`
        : `the system ${shown(system)} is not known here; create its CodeSystem first`,
    )
  }
  const { concept } = known
  const designations = concept.source?.designation ?? []
  const display = inLanguage(designations, language) ?? concept.display ?? known.code
  const wanted = textsOf(given, 'property')
  const wants = (name: string) => wanted.length === 0 || wanted.includes(name)
  return answered([
    { name: 'name', valueString: concepts.name ?? concepts.url },
    ...(concepts.version === undefined ? [] : [{ name: 'version', valueString: concepts.version }]),
    { name: 'display', valueString: display },
    ...(wants('designation') ? designations : [])
      .filter((each) => language === undefined || inLanguage([each], language) !== undefined)
      .map(({ language: spoken, use, value }) => ({
        name: 'designation',
        part: [
          ...(spoken === undefined ? [] : [{ name: 'language', valueCode: spoken }]),
          ...(use ? [{ name: 'use', valueCoding: use }] : []),
          { name: 'value', valueString: value },
        ],
      })),
    ...properties(concepts, concept)
      .filter(({ code: name }) => wants(name))
      .map(({ part }) => ({ name: 'property', part })),
  ])
}

type Property = { code: string; part: ParametersParameter[] }

function properties({ byCode }: Concepts, concept: Concept): Property[] {
  const { source, parents, children } = concept
  const related = (name: string, codes: Set<string>): Property[] =>
    [...codes].map((code) => {
      const description = byCode.get(code)?.display
      return property(name, { valueCode: code }, description)
    })
  const stated = (source?.property ?? []).filter(({ code }) => code !== 'parent' && code !== 'child')
  return [
    ...(source?.definition === undefined ? [] : [property('definition', { valueString: source.definition })]),
    property('inactive', { valueBoolean: concept.inactive === true }),
    ...(concept.abstract ? [property('abstract', { valueBoolean: true })] : []),
    ...related('parent', parents),
    ...related('child', children),
    ...stated
      .filter(({ code }) => code !== 'inactive' && code !== 'abstract')
      .map(({ code, extension: _, id: __, ...value }: CodeSystemConceptProperty) => property(code, value)),
  ]
}

const property = (code: string, value: Omit<ParametersParameter, 'name'>, description?: string): Property => ({
  code,
  part: [
    { name: 'code', valueCode: code },
    { name: 'value', ...value },
    ...(description === undefined ? [] : [{ name: 'description', valueString: description }]),
  ],
})
