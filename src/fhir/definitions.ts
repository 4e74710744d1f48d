/**
 * What R4 says of its types, search parameters, compartments and operations, as the tables compiled from HL7's package.
 *
 * https://hl7.org/fhir/R4/conformance-module.html
 *
 * The tables under profiles/r4 are made by `npm run definitions`; nothing else in this project lists what they list.
 */
import { readFileSync } from 'node:fs'

/** A type an element may have: `Quantity`, `Patient.contact` (a backbone element), `Reference` with its targets. */
export type ElementType = { code: string; targets?: string[] }

/** An invariant as its definition states it; `expression` is FHIRPath on the element that carries it. */
export type Invariant = { key: string; severity: 'error' | 'warning'; human: string; expression: string }

/** One element of a type. `max: 0` forbids it; `many` is a list; `choice` is value[x]; `binding` a required value set. */
export type ElementDefinition = {
  name: string
  choice?: true
  min?: number
  many?: true
  max?: 0
  types: ElementType[]
  binding?: string
  summary?: true
  modifier?: true
  invariants?: Invariant[]
}

/** A type; the elements include those inherited and stand in the order in which XML writes them. */
export type TypeDefinition = {
  name: string
  kind: 'resource' | 'complex' | 'backbone' | 'primitive'
  base?: string
  abstract?: true
  regex?: string
  elements: ElementDefinition[]
  invariants?: Invariant[]
  /** The element and the type by the name of the JSON property: `valueQuantity` is value[x] as Quantity. */
  properties: Map<string, Property>
}

export type Property = { element: ElementDefinition; type: ElementType }

export type SearchParamType =
  | 'number'
  | 'date'
  | 'string'
  | 'token'
  | 'reference'
  | 'composite'
  | 'quantity'
  | 'uri'
  | 'special'

/** A search parameter: R4's own, or one that was uploaded. `base` are the types it applies to. */
export type SearchParam = {
  url: string
  code: string
  base: string[]
  type: SearchParamType
  expression?: string
  target?: string[]
  component?: { definition: string; expression: string }[]
  usage?: 'phonetic'
}

export type OperationParameter = {
  name: string
  use: 'in' | 'out'
  min: number
  max: string
  type?: string
  part?: OperationParameter[]
}

export type OperationDefinition = {
  url: string
  name: string
  code: string
  resource?: string[]
  system: boolean
  type: boolean
  instance: boolean
  affectsState?: true
  parameter: OperationParameter[]
}

const table = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`../../profiles/r4/${name}.json`, import.meta.url), 'utf8')) as T

const types = new Map<string, TypeDefinition>()
for (const [name, row] of Object.entries(table<Record<string, Omit<TypeDefinition, 'name' | 'properties'>>>('types')))
  types.set(name, { ...row, name, elements: row.elements ?? [], properties: propertiesOf(row.elements ?? []) })

function propertiesOf(elements: ElementDefinition[]): Map<string, Property> {
  const properties = new Map<string, Property>()
  for (const element of elements)
    for (const type of element.types) {
      const suffix = element.choice ? type.code[0]!.toUpperCase() + type.code.slice(1) : ''
      if (!properties.has(element.name + suffix)) properties.set(element.name + suffix, { element, type })
    }
  return properties
}

/** The names of the 146 resource types, in order of the alphabet. */
export const resourceTypes: readonly string[] = [...types.values()]
  .filter(({ kind, abstract }) => kind === 'resource' && !abstract)
  .map(({ name }) => name)
  .sort()
const resourceTypeSet = new Set(resourceTypes)

export const isResourceType = (name: string): boolean => resourceTypeSet.has(name)

/** The definition of a type by name or path, such as `Observation`, `Quantity`, `Patient.contact`, `string`. */
export const typeDefinition = (name: string): TypeDefinition | undefined => types.get(name)

export const allTypes = (): IterableIterator<TypeDefinition> => types.values()

/** The codes of a required value set by system; null where they cannot be listed (currencies, MIME types, UCUM). */
export const requiredCodes: Record<string, Record<string, string[]> | null> = table('codes')

/** R4's search parameters. Those of `Resource` and `DomainResource` apply to every type. */
export const standardSearchParams: readonly SearchParam[] = table('search-parameters')

/** Compartment to type to the search parameters that make a resource of the type a member. */
export const compartments: Record<string, Record<string, string[]>> = table('compartments')

/** R4's own operation definitions. */
export const operationDefinitions: readonly OperationDefinition[] = table('operations')

/** The version of FHIR the tables were compiled from. */
export const fhirVersion = '4.0.1'
