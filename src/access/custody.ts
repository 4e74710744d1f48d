/**
 * The custodian of a resource: the hospital of whoever created it, for good.
 *
 * https://hl7.org/fhir/R4/resource.html#Meta
 */
import { isObject, type Json, type JsonObject, type Resource } from '../fhir/index.js'
import { custodianOf, custodianUrl } from '../search/index.js'
import type { Caller } from './caller.js'
import { isUnlimited } from './reach.js'
import { isDefinitionType } from './roles.js'

/**
 * The id of the custodian a resource must have: that of `before`, or the caller's hospital for a new one. What a client
 * says of it is not asked. Where nobody is limited it is what the resource says: that is how records are loaded.
 */
export function custodianFor(caller: Caller, resource: Resource, before: Resource | undefined): string | undefined {
  if (isUnlimited(caller)) return custodianOf(resource)
  if (before) return custodianOf(before)
  return isDefinitionType(resource.resourceType) ? undefined : caller.custodian
}

/** The resource with that custodian, and no other. */
export function withCustodian(resource: Resource, custodian: string | undefined): Resource {
  const { meta, ...rest } = resource
  const { extension, ...labels } = isObject(meta) ? meta : {}
  const all = Array.isArray(extension) ? extension : []
  const others = all.filter((each) => !isCustodian(each))
  if (custodian === undefined && others.length === all.length) return resource
  const kept: Json[] =
    custodian === undefined
      ? others
      : [...others, { url: custodianUrl, valueReference: { reference: `Organization/${custodian}` } }]
  const own: JsonObject = { ...(kept.length && { extension: kept }), ...labels }
  return { ...rest, ...(Object.keys(own).length && { meta: own }) } as Resource
}

const isCustodian = (extension: Json): boolean => isObject(extension) && extension['url'] === custodianUrl
