/**
 * Token search: codes, identifiers and flags in the index, and `system|code` in a search.
 *
 * https://hl7.org/fhir/R4/search.html#token
 */
import { type ElementDefinition, invalid, isObject, type Json, type JsonObject, requiredCodes } from '../fhir/index.js'
import type { Emit } from './entries.js'
import { splitEscaped, unescaped } from './escapes.js'
import type { IndexEntry, TokenTest } from './expression.js'

/** https://hl7.org/fhir/R4/codesystem-special-values.html */
const SPECIAL_VALUES = 'http://terminology.hl7.org/CodeSystem/special-values'

export function tokenEmitter(param: string, type: string, element?: ElementDefinition): Emit | undefined {
  const text = `${param}:text`
  switch (type) {
    case 'Coding':
      return (value, { entries }) => {
        if (!isObject(value)) return
        coding(param, value, entries)
        string(text, value['display'], entries)
      }
    case 'CodeableConcept':
      return (value, { entries }) => {
        if (!isObject(value)) return
        string(text, value['text'], entries)
        for (const each of codings(value)) {
          coding(param, each, entries)
          string(text, each['display'], entries)
        }
      }
    case 'Identifier':
      return identifierEmitter(param)
    case 'ContactPoint':
      return (value, { entries }) => {
        if (isObject(value)) token(param, undefined, value['value'], entries)
      }
    case 'boolean':
      return (value, { entries }) => {
        if (typeof value === 'boolean') entries.push({ kind: 'token', param, system: SPECIAL_VALUES, code: `${value}` })
      }
    case 'code': {
      const system = impliedSystem(element)
      return (value, { entries }) => token(param, system, value, entries)
    }
    case 'Reference':
      return (value, { entries }) => {
        if (isObject(value) && isObject(value['identifier'])) identifier(param, value['identifier'], entries)
      }
    case 'id':
    case 'string':
    case 'uri':
    case 'url':
    case 'canonical':
    case 'oid':
    case 'uuid':
      return (value, { entries }) => token(param, undefined, value, entries)
    default:
      return undefined
  }
}

/** A `code` has the system of its required value set, where that has exactly one. */
function impliedSystem(element: ElementDefinition | undefined): string | undefined {
  const systems = element?.binding === undefined ? undefined : requiredCodes[element.binding]
  const [first, ...more] = Object.keys(systems ?? {})
  return more.length ? undefined : first
}

/**
 * `identifier:of-type` entries hold type and value in one token: the type's `system|code` as the system, the value as
 * the code, so that the three are compared together.
 */
function identifierEmitter(param: string): Emit {
  const ofType = `${param}:of-type`
  const text = `${param}:text`
  return (value, { entries }) => {
    if (!isObject(value)) return
    identifier(param, value, entries)
    const type = value['type']
    if (!isObject(type)) return
    string(text, type['text'], entries)
    for (const each of codings(type)) {
      const { system, code } = each
      if (typeof code === 'string' && typeof value['value'] === 'string')
        entries.push({
          kind: 'token',
          param: ofType,
          system: `${typeof system === 'string' ? system : ''}|${code}`,
          code: value['value'],
        })
    }
  }
}

/** The token of an Identifier: its system and value. */
export function identifier(param: string, value: JsonObject, entries: IndexEntry[]): void {
  token(param, value['system'], value['value'], entries)
}

const coding = (param: string, value: JsonObject, entries: IndexEntry[]): void =>
  token(param, value['system'], value['code'], entries)

function codings(concept: JsonObject): JsonObject[] {
  const list = concept['coding']
  return Array.isArray(list) ? list.filter(isObject) : []
}

function token(param: string, system: Json | undefined, code: Json | undefined, entries: IndexEntry[]): void {
  const hasSystem = typeof system === 'string' && system !== ''
  if (typeof code === 'string')
    entries.push(hasSystem ? { kind: 'token', param, system, code } : { kind: 'token', param, code })
  else if (hasSystem) entries.push({ kind: 'token', param, system })
}

function string(param: string, value: Json | undefined, entries: IndexEntry[]): void {
  if (typeof value === 'string') entries.push({ kind: 'string', param, value })
}

/**
 * `code`, `system|code`, `|code` or `system|`, still escaped.
 *
 * @throws FhirError naming the parameter
 */
export function tokenTest(param: string, text: string, name: string): TokenTest {
  const parts = splitEscaped(text, '|')
  const code = unescaped(parts.length === 1 ? parts[0]! : parts.slice(1).join('|'))
  if (parts.length === 1) return { op: 'token', param, code }
  const system = unescaped(parts[0]!)
  if (system === '' && code === '') throw invalid(`"${name}" takes code, system|code, |code or system|`, name)
  return { op: 'token', param, system, ...(code !== '' && { code }) }
}

/** `system|code|value` of `:of-type`: the type of the identifier and its value. */
export function ofTypeTest(param: string, text: string, name: string): TokenTest {
  const [system, code, value, ...more] = splitEscaped(text, '|').map(unescaped)
  if (!code || !value || more.length)
    throw invalid(`"${name}" takes system|code|value: the type of the identifier, then its value`, name)
  return { op: 'token', param: `${param}:of-type`, system: `${system}|${code}`, code: value }
}
