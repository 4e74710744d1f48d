/**
 * FHIR capabilities interaction: what this server does, computed from the definitions, the search parameters in force
 * and the operations it was built with. Nothing is written by hand that could become untrue.
 *
 * https://hl7.org/fhir/R4/http.html#capabilities
 */
import { compartments, fhirVersion, type Json, type JsonObject, type Resource, resourceTypes } from '../fhir/index.js'
import type { ActiveParam, SearchParams } from '../search/index.js'
import type { Context } from './context.js'

export type Built = {
  software: { name: string; version: string }
  /** When the software was built or started, as a dateTime. */
  date: string
  /** MIME types and short forms, as `_format` takes them. */
  formats: readonly string[]
  patchFormats: readonly string[]
  operations: readonly OfferedOperation[]
  /** https://hl7.org/fhir/R4/capabilitystatement-definitions.html#CapabilityStatement.rest.security */
  security?: JsonObject
}

export type OfferedOperation = {
  definition: string
  code: string
  system: boolean
  types?: readonly string[]
  type: boolean
  instance: boolean
}

export function capabilities(context: Context, built: Built): Resource {
  const { searchParams, baseUrls } = context
  return {
    resourceType: 'CapabilityStatement',
    status: 'active',
    date: built.date,
    kind: 'instance',
    instantiates: ['https://hospitallink.example/fhir/CapabilityStatement/hospitallink'],
    software: { ...built.software },
    implementation: { description: `${built.software.name} at ${baseUrls[0]}`, url: baseUrls[0]! },
    fhirVersion,
    format: [...built.formats],
    patchFormat: [...built.patchFormats],
    rest: [
      {
        mode: 'server',
        documentation:
          'Conditional writes are decided inside the commit. POST takes an Idempotency-Key. Unknown parameters are refused unless the request says Prefer: handling=lenient.',
        ...(built.security && { security: built.security }),
        resource: resourcesOf(context, built.operations),
        interaction: ['transaction', 'batch', 'search-system', 'history-system'].map(code),
        searchParam: systemParams(searchParams),
        ...some('operation', built.operations.filter(({ system }) => system).map(offered)),
        compartment: Object.keys(compartments).map(
          (name) => `http://hl7.org/fhir/CompartmentDefinition/${name.toLowerCase()}`,
        ),
      },
    ],
  }
}

const interactions = [
  'read',
  'vread',
  'update',
  'patch',
  'delete',
  'history-instance',
  'history-type',
  'create',
  'search-type',
]

/** AuditEvents are added and never changed: docs/decisions/0031-audit-events-live-in-the-log.md */
const ofAuditEvent = {
  interaction: ['read', 'vread', 'history-instance', 'create', 'search-type'].map(code),
  versioning: 'versioned',
  updateCreate: false,
  conditionalCreate: false,
  conditionalUpdate: false,
  conditionalDelete: 'not-supported',
}

function resourcesOf({ searchParams, settings }: Context, operations: readonly OfferedOperation[]): JsonObject[] {
  const references = new Map(resourceTypes.map((type) => [type, includesOf(searchParams, type)]))
  const reverse = reversed(new Map([...references].filter(([type]) => type !== 'AuditEvent')))
  return resourceTypes.map((type) => ({
    type,
    profile: `http://hl7.org/fhir/StructureDefinition/${type}`,
    interaction: interactions.map(code),
    versioning: 'versioned-update',
    readHistory: true,
    updateCreate: true,
    conditionalCreate: true,
    conditionalRead: 'full-support',
    conditionalUpdate: true,
    conditionalDelete: 'multiple',
    ...(type === 'AuditEvent' && ofAuditEvent),
    referencePolicy: ['literal', 'logical', ...(settings.integrity ? ['enforced'] : [])],
    ...some(
      'searchInclude',
      references.get(type)!.length ? ['*', ...references.get(type)!.map(({ name }) => name)] : [],
    ),
    ...some('searchRevInclude', type === 'AuditEvent' ? [] : (reverse.get(type) ?? [])),
    searchParam: paramsOf(searchParams, type).map(described),
    ...some(
      'operation',
      operations.filter((each) => (each.type || each.instance) && (each.types?.includes(type) ?? true)).map(offered),
    ),
  }))
}

type Included = { name: string; targets: readonly string[] | undefined }

const includesOf = (searchParams: SearchParams, type: string): Included[] =>
  paramsOf(searchParams, type)
    .filter((param) => param.type === 'reference')
    .map((param) => ({ name: `${type}:${param.code}`, targets: param.target }))

/** For each type the parameters of others that may refer to it; one without targets may refer to anything. */
function reversed(references: ReadonlyMap<string, Included[]>): Map<string, string[]> {
  const reverse = new Map<string, string[]>()
  for (const included of references.values())
    for (const { name, targets } of included)
      for (const target of targets ?? resourceTypes) {
        const names = reverse.get(target)
        if (names) names.push(name)
        else reverse.set(target, [name])
      }
  return reverse
}

/** The parameters that can be searched by now, each code once; those of all types are listed with each type. */
function paramsOf(searchParams: SearchParams, type: string): ActiveParam[] {
  return searchParams
    .of(type)
    .filter(
      ({ state, expression, code }) => state === 'active' && (expression !== undefined || withoutExpression.has(code)),
    )
    .sort((a, b) => (a.code < b.code ? -1 : 1))
}

/** Parameters that the specification describes in words, because no path leads to what they search. */
const withoutExpression = new Set(['_text', '_content', '_filter'])

/**
 * Parameters of the whole system: those of every type, and those that are not of a type at all.
 *
 * https://hl7.org/fhir/R4/search.html#all
 */
function systemParams(searchParams: SearchParams): JsonObject[] {
  const ofAll = paramsOf(searchParams, 'Resource').map(described)
  return [
    ...ofAll,
    { name: '_type', type: 'token', documentation: 'The types to search, separated by commas.' },
    { name: '_has', type: 'string', documentation: 'Reverse chaining: _has:Type:reference:parameter=value.' },
    { name: '_list', type: 'string', documentation: 'The resources in a List, by its id.' },
  ]
}

const described = ({ code, url, type }: ActiveParam): JsonObject => ({ name: code, definition: url, type })

const offered = ({ code, definition }: OfferedOperation): JsonObject => ({ name: code, definition })

function code(text: string): JsonObject {
  return { code: text }
}

/** A list that is left out when it is empty. */
const some = (name: string, list: Json[]): JsonObject => (list.length ? { [name]: list } : {})
