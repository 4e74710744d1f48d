/**
 * References as text: relative, absolute, versioned, canonical, logical, contained.
 *
 * https://hl7.org/fhir/R4/references.html#literal
 */
import { isResourceType } from './definitions.js'
import { isId } from './resource.js'

/** `base` is the absolute base URL the reference was written with, without a final slash; absent when relative. */
export type LiteralReference = { type: string; id: string; version?: string; base?: string }

const basePattern = /^https?:\/\/[^/?#\s]+(?:\/[^?#\s]+)?$/

/** The parts of `Patient/1`, `Patient/1/_history/2` or `https://host/fhir/Patient/1`; undefined for anything else. */
export function parseReference(text: string): LiteralReference | undefined {
  const parts = text.split('/')
  const history = parts.length >= 4 && parts.at(-2) === '_history'
  const version = history ? parts.at(-1)! : undefined
  const [type, id] = history ? parts.slice(-4, -2) : parts.slice(-2)
  if (type === undefined || id === undefined || !isResourceType(type) || !isId(id)) return undefined
  if (version !== undefined && !isId(version)) return undefined
  const before = parts.slice(0, history ? -4 : -2)
  const base = before.join('/')
  if (before.length && !basePattern.test(base)) return undefined
  return {
    type,
    id,
    ...(version !== undefined && { version }),
    ...(before.length && { base }),
  }
}

/** The reference as one to our own resources, if it is: relative, or absolute at one of our base URLs. */
export function localReference(text: string, baseUrls: readonly string[]): LiteralReference | undefined {
  const parsed = parseReference(text)
  if (!parsed || (parsed.base !== undefined && !baseUrls.includes(parsed.base))) return undefined
  const { base: _, ...local } = parsed
  return local
}
