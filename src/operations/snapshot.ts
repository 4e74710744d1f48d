/**
 * StructureDefinition/$snapshot: the definition with a snapshot made of its differential and of what it is derived from.
 *
 * https://hl7.org/fhir/R4/structuredefinition-operation-snapshot.html
 */
import { invalid, notFound, parseJson, type Resource } from '../fhir/index.js'
import { type Context, read } from '../interactions/index.js'
import { argumentsOf, resourceOf, textOf } from './arguments.js'
import type { Operation, OperationCall } from './operation.js'

export const snapshot: Operation = {
  definition: 'http://hl7.org/fhir/OperationDefinition/StructureDefinition-snapshot',
  code: 'snapshot',
  system: false,
  types: ['StructureDefinition'],
  type: true,
  instance: true,
  affectsState: false,
  async run(context, call) {
    return { kind: 'resource', resource: await context.profiles.snapshot(await definitionOf(context, call)) }
  },
}

async function definitionOf(context: Context, call: OperationCall): Promise<Resource> {
  if (call.id !== undefined)
    return parseJson((await read(context, { type: 'StructureDefinition', id: call.id })).body) as Resource
  const given = argumentsOf(call, { definition: snapshot.definition })
  const url = textOf(given, 'url')
  const definition = resourceOf(call, given, 'definition') ?? (url && (await context.profiles.definition(url)))
  if (definition) return definition
  if (url !== undefined) throw notFound('no StructureDefinition has this url here; create it first')
  throw invalid('send the StructureDefinition, or its url', 'definition')
}
