/**
 * $document: a Composition and all it refers to, as one Bundle of type document.
 *
 * https://hl7.org/fhir/R4/composition-operation-document.html
 * https://hl7.org/fhir/R4/documents.html#content
 *
 * R4's text says that the document "is wrapped inside the search bundle", its example answers the document itself; we
 * do as the example. What lives on other servers is not fetched, and without it the document would not be whole.
 */
import {
  business,
  FhirError,
  instant,
  invalid,
  isId,
  type JsonObject,
  localReference,
  parseJson,
  type Resource,
  referencesIn,
  unsupported,
} from '../fhir/index.js'
import { type Context, create, read, vread } from '../interactions/index.js'
import type { Stored } from '../store/index.js'
import { argumentsOf, booleanOf, textOf } from './arguments.js'
import type { Operation } from './operation.js'

export const document: Operation = {
  definition: 'http://hl7.org/fhir/OperationDefinition/Composition-document',
  code: 'document',
  system: false,
  types: ['Composition'],
  type: true,
  instance: true,
  affectsState: false,
  async run(context, call) {
    const given = argumentsOf(call, { definition: document.definition })
    if (call.id !== undefined && textOf(given, 'id') !== undefined)
      throw unsupported('the URL says already which Composition is meant; leave "id" out', 'id')
    if (textOf(given, 'graph') !== undefined)
      throw unsupported('documents are made of what the Composition refers to; leave "graph" out', 'graph')
    const composition = await read(context, { type: 'Composition', id: call.id ?? idOf(context, textOf(given, 'id')) })
    const bundle = await documentOf(context, composition)
    if (!booleanOf(given, 'persist')) return { kind: 'resource', resource: bundle }
    const { stored } = await create(context, bundle)
    return { kind: 'bytes', body: stored.body, location: `Bundle/${stored.id}/_history/${stored.version}` }
  },
}

/** "This can either be a simple id, or it can be a full URL, which identifies a composition on another server." */
function idOf({ baseUrls }: Context, text: string | undefined): string {
  if (text === undefined) throw invalid('state the id of the Composition', 'id')
  if (isId(text)) return text
  const local = localReference(text, baseUrls)
  if (local?.type !== 'Composition') throw unsupported('only a Composition of this server can be made a document', 'id')
  return local.id
}

async function documentOf(context: Context, composition: Stored): Promise<Resource> {
  const entries = [composition, ...(await referred(context, composition))].map(
    ({ type, id, body }): JsonObject => ({
      fullUrl: `${context.baseUrls[0]}/${type}/${id}`,
      resource: parseJson(body),
    }),
  )
  return {
    resourceType: 'Bundle',
    identifier: { system: 'urn:ietf:rfc:3986', value: `urn:uuid:${context.newId()}` },
    type: 'document',
    timestamp: instant(context.clock()),
    entry: entries,
  }
}

/** Everything the Composition refers to, once and in the order of the text; a reference to a version gives that version. */
async function referred(context: Context, composition: Stored): Promise<Stored[]> {
  const found = new Map<string, Stored>()
  for (const { path, reference } of referencesIn(parseJson(composition.body))) {
    if (reference.startsWith('#')) continue
    const place = `Composition.${path}`
    const local = localReference(reference, context.baseUrls)
    if (!local) throw business('the document would need a resource of another server; store a copy here first', place)
    const { type, id, version } = local
    const key = `${type}/${id}`
    if (found.has(key) || (type === 'Composition' && id === composition.id)) continue
    const one = version === undefined ? read(context, { type, id }) : vread(context, { type, id }, version)
    found.set(key, await one.catch((cause: unknown) => Promise.reject(missing(cause, place))))
  }
  return [...found.values()]
}

/** Not found by the Composition, which is not the same as a Composition that is not found. */
function missing(cause: unknown, place: string): unknown {
  if (!(cause instanceof FhirError)) return cause
  return business('the Composition refers to a resource that is not there; mend the reference', place, { cause })
}
