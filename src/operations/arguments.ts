/**
 * What an operation was given: parameters of the query string, or of a Parameters resource in the body.
 *
 * https://hl7.org/fhir/R4/operations.html#request
 *
 * What the OperationDefinition does not take is refused like unknown search parameters are: a misspelt parameter must
 * not change what is answered.
 */
import {
  Decimal,
  FhirError,
  invalid,
  isObject,
  type Json,
  type JsonObject,
  operationDefinitions,
  type Resource,
} from '../fhir/index.js'
import { argumentIssues } from '../validation/index.js'
import type { OperationCall } from './operation.js'

/** `value` is text where it came from the query string; a resource where the parameter carried one. */
export type Argument = { name: string; value: Json }

/** `definition` is a canonical; `others` tells whether a name that the definition lacks is taken all the same. */
export type Takes = { definition: string; others?: (name: string) => boolean }

/** How an answer is written, which is for the HTTP layer and no business of an operation. */
const aboutTheAnswer = new Set(['_format', '_pretty'])

const definitions = new Map(operationDefinitions.map((definition) => [definition.url, definition]))

/** All arguments of the call. @throws FhirError if they are not what the operation takes */
export function argumentsOf(call: OperationCall, takes: Takes): Argument[] {
  const query = call.parameters.filter(([name]) => !aboutTheAnswer.has(name))
  const input = parametersIn(call)
  const given = [...query.map(([name, value]): Argument => ({ name, value })), ...(input ? argumentsIn(input) : [])]
  refuseStrange(takes, query, input)
  return given
}

/** The names of the parameters in the body, whatever they are. */
export const namesIn = (call: OperationCall): string[] => {
  const input = parametersIn(call)
  return input ? argumentsIn(input).map(({ name }) => name) : []
}

const parametersIn = ({ input }: OperationCall): Resource | undefined =>
  input?.resourceType === 'Parameters' ? input : undefined

function refuseStrange(takes: Takes, query: OperationCall['parameters'], input: Resource | undefined): void {
  const definition = definitions.get(takes.definition)!
  const defined = new Set(definition.parameter.filter(({ use }) => use === 'in').map(({ name }) => name))
  const isChecked = (name: string) => defined.has(name) || !takes.others?.(name)
  const parameter = (input?.['parameter'] ?? []) as (JsonObject & { name: string })[]
  const issues = argumentIssues(definition, {
    query: query.filter(([name]) => isChecked(name)),
    ...(input && { input: { ...input, parameter: parameter.map((each) => (isChecked(each.name) ? each : {})) } }),
  })
  if (issues.length) throw new FhirError(400, issues)
}

/** The parameters of a Parameters resource; what is not a named value or resource is refused. */
function argumentsIn(parameters: Resource): Argument[] {
  const list = parameters['parameter'] ?? []
  if (!Array.isArray(list)) throw invalid('Parameters.parameter must be a list', 'Parameters.parameter')
  return list.map((parameter, index) => {
    const place = `Parameters.parameter[${index}]`
    if (!isObject(parameter) || typeof parameter['name'] !== 'string')
      throw invalid('a parameter must be an object with a name', place)
    const value = parameter['resource'] ?? valueIn(parameter)
    if (value === undefined) throw invalid('a parameter must have a value[x] or a resource', place)
    return { name: parameter['name'], value }
  })
}

function valueIn(parameter: JsonObject): Json | undefined {
  const key = Object.keys(parameter).find((name) => /^value[A-Z]/.test(name))
  return key === undefined ? undefined : parameter[key]
}

/** Every value of a parameter, as text. */
export function textsOf(given: Argument[], name: string): string[] {
  return given
    .filter((argument) => argument.name === name)
    .map(({ value }) => {
      if (typeof value === 'string') return value
      if (typeof value === 'number' || typeof value === 'boolean' || value instanceof Decimal) return String(value)
      throw invalid(`the parameter "${name}" must be a primitive value`, name)
    })
}

/** The value of a parameter that may be given once. */
export function textOf(given: Argument[], name: string): string | undefined {
  const texts = textsOf(given, name)
  if (texts.length > 1) throw invalid(`the parameter "${name}" may be given once`, name)
  return texts[0]
}

export function booleanOf(given: Argument[], name: string): boolean | undefined {
  const text = textOf(given, name)
  if (text !== undefined && text !== 'true' && text !== 'false')
    throw invalid(`the parameter "${name}" must be true or false`, name)
  return text === undefined ? undefined : text === 'true'
}

/** https://hl7.org/fhir/R4/datatypes.html#positiveInt */
export function positiveOf(given: Argument[], name: string): number | undefined {
  const text = textOf(given, name)
  if (text !== undefined && !/^\+?[1-9][0-9]{0,8}$/.test(text))
    throw invalid(`the parameter "${name}" must be a positive whole number`, name)
  return text === undefined ? undefined : Number(text)
}

/** The resource an operation is about: a parameter of that name, or the body itself where it is no Parameters. */
export function resourceOf(call: OperationCall, given: Argument[], name: string): Resource | undefined {
  const found = given.filter((argument) => argument.name === name)
  if (found.length > 1) throw invalid(`the parameter "${name}" may be given once`, name)
  const value = found[0] ? found[0].value : call.input?.resourceType === 'Parameters' ? undefined : call.input
  if (value === undefined) return undefined
  if (!isObject(value) || typeof value['resourceType'] !== 'string')
    throw invalid(`the parameter "${name}" must be a resource`, name)
  return value as Resource
}

/** A resource as the one parameter of a Parameters resource. */
export const parameter = (name: string, resource: Resource): Resource => ({
  resourceType: 'Parameters',
  parameter: [{ name, resource }],
})

/** A single value that is not a resource, as the Parameters an operation answers. */
export function returned(value: JsonObject): Resource {
  return { resourceType: 'Parameters', parameter: [{ name: 'return', ...value }] }
}
