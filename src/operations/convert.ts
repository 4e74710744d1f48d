/**
 * $convert: the resource as it came, in the format the client accepts.
 *
 * https://hl7.org/fhir/R4/resource-operation-convert.html
 */
import { invalid } from '../fhir/index.js'
import { argumentsOf, namesIn, parameter, resourceOf } from './arguments.js'
import type { Operation } from './operation.js'

export const convert: Operation = {
  definition: 'http://hl7.org/fhir/OperationDefinition/Resource-convert',
  code: 'convert',
  system: true,
  type: false,
  instance: false,
  affectsState: false,
  async run(_context, call) {
    // A Parameters resource without `input` is itself what is to be converted.
    const { input } = call
    if (!input) throw invalid('send the resource to convert as the body of a POST', 'input')
    const wrapped = namesIn(call).includes('input') ? call : { ...call, input: parameter('input', input) }
    const given = argumentsOf(wrapped, { definition: convert.definition })
    return { kind: 'resource', resource: resourceOf(wrapped, given, 'input')! }
  },
}
