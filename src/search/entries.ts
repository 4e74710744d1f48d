/**
 * From values of FHIR types to what is indexed of them, by the type of the search parameter.
 *
 * https://hl7.org/fhir/R4/search.html#table
 */
import type { ElementDefinition, Json, SearchParamType } from '../fhir/index.js'
import { typeDefinition } from '../fhir/index.js'
import { dateEmitter } from './dates.js'
import type { IndexEntry } from './expression.js'
import { numberEmitter } from './numbers.js'
import { phoneticEmitter } from './phonetics.js'
import { positionEmitter } from './positions.js'
import { quantityEmitter } from './quantities.js'
import { referenceEmitter } from './references.js'
import { stringEmitter } from './strings.js'
import { tokenEmitter } from './tokens.js'
import { uriEmitter } from './uris.js'

/** Where entries go, the resource they are of, and what reading a value depends on. */
export type Sink = { entries: IndexEntry[]; root: Json; zone: string; baseUrls: readonly string[] }

/** Adds the entries of one value. Values of the wrong JSON type add nothing. */
export type Emit = (value: Json, sink: Sink) => void

/**
 * How values of a FHIR type are indexed for a parameter; undefined where the parameter says nothing of the type (an Age
 * is no date).
 */
export function emitter(
  param: { code: string; type: SearchParamType; usage?: 'phonetic' },
  type: string,
  element?: ElementDefinition,
): Emit | undefined {
  const { code } = param
  if (type === 'Extension') return extensionEmitter(param)
  switch (param.type) {
    case 'token':
      return tokenEmitter(code, type, element)
    case 'string':
      return param.usage === 'phonetic' ? phoneticEmitter(code, type) : stringEmitter(code, type)
    case 'date':
      return dateEmitter(code, type)
    case 'number':
      return numberEmitter(code, type)
    case 'quantity':
      return quantityEmitter(code, type)
    case 'reference':
      return referenceEmitter(code, type)
    case 'uri':
      return uriEmitter(code, type)
    case 'special':
      return positionEmitter(code, type)
    case 'composite':
      return undefined
  }
}

/** An expression that ends at an extension means its value. */
function extensionEmitter(param: { code: string; type: SearchParamType; usage?: 'phonetic' }): Emit {
  const byProperty = new Map<string, Emit>()
  for (const [property, { element, type }] of typeDefinition('Extension')!.properties) {
    const emit = element.name === 'value' && type.code !== 'Extension' ? emitter(param, type.code) : undefined
    if (emit) byProperty.set(property, emit)
  }
  return (value, sink) => {
    for (const property in value as object) {
      const emit = byProperty.get(property)
      if (emit) emit((value as Record<string, Json>)[property]!, sink)
    }
  }
}
