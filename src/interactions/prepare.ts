/**
 * The one path by which a resource becomes what a store is given: checked, its links made our own, written, indexed.
 *
 * https://hl7.org/fhir/R4/http.html#create
 */
import { custodianFor, labelled, withCustodian } from '../access/index.js'
import { invalid, localReference, type Ref, type Resource, serialize } from '../fhir/index.js'
import { indexed } from '../search/index.js'
import type { Expect, Put } from '../store/index.js'
import { refuseInvalid } from '../validation/index.js'
import type { Context } from './context.js'
import { type Links, mapLinks } from './links.js'

/** @throws FhirError with every issue the structure of the resource has */
export function prepare(
  context: Context,
  resource: Resource,
  to: { id: string; method: Put['method']; expect?: Expect; before?: Resource },
): Put {
  refuseInvalid(resource)
  return prepareChecked(context, resource, to)
}

/**
 * As `prepare`, for a resource whose structure was checked; a transaction also has its own links replaced. `before` is
 * what the caller saw there, whose custodian stays.
 */
export function prepareChecked(
  { caller, searchParams, settings, baseUrls }: Context,
  given: Resource,
  {
    id,
    method,
    expect,
    links,
    before,
  }: { id: string; method: Put['method']; expect?: Expect; links?: Links; before?: Resource },
): Put {
  // The custodian is no link like others: hospitals are loaded in any order, and closed while their records stay.
  const custodian = custodianFor(caller, given, before)
  const resource = withCustodian(given, undefined)
  const references = new Map<string, Ref>()
  const linked = mapLinks(resource, {
    reference: (text) => {
      const mapped = links ? links.reference(text) : text
      const first = mapped.charCodeAt(0)
      if (first === HASH || mapped.startsWith('urn:')) return mapped
      if (isConditional(mapped))
        throw invalid(
          'a reference by search, such as Patient?identifier=…, is understood in a transaction only; write Type/id',
        )
      const local = localReference(mapped, baseUrls)
      if (!local) return mapped
      const key = `${local.type}/${local.id}`
      if (!references.has(key)) references.set(key, { type: local.type, id: local.id })
      return local.version === undefined ? key : `${key}/_history/${local.version}`
    },
    ...(links?.uri && { uri: links.uri }),
  })
  const own = withCustodian(labelled(caller, linked, before), custodian)
  const type = resource.resourceType
  return {
    op: 'put',
    type,
    id,
    method,
    serialized: serialize(own, id),
    entries: indexed(own, { searchParams, zone: settings.zone, baseUrls, entriesMax: settings.searchValuesMax }),
    references: [...references.values()],
    ...(expect && { expect }),
  }
}

const HASH = 35

/** `Patient?identifier=…`: https://hl7.org/fhir/R4/http.html#trules (conditional references) */
export const isConditional = (reference: string): boolean => /^[A-Z][A-Za-z]+\?/.test(reference)
