/**
 * A resource as the server holds it: a tree of JSON whose decimals keep their digits, and the bytes it is answered with.
 *
 * https://hl7.org/fhir/R4/resource.html
 *
 * Reads answer stored bytes. They are written once: `serialize` gives the text around the version and the time, which
 * the store alone decides, inside the commit.
 */
import { type Json, type JsonObject, writeJson, writeString } from './json.js'

export type Resource = JsonObject & { resourceType: string; id?: string }

/** A local reference: type and logical id. */
export type Ref = { type: string; id: string }

export const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  Object.getPrototypeOf(value) === Object.prototype

/** https://hl7.org/fhir/R4/datatypes.html#id */
export const isId = (text: string): boolean => /^[A-Za-z0-9\-.]{1,64}$/.test(text)

/** The text of a resource before and after `"versionId":"1","lastUpdated":"…"` inside its meta. */
export type Serialized = { head: string; tail: string }

/** Text with a hole where meta.versionId and meta.lastUpdated go; what the client sent for the two is dropped. */
export function serialize(resource: Resource, id: string): Serialized {
  const { resourceType, id: _, meta, ...rest } = resource
  const { versionId: _v, lastUpdated: _l, ...kept } = isObject(meta) ? meta : {}
  const keptText = writeJson(kept)
  const restText = writeJson(rest)
  return {
    head: `{"resourceType":${writeString(resourceType)},"id":${writeString(id)},"meta":{`,
    tail: `${keptText === '{}' ? '' : `,${keptText.slice(1, -1)}`}}${restText === '{}' ? '' : `,${restText.slice(1, -1)}`}}`,
  }
}

/** The complete bytes: `version` is the number that is the versionId, `updated` milliseconds since 1970. */
export function splice({ head, tail }: Serialized, version: number, updated: number): Buffer {
  return Buffer.from(`${head}"versionId":"${version}","lastUpdated":"${instant(updated)}"${tail}`)
}

/** An instant as FHIR writes it, in UTC with milliseconds. */
export const instant = (ms: number): string => new Date(ms).toISOString()

/** Every Reference in the tree, also inside contained resources and extensions, with a FHIRPath-like place. */
export function* referencesIn(value: Json, path = ''): Generator<{ path: string; reference: string }> {
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) yield* referencesIn(value[i]!, `${path}[${i}]`)
  } else if (isObject(value)) {
    if (typeof value['reference'] === 'string')
      yield { path: path ? `${path}.reference` : 'reference', reference: value['reference'] }
    for (const key in value) {
      const member = value[key]!
      if (typeof member === 'object' && member !== null) yield* referencesIn(member, path ? `${path}.${key}` : key)
    }
  }
}
