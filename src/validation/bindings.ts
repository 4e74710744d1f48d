/**
 * Required bindings: which codes an element may have.
 *
 * https://hl7.org/fhir/R4/terminologies.html#required
 *
 * Value sets whose codes R4 does not list (MIME types, currencies, units, a LOINC answer list) are checked by shape.
 */
import { isObject, type JsonObject, requiredCodes } from '../fhir/index.js'

export type Binding = {
  hasCode(code: string): boolean
  hasCoding(coding: JsonObject): boolean
  /** What to choose from, as the end of a sentence. */
  choices: string
}

const UCUM = 'http://unitsofmeasure.org'
const VALUE_SET = 'http://hl7.org/fhir/ValueSet/'

/** R4's CapabilityStatement.format also takes these, "xml | json | ttl | mime type". */
const formats = new Set(['xml', 'json', 'ttl'])
const mimeType = /^[\w!#$&^.+-]+\/[\w!#$&^.+*-]+(?: ?;.*)?$/

const shapes: Record<string, Binding> = {
  [`${VALUE_SET}mimetypes`]: {
    hasCode: (code) => formats.has(code) || mimeType.test(code),
    hasCoding: () => true,
    choices: 'a MIME type such as application/pdf',
  },
  [`${VALUE_SET}currencies`]: {
    // Intl knows fewer currencies than ISO 4217 has, and different ones in each release of Node.
    hasCode: (code) => /^[A-Z]{3}$/.test(code),
    hasCoding: () => true,
    choices: 'a code of ISO 4217, three capital letters',
  },
  [`${VALUE_SET}ucum-units`]: {
    hasCode: () => true,
    hasCoding: ({ system, code }) => system === UCUM && typeof code === 'string',
    choices: `a coding with a UCUM code and the system ${UCUM}`,
  },
}

const anyCode: Omit<Binding, 'choices'> = { hasCode: () => true, hasCoding: ({ code }) => typeof code === 'string' }

const bindings = new Map<string, Binding>()

/** The binding to a value set by its canonical URL. */
export function binding(valueSet: string): Binding {
  let found = bindings.get(valueSet)
  if (!found) {
    found = make(valueSet)
    bindings.set(valueSet, found)
  }
  return found
}

function make(valueSet: string): Binding {
  const listed = requiredCodes[valueSet]
  if (!listed) return shapes[valueSet] ?? { ...anyCode, choices: `a code of ${valueSet}` }
  const bySystem = new Map(Object.entries(listed).map(([system, codes]) => [system, new Set(codes)]))
  const all = new Set([...bySystem.values()].flatMap((codes) => [...codes]))
  return {
    hasCode: (code) => all.has(code),
    hasCoding: ({ system, code }) =>
      typeof system === 'string' && typeof code === 'string' && bySystem.get(system)?.has(code) === true,
    choices:
      (all.size <= 20 ? `one of ${[...all].join(' | ')}` : `a code of ${valueSet}`) +
      (bySystem.size === 1 ? ` (system ${[...bySystem.keys()][0]})` : ''),
  }
}

/** Whether at least one coding of a CodeableConcept is of the value set; text alone does not do. */
export const hasConcept = ({ hasCoding }: Binding, { coding }: JsonObject): boolean =>
  Array.isArray(coding) && coding.some((each) => isObject(each) && hasCoding(each))
