/**
 * $lastn: the most recent Observations of a patient, by code.
 *
 * https://hl7.org/fhir/R4/observation-operation-lastn.html
 */
import { invalid, unsupported } from '../fhir/index.js'
import { type Context, newestByCode, writeBundle } from '../interactions/index.js'
import { type Parsed, parse } from '../search/index.js'
import { argumentsOf, positiveOf, textsOf } from './arguments.js'
import type { Operation } from './operation.js'

export const lastn: Operation = {
  definition: 'http://hl7.org/fhir/OperationDefinition/Observation-lastn',
  code: 'lastn',
  system: false,
  types: ['Observation'],
  type: true,
  instance: false,
  affectsState: false,
  async run(context, call) {
    // Any search parameter says which observations.
    const given = argumentsOf(call, { definition: lastn.definition, others: () => true })
    const max = positiveOf(given, 'max') ?? 1
    const names = [...new Set(given.map(({ name }) => name))].filter((name) => name !== 'max')
    const parameters = names.flatMap((name) => textsOf(given, name).map((value): [string, string] => [name, value]))
    const { query, applied } = await understood(context, parameters)
    const newest = await newestByCode(context, { query, applied, max })
    const matches = newest.map((stored) => ({ stored, mode: 'match' as const }))
    const self = [['max', String(max)], ...applied].map((pair) => pair.map(encodeURIComponent).join('='))
    const links = [{ relation: 'self', url: `${call.url}?${self.join('&')}` }]
    const baseUrl = context.baseUrls[0]!
    return { kind: 'bytes', body: writeBundle({ type: 'searchset', matches, links, baseUrl, total: matches.length }) }
  },
}

/** The parameters as a search; how to order, count or include is not theirs to say. */
async function understood(context: Context, parameters: [string, string][]): Promise<Parsed> {
  const { searchParams, terminology, baseUrls, settings } = context
  const result = parameters.find(([name]) => aboutTheResult.test(name))?.[0]
  if (result !== undefined) throw unsupported(`$lastn decides itself what to answer; leave "${result}" out`, result)
  const codes = parameters.map(([name]) => name.split(/[:.]/)[0]!)
  if (!codes.some((code) => code === 'patient' || code === 'subject'))
    throw invalid('$lastn needs whose observations: state "patient" or "subject"', 'patient')
  const saysWhat = (code: string) => {
    const { expression, component = [] } = searchParams.find('Observation', code) ?? {}
    return [expression, ...component.map((part) => part.expression)].some((text) => text && /\bcode\b/.test(text))
  }
  if (!codes.some((code) => code === 'category' || saysWhat(code)))
    throw invalid('$lastn needs which observations: state "category", "code" or another parameter with a code', 'code')
  return parse(
    { types: ['Observation'], parameters },
    { searchParams, terminology, baseUrls, ...settings, handling: 'strict' },
  )
}

const aboutTheResult = /^_(count|sort|include|revinclude|total|summary|elements|contained|containedType|explain)(:|$)/
