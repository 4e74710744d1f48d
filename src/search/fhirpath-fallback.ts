/**
 * Expressions beyond our part of FHIRPath, evaluated by fhirpath.js.
 *
 * https://hl7.org/fhir/R4/fhirpath.html
 *
 * It is loaded when first needed: none of R4's own search parameters is beyond.
 */
import { createRequire } from 'node:module'
import { Decimal, invalid, type Json, type Resource } from '../fhir/index.js'

type Evaluate = (resource: unknown, environment: Record<string, unknown>) => unknown[]
type FhirPath = {
  compile(path: { base: string; expression: string }, model: unknown, options: object): Evaluate
  types(values: unknown[]): string[]
  resolveInternalTypes(values: unknown[]): unknown[]
}

const require = createRequire(import.meta.url)

/** A value found, and its FHIR type without the namespace. */
export type Found = { value: Json; type: string }

/** @throws FhirError if the expression is no FHIRPath */
export function compileFhirPath(expression: string, type: string): (resource: Resource) => Found[] {
  const fhirpath = require('fhirpath') as FhirPath
  const model = require('fhirpath/fhir-context/r4') as unknown
  let evaluate: Evaluate
  try {
    evaluate = fhirpath.compile({ base: type, expression }, model, { resolveInternalTypes: false })
  } catch (cause) {
    throw invalid('the expression of the search parameter is not valid FHIRPath', 'SearchParameter.expression', {
      cause,
    })
  }
  return (resource) => {
    let found: unknown[]
    const plainResource = plain(resource)
    try {
      found = evaluate(plainResource, { resource: plainResource })
    } catch {
      // An expression that fails on this resource (a comparison of unlike types) finds nothing in it.
      return []
    }
    const types = fhirpath.types(found)
    return fhirpath
      .resolveInternalTypes(found)
      .map((value, i) => ({ value: value as Json, type: (types[i] ?? '').replace(/^(?:FHIR|System)\./, '') }))
      .map(({ value, type }) => ({ value, type: systemTypes[type] ?? type }))
  }
}

const systemTypes: Record<string, string> = {
  String: 'string',
  Boolean: 'boolean',
  Integer: 'integer',
  Decimal: 'decimal',
  Date: 'date',
  DateTime: 'dateTime',
}

/** fhirpath.js knows numbers only as JavaScript has them, and notes its findings on what it is given: a copy. */
function plain(value: Json): unknown {
  if (value instanceof Decimal) return Number(value.text)
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, plain(member)]))
}
