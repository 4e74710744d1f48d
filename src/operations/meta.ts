/**
 * $meta: the profiles, tags and security labels of a resource, of a type, or of the whole system.
 *
 * https://hl7.org/fhir/R4/resource-operation-meta.html
 */
import { metaOf } from '../access/index.js'
import type { JsonObject } from '../fhir/index.js'
import { labelsInUse, read } from '../interactions/index.js'
import { argumentsOf, returned } from './arguments.js'
import { addLabels } from './labels.js'
import type { Operation } from './operation.js'

export const meta: Operation = {
  definition: 'http://hl7.org/fhir/OperationDefinition/Resource-meta',
  code: 'meta',
  system: true,
  type: true,
  instance: true,
  affectsState: false,
  async run(context, call) {
    argumentsOf(call, { definition: meta.definition })
    const { type, id } = call
    if (type !== undefined && id !== undefined) {
      const { body } = await read(context, { type, id })
      return { kind: 'resource', resource: returned({ valueMeta: metaOf(body) }) }
    }
    let valueMeta: JsonObject = {}
    await labelsInUse(context, type, (labels) => {
      valueMeta = addLabels(valueMeta, labels)
    })
    return { kind: 'resource', resource: returned({ valueMeta }) }
  },
}
