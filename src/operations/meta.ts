/**
 * $meta: the profiles, tags and security labels of a resource, of a type, or of the whole system.
 *
 * https://hl7.org/fhir/R4/resource-operation-meta.html
 */
import { setImmediate } from 'node:timers/promises'
import { reach } from '../access/index.js'
import { isObject, type JsonObject, parseJson } from '../fhir/index.js'
import { type Context, read } from '../interactions/index.js'
import { not, or, type Position } from '../search/index.js'
import { argumentsOf, returned } from './arguments.js'
import { addLabels } from './labels.js'
import type { Operation } from './operation.js'

const chunk = 500

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
    return { kind: 'resource', resource: returned({ valueMeta: await labelsInUse(context, type) }) }
  },
}

/** The meta in the bytes of a resource, where `serialize` has put it: third, so that the rest need not be read. */
export function metaOf(body: Buffer): JsonObject {
  const start = body.indexOf('"meta":{') + '"meta":'.length
  const meta = parseJson(body.subarray(start, endOfObject(body, start)))
  return isObject(meta) ? meta : {}
}

function endOfObject(json: Buffer, start: number): number {
  let depth = 0
  let quoted = false
  for (let at = start; at < json.length; at++) {
    const byte = json[at]
    if (byte === QUOTE) quoted = !quoted
    else if (quoted && byte === BACKSLASH) at++
    else if (!quoted && byte === OPEN) depth++
    else if (!quoted && byte === CLOSE && --depth === 0) return at + 1
  }
  return json.length
}

const QUOTE = 34
const BACKSLASH = 92
const OPEN = 123
const CLOSE = 125

/** The labels of all resources the caller may see. Read in chunks, so that nobody waits for a large database. */
async function labelsInUse(context: Context, type: string | undefined): Promise<JsonObject> {
  const where = or(...['_profile', '_tag', '_security'].map((param) => not({ op: 'missing', param })))
  let labels: JsonObject = {}
  let after: Position | undefined
  do {
    const { matches, next } = await context.store.search(
      {
        ...(type && { types: [type] }),
        where,
        sort: [],
        include: [],
        count: chunk,
        total: false,
        ...(after && { after }),
      },
      reach(context.caller, 'search'),
    )
    for (const { stored } of matches) labels = addLabels(labels, metaOf(stored.body))
    after = next
    await setImmediate()
  } while (after)
  return labels
}
