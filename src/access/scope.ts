/**
 * SMART scopes for resources: read, written back, narrowed and compared.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#scopes-for-requesting-fhir-resources
 *
 * Several scopes allow what any one of them allows. A text that is not exactly a scope allows nothing: we never guess
 * what was meant (`.sr` is refused, and `.rd` is no way to write `.read`).
 */
import { FhirError, invalid, isResourceType, unsupported } from '../fhir/index.js'
import {
  type Expression,
  type ParseContext,
  parse,
  readParameters,
  somePart,
  writeParameters,
} from '../search/index.js'
import type { Act } from './caller.js'

/** `type` undefined is `*`. `where` holds the search parameters of a granular scope as a query string. */
export type Scope = {
  level: 'patient' | 'user' | 'system'
  type?: string
  acts: ReadonlySet<Act>
  where?: string
  /** Asked for as SMART 1 writes it, and written back so. */
  v1?: true
  /** What `where` selects, by `understood`; a granular scope that was not understood allows nothing. */
  criteria?: Expression
}

const letters: readonly (readonly [string, Act])[] = [
  ['c', 'create'],
  ['r', 'read'],
  ['u', 'update'],
  ['d', 'delete'],
  ['s', 'search'],
]

/** What SMART 1 wrote, in the letters of SMART 2. */
const v1 = { read: 'rs', write: 'cud', '*': 'cruds' } as const

/** The acts that letters name, such as `rs`. */
export const actsOf = (text: string): ReadonlySet<Act> =>
  new Set(letters.flatMap(([letter, act]) => (text.includes(letter) ? [act] : [])))

/** The letters of acts, in SMART's order. */
export const lettersOf = (acts: ReadonlySet<Act>): string =>
  letters.map(([letter, act]) => (acts.has(act) ? letter : '')).join('')

const uriPrefix = 'http://smarthealthit.org/fhir/scopes/'
const lengthMax = 2048
/** https://datatracker.ietf.org/doc/html/rfc6749#section-3.3 */
const scopeToken = /^[\x21\x23-\x5b\x5d-\x7e]+$/
const written = /^(patient|user|system)\/(\*|[A-Za-z]+)\.(read|write|\*|(?=[cruds])c?r?u?d?s?)(?:\?(.+))?$/

/** One scope, also in its URI form; undefined for whatever is no scope for resources. */
export function parseScope(text: string): Scope | undefined {
  if (text.length > lengthMax || !scopeToken.test(text)) return undefined
  const plain = text.startsWith(uriPrefix) ? text.slice(uriPrefix.length).replace('/%2A.', '/*.') : text
  const [, level, type, suffix, where] = written.exec(plain) ?? []
  if (level === undefined || type === undefined || suffix === undefined) return undefined
  if (type !== '*' && !isResourceType(type)) return undefined
  const old = Object.hasOwn(v1, suffix) ? v1[suffix as keyof typeof v1] : undefined
  if (where !== undefined && (old !== undefined || !isSelection(where))) return undefined
  return {
    level: level as Scope['level'],
    ...(type !== '*' && { type }),
    acts: actsOf(old ?? suffix),
    ...(where !== undefined && { where }),
    ...(old !== undefined && { v1: true }),
  }
}

/** The scopes for resources among those of a token or request, which are separated by spaces. */
export const parseScopes = (text: string): Scope[] => text.split(' ').flatMap((each) => parseScope(each) ?? [])

/** Whether parameters only select: no chains, and nothing about how to answer. */
function isSelection(where: string): boolean {
  try {
    return readParameters(where).every(
      ([name, value]) => value !== '' && /^[A-Za-z_][\w-]*(:[A-Za-z-]+)?$/.test(name) && !resultParameters.has(name),
    )
  } catch (error) {
    if (error instanceof FhirError) return false
    throw error
  }
}

const resultParameters = new Set(
  '_sort _count _include _revinclude _summary _elements _total _contained _containedType _type _filter _format _pretty _page _explain'.split(
    ' ',
  ),
)

/** As a token says it; SMART 1's words where they were used to ask. */
export function writeScope({ level, type = '*', acts, where, v1: old }: Scope): string {
  const suffix = lettersOf(acts)
  const name = old && Object.entries(v1).find(([, same]) => same === suffix)?.[0]
  return `${level}/${type}.${name ?? suffix}${where === undefined ? '' : `?${where}`}`
}

/**
 * What both the granted scopes and the wish allow, in the words of the wish. Two different queries are both asked:
 * search parameters side by side are an "and".
 */
export function narrow(granted: readonly Scope[], wish: readonly Scope[]): Scope[] {
  const common = wish.flatMap((wished) => granted.flatMap((given) => intersection(given, wished) ?? []))
  return common.filter(
    (each, i) => !common.some((other, j) => i !== j && covers(other, each) && (j < i || !covers(each, other))),
  )
}

function intersection(given: Scope, wished: Scope): Scope | undefined {
  if (given.level !== wished.level) return undefined
  if (given.type !== undefined && wished.type !== undefined && given.type !== wished.type) return undefined
  const acts = new Set([...wished.acts].filter((act) => given.acts.has(act)))
  if (acts.size === 0) return undefined
  const type = wished.type ?? given.type
  const where = both(given.where, wished.where)
  const old = wished.v1 && where === undefined && Object.values(v1).some((same) => same === lettersOf(acts))
  return {
    level: wished.level,
    ...(type !== undefined && { type }),
    acts,
    ...(where !== undefined && { where }),
    ...(old && { v1: true }),
  }
}

function both(given: string | undefined, wished: string | undefined): string | undefined {
  if (given === undefined || wished === undefined) return wished ?? given
  const asked = new Set(termsOf(wished))
  const more = readParameters(given).filter((term) => !asked.has(JSON.stringify(term)))
  return more.length ? `${wished}&${writeParameters(more)}` : wished
}

const termsOf = (where: string): string[] => readParameters(where).map((term) => JSON.stringify(term))

/** Whether everything that the scopes allow is allowed by the others too. */
export function within(scopes: readonly Scope[], others: readonly Scope[]): boolean {
  return scopes.every((scope) =>
    [...scope.acts].every((act) => others.some((other) => covers(other, { ...scope, acts: new Set([act]) }))),
  )
}

/** Whether one scope allows all that another does; a query with further parameters selects less. */
function covers(wide: Scope, tight: Scope): boolean {
  if (wide.level !== tight.level || (wide.type !== undefined && wide.type !== tight.type)) return false
  if (![...tight.acts].every((act) => wide.acts.has(act))) return false
  if (wide.where === undefined) return true
  if (tight.where === undefined) return false
  const terms = new Set(termsOf(tight.where))
  return termsOf(wide.where).every((term) => terms.has(term))
}

/**
 * The scope with its query understood by the search parameters in force.
 *
 * @throws FhirError where it cannot be
 */
export async function understood(scope: Scope, context: ParseContext): Promise<Scope> {
  const { type, where } = scope
  if (where === undefined || scope.criteria) return scope
  const { query, applied } = await parse(
    { ...(type !== undefined && { types: [type] }), parameters: readParameters(where) },
    { ...context, handling: 'strict' },
  )
  if (applied.length === 0 || query.where.op === 'everything')
    throw invalid('the query of a granular scope states at least one search parameter')
  if (query.sort.length || query.include.length || somePart(query.where, ({ op }) => op === 'chain' || op === 'has'))
    throw unsupported('the query of a granular scope selects by parameters of the resource itself')
  return { ...scope, criteria: query.where }
}
