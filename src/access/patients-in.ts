/**
 * Whose data a resource is, and which labels it bears, found in its stored bytes.
 *
 * https://hl7.org/fhir/R4/compartmentdefinition-patient.html
 *
 * Every access is recorded, so that this must cost less than reading the resource. A write has made every reference to
 * a resource of ours relative, and inside a string the quotes would stand behind a backslash. All patients a resource
 * refers to are taken, not those of the compartment's parameters alone: who performed the observation on themselves, or
 * is a member of the group, is touched too, and an access too many in a report can be explained, one too few cannot.
 */
import { compartments, isObject, type JsonObject, parseJson, typeDefinition } from '../fhir/index.js'
import type { Stored } from '../store/index.js'
import type { Label } from './audit-entry.js'

const needle = Buffer.from('"reference":"Patient/')
const QUOTE = 34
const SLASH = 47
const idMax = 64

/** Ids of the patients the resource is about or refers to, once each. */
export function patientsIn({ type, id, body }: Pick<Stored, 'type' | 'id' | 'body'>): string[] {
  const found = type === 'Patient' ? [id] : []
  for (let at = body.indexOf(needle); at >= 0; at = body.indexOf(needle, at)) {
    at += needle.length
    let end = at
    while (end < at + idMax && body[end] !== QUOTE && body[end] !== SLASH && end < body.length) end++
    const patient = body.toString('latin1', at, end)
    if (found.length > few || !found.includes(patient)) found.push(patient)
  }
  return found.length > few ? [...new Set(found)] : found
}

const few = 16

const security = Buffer.from('"security":[')

/** The security labels of the resource, to be copied into the event. */
export function labelsIn(body: Buffer): Label[] {
  if (body.indexOf(security) < 0) return []
  const { security: labels } = metaOf(body)
  return (Array.isArray(labels) ? labels : [])
    .filter(isObject)
    .flatMap(({ system, code }) =>
      typeof code === 'string' ? [[typeof system === 'string' ? system : '', code] as const] : [],
    )
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

const BACKSLASH = 92
const OPEN = 123
const CLOSE = 125

/**
 * Whether resources of the type are nobody's data, so that reading them leaves no event: definitions, which have a
 * canonical url and a PublicationStatus, and do not belong to the Patient compartment.
 *
 * https://hl7.org/fhir/R4/definition.html
 */
export function isNobodys(type: string): boolean {
  let answer = nobodys.get(type)
  if (answer === undefined) {
    answer = type !== 'Patient' && !compartments['Patient']?.[type]?.length && isDefinition(type)
    nobodys.set(type, answer)
  }
  return answer
}

const nobodys = new Map<string, boolean>()

function isDefinition(type: string): boolean {
  const elements = typeDefinition(type)?.elements ?? []
  const has = (name: string, test: (element: (typeof elements)[number]) => boolean) =>
    elements.some((element) => element.name === name && test(element))
  return (
    has('url', ({ types }) => types.some(({ code }) => code === 'uri')) &&
    has('status', ({ binding }) => binding === 'http://hl7.org/fhir/ValueSet/publication-status')
  )
}
