/**
 * What an operation was given: parameters of the query string, or of a Parameters resource in the body.
 *
 * https://hl7.org/fhir/R4/operations.html#request
 *
 * Unknown names are refused like unknown search parameters are: a misspelt parameter must not change what is answered.
 */
import { Decimal, invalid, isObject, type Json, type JsonObject, type Resource, unsupported } from '../fhir/index.js'
import type { OperationCall } from './operation.js'

/** `value` is text where it came from the query string; a resource where the parameter carried one. */
export type Argument = { name: string; value: Json }

/** How an answer is written, which is for the HTTP layer and no business of an operation. */
const aboutTheAnswer = new Set(['_format', '_pretty'])

/** All arguments of the call. `known` are the names the operation takes; absent: any. */
export function argumentsOf(call: OperationCall, known?: readonly string[]): Argument[] {
  const given = [
    ...call.parameters
      .map(([name, value]): Argument => ({ name, value }))
      .filter(({ name }) => !aboutTheAnswer.has(name)),
    ...(call.input?.resourceType === 'Parameters' ? parametersOf(call.input) : []),
  ]
  const strange = known && given.find(({ name }) => !known.includes(name))
  if (strange)
    throw unsupported(
      known.length
        ? `the operation has no parameter "${strange.name}"; it has ${known.join(', ')}`
        : `the operation takes no parameters; leave "${strange.name}" out`,
      strange.name,
    )
  return given
}

/** The parameters of a Parameters resource; what is not a named value or resource is refused. */
function parametersOf(parameters: Resource): Argument[] {
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

/** A single value that is not a resource, as the Parameters an operation answers. */
export function returned(value: JsonObject): Resource {
  return { resourceType: 'Parameters', parameter: [{ name: 'return', ...value }] }
}
