/**
 * $subsumes: how two codes of a code system stand to each other.
 *
 * https://hl7.org/fhir/R4/codesystem-operation-subsumes.html
 */
import type { CodeSystem, Coding } from 'fhir/r4.js'
import { invalid, notFound, unprocessable } from '../fhir/index.js'
import { type Context, consult } from '../interactions/index.js'
import { type Concepts, closure, conceptsOf, find, shown } from '../terminology/index.js'
import { type Argument, argumentsOf, textOf } from './arguments.js'
import type { Operation, OperationAnswer, OperationCall } from './operation.js'
import { answered, codingOf, definitionOf } from './terminology-arguments.js'

export const subsumes: Operation = {
  definition: 'http://hl7.org/fhir/OperationDefinition/CodeSystem-subsumes',
  code: 'subsumes',
  system: false,
  types: ['CodeSystem'],
  type: true,
  instance: true,
  affectsState: false,
  run: (context, call) =>
    consult(context, { operation: 'subsumes', type: 'CodeSystem', answer: () => compared(context, call) }),
}

async function compared(context: Context, call: OperationCall): Promise<OperationAnswer> {
  const given = argumentsOf(call, { definition: subsumes.definition })
  const [a, b] = [oneOf(given, 'codeA', 'codingA'), oneOf(given, 'codeB', 'codingB')]
  const concepts = await systemOf(context, call, given, [a, b])
  const [codeA, codeB] = [spelt(concepts, a), spelt(concepts, b)]
  return answered([{ name: 'outcome', valueCode: outcome(concepts, codeA, codeB) }])
}

function oneOf(given: Argument[], codeName: string, codingName: string): Partial<Coding> & { code: string } {
  const code = textOf(given, codeName)
  const coding = codingOf(given, codingName)
  if ((code === undefined) === (coding === undefined))
    throw invalid(`give either "${codeName}" or "${codingName}"`, codeName)
  return code !== undefined ? { code } : { ...coding, code: coding!.code! }
}

async function systemOf(
  context: Context,
  call: OperationCall,
  given: Argument[],
  codings: Partial<Coding>[],
): Promise<Concepts> {
  const names = { type: 'CodeSystem', url: 'system', resource: 'codeSystem', version: 'version' } as const
  const instance = call.id === undefined ? undefined : await definitionOf(context, call, given, names)
  if (instance) {
    const system = instance.definition as unknown as CodeSystem
    if (codings.some((each) => each.system !== undefined && each.system !== system.url))
      throw invalid('a coding is of another system than the CodeSystem of the URL', 'codingA')
    return conceptsOf(system)
  }
  const systems = new Set(
    [textOf(given, 'system'), ...codings.map(({ system }) => system)].filter((each) => each !== undefined),
  )
  const [system] = systems
  if (system === undefined) throw invalid('state the "system" of the codes', 'system')
  if (systems.size > 1) throw unprocessable('codes of different systems cannot be compared')
  const versions = new Set(
    [textOf(given, 'version'), ...codings.map(({ version }) => version)].filter((each) => each !== undefined),
  )
  if (versions.size > 1) throw unprocessable('codes of different versions cannot be compared')
  const concepts = await context.terminology.concepts(system, [...versions][0])
  if (!concepts) throw notFound(`the system ${shown(system)} is not known here; create its CodeSystem first`)
  return concepts
}

function spelt(concepts: Concepts, { code }: { code: string }): string {
  const found = find(concepts, code)
  if (!found) throw notFound(`the code ${shown(code)} is not known in the system ${shown(concepts.url)}`)
  return found.code
}

/** https://hl7.org/fhir/R4/valueset-concept-subsumption-outcome.html */
export function outcome(concepts: Concepts, a: string, b: string): string {
  if (a === b) return 'equivalent'
  if (closure(concepts, b, 'above').has(a)) return 'subsumes'
  return closure(concepts, a, 'above').has(b) ? 'subsumed-by' : 'not-subsumed'
}
