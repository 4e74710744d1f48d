/**
 * $closure: the table by which a client knows what subsumes what, kept up to date as it meets codes.
 *
 * https://hl7.org/fhir/R4/conceptmap-operation-closure.html
 *
 * What is kept are the codes with the version at which each was added, of the caller alone; relations follow from the
 * code systems as they are now. A table that nobody asked about for 90 days is forgotten.
 */
import { createHash } from 'node:crypto'
import type { Coding, ConceptMap, ConceptMapGroupElement } from 'fhir/r4.js'
import { conflict, invalid, isObject, notFound, type Resource, tooCostly } from '../fhir/index.js'
import { type Context, consult } from '../interactions/index.js'
import { closure as related } from '../terminology/index.js'
import { argumentsOf, textOf } from './arguments.js'
import type { Operation, OperationAnswer, OperationCall } from './operation.js'

export const closure: Operation = {
  definition: 'http://hl7.org/fhir/OperationDefinition/ConceptMap-closure',
  code: 'closure',
  system: true,
  type: false,
  instance: false,
  affectsState: true,
  run: (context, call) =>
    consult(context, { operation: 'closure', type: 'ConceptMap', answer: () => maintained(context, call) }),
}

/** Most codes in a table, most tables of a caller, longest name and code, and how often a race is run again. */
const conceptsMax = 2000
const tablesMax = 50
const lengthMax = 200
const triesMax = 5
const keptMs = 90 * 24 * 3_600_000

type Kept = { version: number; concepts: [system: string, code: string, since: number][] }

async function maintained(context: Context, call: OperationCall): Promise<OperationAnswer> {
  const given = argumentsOf(call, { definition: closure.definition })
  const name = textOf(given, 'name')
  if (!name || name.length > lengthMax) throw invalid(`"name" must be 1 to ${lengthMax} characters`, 'name')
  const since = textOf(given, 'version')
  if (since !== undefined && !/^\d{1,9}$/.test(since))
    throw invalid('"version" is one that an earlier answer stated', 'version')
  const concepts = given.filter((argument) => argument.name === 'concept').map(({ value }) => codeIn(value))
  if (since !== undefined && concepts.length > 0)
    throw invalid('either codes are added, or changes since a version are asked for', 'version')
  const [prefix, key] = keysOf(context, name)
  const { secrets } = context.store
  const expires = context.clock() + keptMs
  for (let tries = 0; tries < triesMax; tries++) {
    const was = await secrets.get(key)
    const before = was === undefined ? undefined : (JSON.parse(was) as Kept)
    if (since !== undefined || concepts.length > 0) {
      if (!before) throw notFound('there is no such closure table of yours; begin one with its name alone')
    } else if (!before && (await secrets.list(prefix, tablesMax)).length >= tablesMax)
      throw tooCostly(`you have ${tablesMax} closure tables; use one of those`)
    if (since !== undefined && before) {
      if (Number(since) > before.version) throw invalid('the table never had that version', 'version')
      return answer(context, name, before, Number(since))
    }
    const after = before && concepts.length > 0 ? extended(before, concepts) : { version: 0, concepts: [] }
    if (after === before || (await secrets.swap(key, was, JSON.stringify(after), expires)))
      return answer(context, name, after, after === before ? after.version : after.version - 1)
  }
  throw conflict('the table is being changed by another request; try again')
}

/** The caller's own, whatever their token. */
function keysOf({ caller }: Context, name: string): [prefix: string, key: string] {
  const hash = (text: string) => createHash('sha256').update(text).digest('base64url')
  const prefix = `closure/${hash(`${caller.subject}\n${caller.client ?? ''}`)}/`
  return [prefix, `${prefix}${hash(name)}`]
}

function codeIn(value: unknown): [system: string, code: string] {
  const { system, code } = (isObject(value as never) ? value : {}) as Coding
  if (typeof system !== 'string' || typeof code !== 'string' || system.length > lengthMax || code.length > lengthMax)
    throw invalid('each "concept" must be a Coding with a system and a code; send it by POST', 'concept')
  return [system, code]
}

function extended(before: Kept, more: [system: string, code: string][]): Kept {
  const known = new Set(before.concepts.map(([system, code]) => `${system}|${code}`))
  const version = before.version + 1
  const added: Kept['concepts'] = []
  for (const [system, code] of more) {
    const key = `${system}|${code}`
    if (known.has(key)) continue
    known.add(key)
    added.push([system, code, version])
  }
  if (added.length === 0) return before
  if (known.size > conceptsMax) throw tooCostly(`a closure table may have ${conceptsMax} codes; begin another`)
  return { version, concepts: [...before.concepts, ...added] }
}

/** The relations that came with the codes added after `since`: the target subsumes the code. */
async function answer(context: Context, name: string, kept: Kept, since: number): Promise<OperationAnswer> {
  const addedAt = new Map(kept.concepts.map(([system, code, at]) => [`${system}|${code}`, at]))
  const groups = new Map<string, ConceptMapGroupElement[]>()
  for (const [system, code, at] of kept.concepts) {
    const concepts = await context.terminology.concepts(system)
    if (!concepts) continue
    const above = [...related(concepts, code, 'above')].filter((each) => {
      const met = addedAt.get(`${system}|${each}`)
      return each !== code && met !== undefined && Math.max(met, at) > since
    })
    if (above.length === 0) continue
    const target = above.map((each) => ({ code: each, equivalence: 'subsumes' as const }))
    groups.set(system, [...(groups.get(system) ?? []), { code, target }])
  }
  const resource: ConceptMap = {
    resourceType: 'ConceptMap',
    version: String(kept.version),
    name,
    status: 'active',
    experimental: true,
    date: new Date(context.clock()).toISOString(),
    ...(groups.size > 0 && {
      group: [...groups].map(([system, element]) => ({ source: system, target: system, element })),
    }),
  }
  return { kind: 'resource', resource: resource as unknown as Resource }
}
