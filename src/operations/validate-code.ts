/**
 * $validate-code: whether a code is in a value set, or in a code system, and why not.
 *
 * https://hl7.org/fhir/R4/valueset-operation-validate-code.html
 * https://hl7.org/fhir/R4/codesystem-operation-validate-code.html
 */
import type { CodeSystem, Coding, ValueSet } from 'fhir/r4.js'
import { invalid, unsupported } from '../fhir/index.js'
import { type Context, consult } from '../interactions/index.js'
import { type Concepts, conceptsOf, find, type Membership, shown } from '../terminology/index.js'
import { type Argument, argumentsOf, booleanOf, textOf } from './arguments.js'
import type { Operation, OperationCall } from './operation.js'
import { answered, codingsOf, definitionOf, inLanguage } from './terminology-arguments.js'

const at = { code: 'validate-code', system: false, type: true, instance: true, affectsState: false }

export const validateCodeOfValueSet: Operation = {
  ...at,
  definition: 'http://hl7.org/fhir/OperationDefinition/ValueSet-validate-code',
  types: ['ValueSet'],
  run: (context, call) =>
    consult(context, {
      operation: 'validate-code',
      type: 'ValueSet',
      answer: async () => verdictOf(await inValueSet(context, call)),
    }),
}

export const validateCodeOfCodeSystem: Operation = {
  ...at,
  definition: 'http://hl7.org/fhir/OperationDefinition/CodeSystem-validate-code',
  types: ['CodeSystem'],
  run: (context, call) =>
    consult(context, {
      operation: 'validate-code',
      type: 'CodeSystem',
      answer: async () => verdictOf(await inCodeSystem(context, call)),
    }),
}

type Verdict = { result: boolean; message?: string; display?: string }

const verdictOf = ({ result, message, display }: Verdict) =>
  answered([
    { name: 'result', valueBoolean: result },
    message === undefined ? undefined : { name: 'message', valueString: message },
    display === undefined ? undefined : { name: 'display', valueString: display },
  ] as Parameters<typeof answered>[0])

async function inValueSet(context: Context, call: OperationCall): Promise<Verdict> {
  const given = argumentsOf(call, { definition: validateCodeOfValueSet.definition })
  for (const name of ['context', 'date'])
    if (textOf(given, name) !== undefined)
      throw unsupported(`$validate-code does not take "${name}" here; name the value set`, name)
  const { terminology } = context
  const { codings } = codingsOf(given, { version: 'systemVersion' })
  const url = textOf(given, 'url')
  const version = textOf(given, 'valueSetVersion')
  const canonical = url !== undefined && version !== undefined && !url.includes('|') ? `${url}|${version}` : url
  const isElsewhere =
    call.id === undefined && canonical !== undefined && !(await terminology.resource(canonical, 'ValueSet'))
  const names = { type: 'ValueSet', url: 'url', resource: 'valueSet', version: 'valueSetVersion' } as const
  const found = isElsewhere ? undefined : await definitionOf(context, call, given, names)
  if (!found && canonical === undefined)
    throw invalid('$validate-code needs a value set: its "url", or "valueSet" in the body', 'url')
  const valueSet = canonical ?? (found!.definition as unknown as ValueSet)
  const ask = async ({ system, code }: Coding): Promise<Membership> =>
    terminology.memberOf(valueSet, { ...(system !== undefined && { system }), code: code! })
  const named = `the value set ${shown(canonical ?? String(found!.definition['url'] ?? call.id ?? 'that was sent'))}`
  return decide(given, codings, ask, named, (coding) => systemOf(context, coding))
}

async function systemOf({ terminology }: Context, { system, version }: Coding): Promise<Concepts | undefined> {
  return system === undefined ? undefined : terminology.concepts(system, version)
}

async function inCodeSystem(context: Context, call: OperationCall): Promise<Verdict> {
  const given = argumentsOf(call, { definition: validateCodeOfCodeSystem.definition })
  if (textOf(given, 'date') !== undefined)
    throw unsupported('the version of a date is not known; name the version', 'date')
  const { terminology } = context
  const url = textOf(given, 'url')
  const version = textOf(given, 'version')
  const names = { type: 'CodeSystem', url: '', resource: 'codeSystem', version: '' } as const
  const found = await definitionOf(context, call, given, names)
  if (found && call.id !== undefined && url !== undefined && url !== found.definition['url'])
    throw invalid('the url is not that of the CodeSystem', 'url')
  const concepts = found ? conceptsOf(found.definition as unknown as CodeSystem) : undefined
  const own = concepts?.url || url
  const { codings, form } = codingsOf(given, { system: 'url' }, own)
  const systems = new Map<string, Concepts | undefined>()
  for (const { system = own, version: stated } of codings)
    if (system !== undefined)
      systems.set(system, concepts && system === own ? concepts : await terminology.concepts(system, stated ?? version))
  if (form !== 'code' && own === undefined && systems.size === 0) throw invalid('state the code system: "url"', 'url')
  const ask = async ({ system = own, code }: Coding): Promise<Membership> => {
    if (own !== undefined && system !== own) return { result: false }
    const here = systems.get(system!)
    if (!here) return { result: undefined, why: `the system ${shown(system!)} is not known here` }
    if (find(here, code!)) return { result: true }
    if (here.complete || here.parse) return { result: false }
    return { result: undefined, why: `only some codes of the system ${shown(system!)} are here` }
  }
  const named = `the system ${shown(own ?? codings[0]?.system ?? '')}`
  return decide(given, codings, ask, named, async ({ system = own }) => systems.get(system!))
}

/** One coding that is right is enough, as it is in a CodeableConcept. */
async function decide(
  given: Argument[],
  codings: Coding[],
  ask: (coding: Coding) => Promise<Membership>,
  place: string,
  systemFor: (coding: Coding) => Promise<Concepts | undefined>,
): Promise<Verdict> {
  const language = textOf(given, 'displayLanguage')
  const mayBeAbstract = booleanOf(given, 'abstract')
  const reasons: string[] = []
  let display: string | undefined
  for (const coding of codings) {
    const { system = '', code = '' } = coding
    const name = shown(system === '' ? code : `${system}|${code}`)
    const { result, why } = await ask(coding)
    if (!result) {
      reasons.push(
        result === false
          ? `the code ${name} is not in ${place}`
          : `whether the code ${name} is in ${place} cannot be said: ${why}`,
      )
      continue
    }
    const concepts = await systemFor(coding)
    const concept = concepts && find(concepts, code)?.concept
    const designations = concept?.source?.designation ?? []
    const texts = [concept?.display, ...designations.map(({ value }) => value)].filter((each) => each !== undefined)
    display = inLanguage(designations, language) ?? concept?.display
    const stated = coding.display
    if (concept?.abstract && mayBeAbstract === false) reasons.push(`the code ${name} is abstract: choose one below it`)
    else if (stated !== undefined && texts.length > 0 && !texts.some((text) => alike(text, stated)))
      reasons.push(`the display of ${name} is not "${shown(stated)}" but "${display}"`)
    else {
      const remark = concept?.inactive ? `the code ${name} is inactive` : undefined
      return { result: true, ...(remark && { message: remark }), ...(display !== undefined && { display }) }
    }
  }
  return { result: false, message: reasons.join('; '), ...(display !== undefined && { display }) }
}

/** White space and case make no difference to a person who reads it. */
const alike = (a: string, b: string): boolean => plain(a) === plain(b)
const plain = (text: string): string => text.trim().replace(/\s+/g, ' ').toLowerCase()
