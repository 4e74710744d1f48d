/**
 * $meta-add and $meta-delete: other labels, the same content.
 *
 * https://hl7.org/fhir/R4/resource-operation-meta-add.html
 * https://hl7.org/fhir/R4/resource-operation-meta-delete.html
 *
 * R4 leaves open whether a change of labels makes a version. Ours does: labels decide who sees a resource, so that
 * their history must be known. Nothing changes, no version is made, where the labels are so already.
 */
import { metaOf } from '../access/index.js'
import { FhirError, type JsonObject, parseJson, type Ref, type Resource } from '../fhir/index.js'
import { type Context, etag, read, update } from '../interactions/index.js'
import { argumentsOf, returned } from './arguments.js'
import { addLabels, dropLabels, labelsOf } from './labels.js'
import type { Operation } from './operation.js'

const operation = (code: string, apply: (meta: JsonObject, labels: JsonObject) => JsonObject): Operation => ({
  definition: definitionOf(code),
  code,
  system: false,
  type: false,
  instance: true,
  affectsState: true,
  async run(context, call) {
    const given = argumentsOf(call, { definition: definitionOf(code) })
    const labels = labelsOf(given[0]?.value)
    const ref = { type: call.type!, id: call.id! }
    const valueMeta = await relabel(context, ref, (meta) => apply(meta, labels))
    return { kind: 'resource', resource: returned({ valueMeta }) }
  },
})

const definitionOf = (code: string) => `http://hl7.org/fhir/OperationDefinition/Resource-${code}`

/** Reads, relabels and updates on condition that nobody else did so in between; then it starts over. */
async function relabel(context: Context, ref: Ref, apply: (meta: JsonObject) => JsonObject): Promise<JsonObject> {
  for (let tries = 1; ; tries++) {
    const { body, version } = await read(context, ref)
    const resource = parseJson(body) as Resource
    const meta = apply(metaOf(body))
    try {
      const { stored } = await update(context, ref, { ...resource, meta }, { ifMatch: etag(version) })
      return metaOf(stored.body)
    } catch (error) {
      if (!(error instanceof FhirError && error.status === 412) || tries === triesMax) throw error
    }
  }
}

const triesMax = 20

export const metaAdd = operation('meta-add', addLabels)
export const metaDelete = operation('meta-delete', dropLabels)
