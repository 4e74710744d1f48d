/**
 * A SearchParameter resource as a parameter one can search by, or the reason why it is none.
 *
 * https://hl7.org/fhir/R4/searchparameter.html
 */
import {
  clientTimeoutMs,
  compileFhirPath,
  FhirError,
  invariant,
  isObject,
  isResourceType,
  type Json,
  type JsonObject,
  type Resource,
  resourceTypes,
  type SearchParam,
  type SearchParamType,
  standardSearchParams,
} from '../fhir/index.js'
import type { SearchParams } from '../search/index.js'

const types: readonly string[] = [
  'number',
  'date',
  'string',
  'token',
  'reference',
  'composite',
  'quantity',
  'uri',
] satisfies SearchParamType[]

/**
 * The parameter an active resource defines; undefined where it is one of R4's own, which is in force anyway.
 * `inForce` are the parameters it must not collide with.
 *
 * @throws FhirError 422
 */
export function customParameter(resource: Resource, inForce: SearchParams): SearchParam | undefined {
  const url = textIn(resource, 'url')
  const code = textIn(resource, 'code')
  const type = textIn(resource, 'type')
  const base = textsIn(resource, 'base')
  if (!/^[A-Za-z][A-Za-z0-9_-]{0,63}$/.test(code))
    throw refused('a code has letters, digits, "-" and "_", and begins with a letter', 'code')
  if (!types.includes(type)) throw refused(`a parameter of type ${type} cannot be evaluated here`, 'type')
  const strange = base.find((name) => !isResourceType(name) && name !== 'Resource' && name !== 'DomainResource')
  if (base.length === 0 || strange !== undefined) throw refused('base must name resource types of R4', 'base')
  const expression =
    type === 'composite' ? textIn(resource, 'expression', base.join(' | ')) : textIn(resource, 'expression')
  const parameter: SearchParam = { url, code, base, type: type as SearchParamType, expression }
  const own = standardSearchParams.find((param) => param.url === url)
  if (own) {
    if (own.code === code && own.type === type && squeezed(own.expression) === squeezed(expression)) return undefined
    throw refused(
      'this is the url of a parameter of R4, which cannot be given another meaning; choose another url',
      'url',
    )
  }
  for (const name of typesOf(base)) {
    const other = inForce.find(name, code)
    if (other && other.url !== url)
      throw refused(`${name} has a parameter "${code}" already: ${other.url}; choose another code`, 'code')
  }
  compiles(expression, 'expression')
  if (type === 'reference') {
    const target = textsIn(resource, 'target')
    return target.length ? { ...parameter, target } : parameter
  }
  if (type !== 'composite') return parameter
  return { ...parameter, component: componentsOf(resource, inForce) }
}

/** The types a parameter applies to; Resource and DomainResource stand for all. */
export const typesOf = (base: readonly string[]): readonly string[] =>
  base.every((name) => isResourceType(name)) ? base : resourceTypes

function componentsOf(resource: Resource, inForce: SearchParams): { definition: string; expression: string }[] {
  const list = resource['component']
  if (!Array.isArray(list) || list.length < 2) throw refused('a composite needs two components or more', 'component')
  return list.map((each, index) => {
    const component: JsonObject = isObject(each) ? each : {}
    const definition = textIn(component, 'definition')
    const expression = textIn(component, 'expression')
    const place = `component[${index}]`
    const known = inForce.byUrl(definition)
    if (!known || known.type === 'composite')
      throw refused('the definition must be a parameter that is in force and no composite', `${place}.definition`)
    compiles(expression, `${place}.expression`)
    return { definition, expression }
  })
}

/** Read, and evaluated on nothing, so that an unknown function is found now and not with the first search. */
function compiles(expression: string, place: string): void {
  try {
    compileFhirPath(expression, { timeoutMs: clientTimeoutMs })({ resourceType: 'Basic' })
  } catch (cause) {
    if (!(cause instanceof FhirError)) throw cause
    throw refused(cause.issues[0]!.diagnostics, place, cause)
  }
}

function textIn(object: JsonObject, name: string, absent?: string): string {
  const value = object[name] ?? absent
  if (typeof value === 'string' && value !== '') return value
  throw refused(`a parameter that is active needs ${name}`, name)
}

const textsIn = (object: JsonObject, name: string): string[] => {
  const list: Json = object[name] ?? []
  return Array.isArray(list) ? list.filter((each) => typeof each === 'string') : []
}

const squeezed = (expression: string | undefined) => expression?.replace(/\s+/g, '')

const refused = (diagnostics: string, place: string, cause?: unknown): FhirError =>
  invariant(diagnostics, `SearchParameter.${place}`, { cause })
