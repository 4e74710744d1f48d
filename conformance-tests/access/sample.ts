/**
 * The least valid resource of any type, made from its definition, and about whom it is told to be.
 */
import {
  type ElementDefinition,
  type JsonObject,
  requiredCodes,
  standardSearchParams,
  typeDefinition,
} from '../../src/fhir/index.js'
import type { Expression } from '../../src/search/index.js'

export type Sample = JsonObject & { resourceType: string; id: string }

/** What is required of a type, and nothing else. */
export function sample(type: string, id: string): Sample {
  return { resourceType: type, id, ...required(type), ...extras[type] }
}

/** What an invariant asks for, and definitions alone do not tell. */
const extras: Record<string, JsonObject> = {
  Organization: { name: 'An organisation' },
  Group: { type: 'person', actual: true },
  Binary: { contentType: 'text/plain', data: 'aGVsbG8=' },
  List: { status: 'current', mode: 'working' },
  Composition: { date: '2024-01-01', title: 'x' },
  RequestGroup: { status: 'active', intent: 'order' },
  AllergyIntolerance: {
    clinicalStatus: {
      coding: [{ system: 'http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical', code: 'active' }],
    },
  },
  Condition: {
    clinicalStatus: {
      coding: [{ system: 'http://terminology.hl7.org/CodeSystem/condition-clinical', code: 'active' }],
    },
  },
  ImplementationGuide: { packageId: 'a.b', fhirVersion: ['4.0.1'] },
  CapabilityStatement: { format: ['application/fhir+json'] },
  SearchParameter: { status: 'draft' },
  Consent: { policyRule: { text: 'x' }, status: 'active' },
  Task: { status: 'requested', intent: 'order' },
  Account: { status: 'active' },
}

function required(type: string): JsonObject {
  const made: JsonObject = {}
  for (const element of typeDefinition(type)!.elements) {
    if (!element.min) continue
    const [property, value] = elementOf(type, element)
    made[property] = element.many ? [value] : value
  }
  return made
}

export function elementOf(type: string, element: ElementDefinition): [property: string, value: JsonObject | string] {
  const { code } = element.types.find((each) => each.code !== 'Reference') ?? element.types[0]!
  const property = element.choice ? `${element.name}${code[0]!.toUpperCase()}${code.slice(1)}` : element.name
  return [property, made(code, element, type)] as [string, JsonObject | string]
}

function made(code: string, { binding }: ElementDefinition, type: string): unknown {
  const bound = binding === undefined ? undefined : requiredCodes[binding.split('|')[0]!]
  switch (code) {
    case 'code': {
      const codes = bound ? Object.values(bound).flat() : []
      return codes.find((each) => usual.has(each)) ?? codes[0] ?? 'x'
    }
    case 'string':
    case 'markdown':
    case 'id':
      return 'x'
    case 'uri':
    case 'url':
    case 'canonical':
      return 'http://example.org/x'
    case 'boolean':
      return true
    case 'dateTime':
    case 'date':
      return '2024-01-01'
    case 'instant':
      return '2024-01-01T00:00:00Z'
    case 'positiveInt':
    case 'integer':
    case 'unsignedInt':
    case 'decimal':
      return 1
    case 'base64Binary':
      return 'aGVsbG8='
    case 'CodeableConcept':
    case 'Annotation':
      return { text: 'x' }
    case 'Coding': {
      const [system, codes] = Object.entries(bound ?? {})[0] ?? ['http://example.org', ['x']]
      return { system, code: codes[0]! }
    }
    case 'Identifier':
      return { system: 'http://example.org', value: 'x' }
    case 'Period':
      return { start: '2024-01-01' }
    case 'Reference':
      return { display: 'x' }
    case 'Attachment':
      return { title: 'x' }
    case 'Quantity':
    case 'SimpleQuantity':
      return { value: 1 }
    case 'Money':
      return { value: 1, currency: 'EUR' }
    case 'ContactPoint':
      return { system: 'phone', value: '1' }
    case 'Narrative':
      return { status: 'generated', div: '<div xmlns="http://www.w3.org/1999/xhtml">x</div>' }
    default:
      return typeDefinition(code) && code !== type ? required(code) : {}
  }
}

const usual = new Set(['active', 'final', 'booked', 'completed', 'in-progress', 'order', 'proposed', 'free', 'current'])

/** The resource with a reference by a search parameter, put where the parameter's expression looks. */
export function referring(resource: Sample, param: string, reference: string): Sample {
  const type = resource.resourceType
  const special = specials[`${type}.${param}`]
  if (special) return { ...resource, ...special(reference) }
  const { expression = '' } = standardSearchParams.find(({ code, base }) => code === param && base.includes(type))!
  const path = new RegExp(`\\b${type}\\.([a-zA-Z]+)`).exec(expression.replace(/\s/g, ''))?.[1]
  const element = typeDefinition(type)!.elements.find(({ name }) => name === path)!
  const property = element.choice ? `${element.name}Reference` : element.name
  return { ...resource, [property]: element.many ? [{ reference }] : { reference } }
}

const specials: Record<string, (reference: string) => JsonObject> = {
  'Appointment.patient': (reference) => ({ participant: [{ actor: { reference }, status: 'accepted' }] }),
  'AppointmentResponse.patient': (reference) => ({ actor: { reference } }),
  'Person.patient': (reference) => ({ link: [{ target: { reference } }] }),
  'Group.member': (reference) => ({ member: [{ entity: { reference } }] }),
  'Provenance.patient': (reference) => ({ target: [{ reference }] }),
  'AuditEvent.patient': (reference) => ({ entity: [{ what: { reference } }] }),
}

/** The resource as an expression of the table of roles wants it. */
export function satisfying(resource: Sample, where: Expression | undefined): Sample {
  switch (where?.op) {
    case undefined:
      return resource
    case 'or':
      return satisfying(resource, where.of[0])
    case 'and':
      return where.of.reduce(satisfying, resource)
    case 'not':
      return where.of.op === 'missing' ? referring(resource, where.of.param, 'MedicationRequest/mr-a') : resource
    case 'token': {
      const element = typeDefinition(resource.resourceType)!.elements.find(({ name }) => name === where.param)!
      const { code, system } = where
      const kind = element.types[0]!.code
      const value =
        kind === 'boolean'
          ? code === 'true'
          : kind === 'CodeableConcept'
            ? { coding: [{ ...(system && { system }), code: code! }] }
            : code!
      return { ...resource, [where.param]: element.many ? [value] : value } as Sample
    }
    default:
      throw new Error(`no sample for ${where!.op}`)
  }
}
