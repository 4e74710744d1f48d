/**
 * String search: names, addresses and text, compared without case, accents and punctuation.
 *
 * https://hl7.org/fhir/R4/search.html#string
 */
import { invalid, isObject, type Json } from '../fhir/index.js'
import type { Emit } from './entries.js'
import { fold, type StringTest } from './expression.js'

/** The parts of a name and an address that are searched, each by itself. */
const parts: Record<string, readonly string[]> = {
  HumanName: ['text', 'family', 'given', 'prefix', 'suffix'],
  Address: ['text', 'line', 'city', 'district', 'state', 'postalCode', 'country'],
  CodeableConcept: ['text'],
  Annotation: ['text'],
}

export function stringEmitter(param: string, type: string): Emit | undefined {
  const add: Emit = (value, { entries }) => {
    if (typeof value === 'string') entries.push({ kind: 'string', param, value })
  }
  switch (type) {
    case 'string':
    case 'markdown':
    case 'code':
    case 'id':
    case 'uri':
    case 'url':
    case 'canonical':
      return add
    default: {
      const properties = parts[type]
      return properties && ((value, sink) => eachText(value, properties, (text) => add(text, sink)))
    }
  }
}

/** The texts of some properties, lists included. */
export function eachText(value: Json, properties: readonly string[], then: (text: string) => void): void {
  if (!isObject(value)) return
  for (const property of properties) {
    const found = value[property]
    if (typeof found === 'string') then(found)
    else if (Array.isArray(found)) for (const item of found) if (typeof item === 'string') then(item)
  }
}

/** `text` is unescaped. */
export function stringTest(param: string, how: StringTest['how'], text: string, name: string): StringTest {
  if (how === 'exact') return { op: 'string', param, how, value: text }
  const value = fold(text)
  if (value === '')
    throw invalid(`"${name}" needs a letter or digit, since punctuation is not compared; or use :exact`, name)
  return { op: 'string', param, how, value }
}
