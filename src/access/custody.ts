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
 * The resource with the custodian it must have: that of `before`, or the caller's hospital for a new one. What a client
 * says of it is dropped. Where nobody is limited, what the resource says is kept: that is how records are loaded.
 */
export function inCustody(caller: Caller, resource: Resource, before: Resource | undefined): Resource {
  if (isUnlimited(caller)) return resource
  const custodian = before
    ? custodianOf(before)
    : isDefinitionType(resource.resourceType)
      ? undefined
      : caller.custodian
  const { meta, ...rest } = resource
  const { extension, ...labels } = isObject(meta) ? meta : {}
  const others = Array.isArray(extension) ? extension.filter((each) => !isCustodian(each)) : []
  if (custodian === undefined && others.length === (Array.isArray(extension) ? extension.length : 0)) return resource
  const kept: Json[] =
    custodian === undefined
      ? others
      : [...others, { url: custodianUrl, valueReference: { reference: `Organization/${custodian}` } }]
  const own: JsonObject = { ...(kept.length && { extension: kept }), ...labels }
  return { ...rest, ...(Object.keys(own).length && { meta: own }) } as Resource
}

const isCustodian = (extension: Json): boolean => isObject(extension) && extension['url'] === custodianUrl
