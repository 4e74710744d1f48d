/**
 * What a path below the base names: a type, an instance, a version, a compartment, an operation.
 *
 * https://hl7.org/fhir/R4/http.html#summary
 *
 * Split by hand: a read is answered in less time than a router takes to find its handler.
 */
import { isId, isResourceType, notFound } from '../fhir/index.js'
import { decodePercent } from './parameters.js'

export type Shape =
  | 'system'
  | 'metadata'
  | 'system-search'
  | 'system-history'
  | 'operation'
  | 'type'
  | 'type-search'
  | 'type-history'
  | 'instance'
  | 'instance-history'
  | 'version'
  | 'compartment'
  | 'compartment-search'

/** `member` is the type inside a compartment, '*' for all; `code` an operation without its dollar. */
export type Place = { shape: Shape; type?: string; id?: string; version?: string; member?: string; code?: string }

/**
 * The place of a path that begins with a slash or is empty.
 *
 * @throws FhirError 404 where FHIR has no such place, 400 for bad percent-encoding
 */
export function locate(path: string): Place {
  const parts = (path.includes('%') ? decodePercent(path) : path).split('/')
  if (parts.at(-1) === '') parts.pop()
  const [, first, second, third, fourth, ...more] = parts
  if (more.length) throw nowhere()
  if (first === undefined) return { shape: 'system' }
  if (!isResourceType(first)) return systemPlace(first, second)
  const type = first
  if (second === undefined) return { shape: 'type', type }
  if (second[0] === '$' && third === undefined) return { shape: 'operation', type, code: second.slice(1) }
  if (second === '_search' && third === undefined) return { shape: 'type-search', type }
  if (second === '_history' && third === undefined) return { shape: 'type-history', type }
  if (!isId(second)) throw notFound('A logical id has 1 to 64 letters, digits, "-" and "."; this is none')
  const id = second
  if (third === undefined) return { shape: 'instance', type, id }
  if (third === '_history')
    return fourth === undefined
      ? { shape: 'instance-history', type, id }
      : { shape: 'version', type, id, version: fourth }
  if (third[0] === '$' && fourth === undefined) return { shape: 'operation', type, id, code: third.slice(1) }
  if (third !== '*' && !isResourceType(third)) throw nowhere()
  if (fourth === undefined) return { shape: 'compartment', type, id, member: third }
  if (fourth === '_search') return { shape: 'compartment-search', type, id, member: third }
  throw nowhere()
}

function systemPlace(first: string, second: string | undefined): Place {
  if (second === undefined) {
    if (first === 'metadata') return { shape: 'metadata' }
    if (first === '_search') return { shape: 'system-search' }
    if (first === '_history') return { shape: 'system-history' }
    if (first[0] === '$') return { shape: 'operation', code: first.slice(1) }
  }
  throw /^[A-Za-z]+$/.test(first) ? notFound(`R4 has no resource type "${first.slice(0, 64)}"`) : nowhere()
}

const nowhere = () => notFound('FHIR has nothing at this path; see /metadata for what there is')
