/**
 * What the operations of the terminology module have in common: which definition they are about, and which codes.
 *
 * https://hl7.org/fhir/R4/terminology-service.html
 */
import type { CodeableConcept, Coding, Parameters, ParametersParameter } from 'fhir/r4.js'
import { FhirError, invalid, isObject, type Json, notFound, parseJson, type Resource } from '../fhir/index.js'
import { type Context, read } from '../interactions/index.js'
import { type CanonicalType, shown } from '../terminology/index.js'
import { structureIssues } from '../validation/index.js'
import { type Argument, resourceOf, textOf } from './arguments.js'
import type { OperationCall } from './operation.js'

type Names = { type: CanonicalType; url: string; resource: string; version: string }

/** The definition of the call: the instance, one in the body, or one by its URL; undefined where none is named. */
export async function definitionOf(
  context: Context,
  call: OperationCall,
  given: Argument[],
  { type, url: urlName, resource: resourceName, version: versionName }: Names,
): Promise<{ definition: Resource; canonical?: string } | undefined> {
  const url = textOf(given, urlName)
  const version = textOf(given, versionName)
  const sent = resourceOf(call, given, resourceName)
  if (call.id !== undefined) {
    if (url !== undefined || sent) throw invalid(`the ${type} is the one of the URL; name no other`, urlName)
    return { definition: parseJson((await read(context, { type, id: call.id })).body) as Resource }
  }
  if (sent) {
    if (url !== undefined) throw invalid(`state either "${urlName}" or "${resourceName}"`, urlName)
    if (sent.resourceType !== type) throw invalid(`"${resourceName}" must be a ${type}`, resourceName)
    const issues = structureIssues(sent).filter(({ severity }) => severity === 'error' || severity === 'fatal')
    if (issues.length) throw new FhirError(400, issues)
    return { definition: sent }
  }
  if (url === undefined) return undefined
  const canonical = version === undefined || url.includes('|') ? url : `${url}|${version}`
  const found = await context.terminology.resource(canonical, type)
  if (!found) throw notFound(`the ${type} ${shown(canonical)} is not known here; create it first`)
  return { definition: found, canonical }
}

/** Exactly one of the forms in which a code may be given, as codings; where is it for messages. */
export function codingsOf(
  given: Argument[],
  { code: codeName = 'code', system: systemName = 'system', version: versionName = 'version' } = {},
  implied?: string,
): { codings: Coding[]; form: 'code' | 'coding' | 'codeableConcept' } {
  const code = textOf(given, codeName)
  const coding = codingOf(given, 'coding')
  const concept = objectOf<CodeableConcept>(given, 'codeableConcept')
  if ([code, coding, concept].filter((each) => each !== undefined).length !== 1)
    throw invalid(
      `give the code in one way: "${codeName}" with "${systemName}", "coding" or "codeableConcept"`,
      codeName,
    )
  if (code !== undefined) {
    const system = textOf(given, systemName) ?? implied
    if (system === undefined) throw invalid(`a "${codeName}" needs its "${systemName}"`, systemName)
    const version = textOf(given, versionName)
    const display = textOf(given, 'display')
    return { codings: [{ system, code, ...(version && { version }), ...(display && { display }) }], form: 'code' }
  }
  if (coding) return { codings: [coding], form: 'coding' }
  const codings = concept!.coding ?? []
  if (!Array.isArray(codings) || codings.length === 0)
    throw invalid('"codeableConcept" must have a coding', 'codeableConcept')
  codings.forEach(checkCoding)
  return { codings, form: 'codeableConcept' }
}

/** A Coding; in a query string, as `system|code`. */
export function codingOf(given: Argument[], name: string): Coding | undefined {
  const coding = objectOf<Coding>(given, name)
  if (coding) checkCoding(coding)
  return coding
}

function checkCoding(coding: Coding): void {
  if (!isObject(coding as unknown as Json) || typeof coding.code !== 'string')
    throw invalid('a coding must have a code', 'coding')
  for (const name of ['system', 'version', 'display'] as const)
    if (coding[name] !== undefined && typeof coding[name] !== 'string')
      throw invalid(`the ${name} of a coding must be text`, 'coding')
}

function objectOf<T>(given: Argument[], name: string): T | undefined {
  const found = given.filter((argument) => argument.name === name)
  if (found.length > 1) throw invalid(`the parameter "${name}" may be given once`, name)
  const [argument] = found
  if (!argument) return undefined
  if (!isObject(argument.value)) throw invalid(`the parameter "${name}" is complex; send it by POST`, name)
  return argument.value as T
}

export const answered = (parameter: (ParametersParameter | undefined)[]): { kind: 'resource'; resource: Resource } => {
  const resource: Parameters = {
    resourceType: 'Parameters',
    parameter: parameter.filter((each) => each !== undefined),
  }
  return { kind: 'resource', resource: resource as unknown as Resource }
}

type Designated = { language?: string | undefined; value: string }

/** The designation in a language (or in the language without its region), undefined where there is none. */
export function inLanguage(designations: Designated[] | undefined, language: string | undefined): string | undefined {
  if (language === undefined || !designations) return undefined
  const wanted = language.toLowerCase()
  const primary = wanted.split('-')[0]!
  const spoken = (each: Designated) => each.language?.toLowerCase()
  return (
    designations.find((each) => spoken(each) === wanted) ??
    designations.find((each) => spoken(each)?.split('-')[0] === primary)
  )?.value
}
