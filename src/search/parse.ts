/**
 * A search request as a Query: what is searched, and how it is answered.
 *
 * https://hl7.org/fhir/R4/search.html
 *
 * Parameters are put in order first, so that requests that ask the same are the same query and have the same self link.
 */
import { type Issue, invalid, isResourceType, resourceTypes, tooCostly, unsupported } from '../fhir/index.js'
import { compartment, memberTypes } from './compartments.js'
import { criterion } from './criterion.js'
import { and, type Expression } from './expression.js'
import type { ParseContext, Parsed, SearchRequest } from './parsed.js'
import { didYouMean, Refused } from './refused.js'
import { type Answer, resultParameters } from './result-parameters.js'
import { affordable, type Scope } from './scope.js'

const parametersMax = 200
const nameLengthMax = 500

type Parameter = readonly [name: string, value: string]

/**
 * @throws FhirError 400 for what is unknown (unless handling is lenient), cannot be read, or would cost too much
 */
export async function parse(request: SearchRequest, context: ParseContext): Promise<Parsed> {
  if (request.parameters.length > parametersMax)
    throw tooCostly(`a search takes at most ${parametersMax} parameters, and this one has ${request.parameters.length}`)
  if (request.parameters.some(([name]) => name.length > nameLengthMax))
    throw tooCostly(`the name of a search parameter, with its chains, has at most ${nameLengthMax} characters`)
  const parameters = inOrder(request.parameters)
  const now = context.now ?? Date.now()
  const types = searchedTypes(request, parameters)
  // A parameter must be understood for each type; all types together have those of Resource.
  const lookedUp = types ?? ['Resource']

  const applied: [string, string][] = []
  const ignored: Issue[] = []
  const criteria: Expression[] = []
  let answer: Answer = { sort: [], include: [], explain: false }

  for (const [name, value] of parameters) {
    const scope: Scope = { context, now, depth: 0, name, known: new Map() }
    try {
      const read = resultParameters[name.split(':', 1)[0]!]
      if (read) {
        const { shown, ...more } = read({ name, value, types, lookedUp, scope, answer })
        answer = { ...answer, ...more }
        if (shown && !applied.some((each) => each[0] === shown[0] && each[1] === shown[1])) applied.push(shown)
      } else {
        criteria.push(await forEachType(lookedUp, (type) => criterion(type, name, value, scope)))
        applied.push([name, value])
      }
    } catch (error) {
      if (!(error instanceof Refused) || context.handling === 'strict') throw error
      ignored.push(...error.ignored)
    }
  }

  const { compartment: inside } = request
  const member = inside && (await forEachType(lookedUp, (type) => compartment(inside, type)))
  const where = affordable(and(...(member ? [member] : []), ...criteria), 'the search')
  const { sort, include, summary, elements, explain, total = false, count = context.pageSize } = answer
  // "If _count has the value 0, this shall be treated the same as _summary=count."
  const counted = count === 0 || summary === 'count'
  return {
    query: { ...(types && { types }), where, sort, include, count: counted ? 0 : count, total: total || counted },
    applied,
    ignored,
    ...(counted ? { summary: 'count' } : summary && { summary }),
    ...(elements && { elements }),
    explain,
  }
}

/** By name, values of one name in the order in which they came; what is there twice counts once. */
function inOrder(parameters: readonly Parameter[]): Parameter[] {
  const once = new Map(parameters.map((parameter) => [JSON.stringify(parameter), parameter]))
  return [...once.values()].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
}

/** The type of the route, those of `_type`, all members of a compartment; undefined for all. */
function searchedTypes({ types, compartment }: SearchRequest, parameters: readonly Parameter[]): string[] | undefined {
  for (const type of types ?? [])
    if (!isResourceType(type)) throw unsupported(`"${type.slice(0, 64)}" is no resource type`)
  const possible = compartment && !types ? memberTypes(compartment.type) : undefined
  const asked = parameters.filter(([name]) => name === '_type')
  if (asked.length === 0) return types ?? (possible && [...possible])
  if (types) throw invalid(`"_type" is for searches of several types; this one is for ${types.join(', ')}`, '_type')
  const named = asked.map(([, value]) => new Set(value.split(',').map(typeNamed)))
  const common = [...named[0]!].filter((type) => named.every((each) => each.has(type))).sort()
  if (common.length === 0) throw invalid('"_type" names no type that is in all its lists', '_type')
  const outside = possible && common.find((type) => !possible.includes(type))
  if (outside) throw unsupported(`${outside} is not part of the ${compartment?.type} compartment`, '_type')
  return common
}

function typeNamed(name: string): string {
  if (!isResourceType(name))
    throw unsupported(`"${name.slice(0, 64)}" is no resource type${didYouMean(name, resourceTypes)}`, '_type')
  return name
}

/** One expression if it is the same for every type, one for each where they differ. */
async function forEachType(
  types: readonly string[],
  expression: (type: string) => Expression | Promise<Expression>,
): Promise<Expression> {
  const of: Record<string, Expression> = {}
  for (const type of types) of[type] = await expression(type)
  const [first, ...rest] = Object.values(of)
  const text = rest.length ? JSON.stringify(first) : ''
  return first && rest.every((each) => JSON.stringify(each) === text) ? first : { op: 'typed', of }
}
