/**
 * The parameters that say how results are answered: sorted, counted, included, summarised.
 *
 * https://hl7.org/fhir/R4/search.html#return
 */
import { invalid, isResourceType, resourceTypes, tooCostly } from '../fhir/index.js'
import type { Include, Sort } from './expression.js'
import type { Parsed } from './parsed.js'
import { didYouMean, Refused } from './refused.js'
import { findParam, type Scope } from './scope.js'
import { targetsOf } from './value-test.js'

const sortKeysMax = 10
const includesMax = 50
const elementsMax = 200

const sortable = new Set(['string', 'token', 'date', 'number', 'quantity', 'reference', 'uri'])

/** How the results are answered, as far as the parameters read so far say. */
export type Answer = {
  sort: Sort[]
  include: Include[]
  count?: number
  total?: boolean
  summary?: NonNullable<Parsed['summary']>
  elements?: string[]
  explain: boolean
}

/** `types` is undefined for all; `lookedUp` are those whose parameters are known. */
type Given = {
  name: string
  value: string
  types: readonly string[] | undefined
  lookedUp: readonly string[]
  scope: Scope
  answer: Answer
}

/** What a parameter changes, and how it stands in the self link (not at all where it changes nothing). */
type Read = (given: Given) => Partial<Answer> & { shown?: [name: string, value: string] }

const includes: Read = ({ name, value, types, scope, answer }) => {
  const include = [...answer.include, ...readInclude(name, value, types, scope)]
  if (include.length > includesMax)
    throw tooCostly(`at most ${includesMax} _include and _revinclude are followed`, name)
  return { include, shown: [name.replace(/:recurse$/, ':iterate'), value] }
}

/** A parameter without modifiers. */
const plain =
  (read: Read): Read =>
  (given) => {
    if (given.name.includes(':')) throw new Refused(`"${given.name.split(':', 1)[0]}" has no modifiers`, given.name)
    return read(given)
  }

/** A parameter that says one thing, and so may be there once. */
const single = (field: keyof Answer, read: Read): Read =>
  plain((given) => {
    if (given.answer[field] !== undefined) throw invalid(`"${given.name}" is there more than once`, given.name)
    return read(given)
  })

const contained = plain(({ name, value }) => {
  // Resources that are contained are answered inside those that contain them.
  if (name === '_contained' ? value !== 'false' : value !== 'container')
    throw new Refused('contained resources are not searched; leave "_contained" and "_containedType" out', name)
  return {}
})

export const resultParameters: Record<string, Read | undefined> = Object.assign(Object.create(null), {
  _include: includes,
  _revinclude: includes,
  _sort: plain(({ value, lookedUp, scope, answer }) => ({
    sort: [...answer.sort, ...readSort(value, lookedUp, scope)],
    shown: ['_sort', value],
  })),
  _count: single('count', ({ value, scope }) => {
    const count = readCount(value, scope.context.pageSizeMax)
    return { count, shown: ['_count', `${count}`] }
  }),
  _total: single('total', ({ value }) => ({ total: readTotal(value), shown: ['_total', value] })),
  _summary: single('summary', ({ value }) => ({ summary: readSummary(value), shown: ['_summary', value] })),
  _elements: plain(({ value, answer }) => ({
    elements: [...new Set([...(answer.elements ?? []), ...readElements(value)])],
    shown: ['_elements', value],
  })),
  _explain: plain(({ value }) => ({ explain: readExplain(value), shown: ['_explain', value] })),
  _contained: contained,
  _containedType: contained,
  // Read before the others, since they depend on it.
  _type: plain(({ types }) => ({ shown: ['_type', (types ?? []).join(',')] })),
  // How the answer is written is the HTTP layer's to read.
  _format: plain(() => ({})),
  _pretty: plain(() => ({})),
} satisfies Record<string, Read>)

/** `_sort=status,-date`: the same for every type that is searched. */
function readSort(value: string, types: readonly string[], scope: Scope): Sort[] {
  const keys = value.split(',')
  if (keys.length > sortKeysMax) throw tooCostly(`"_sort" takes at most ${sortKeysMax} keys`, '_sort')
  return keys.map((key) => {
    const descending = key.startsWith('-')
    const code = descending ? key.slice(1) : key
    if (code === '')
      throw invalid('"_sort" takes search parameters joined by commas, "-" before those descending', '_sort')
    for (const type of types) {
      const param = findParam(type, code, scope)
      if (!sortable.has(param.type) || param.expression === undefined)
        throw new Refused(`results cannot be sorted by "${code}"`, '_sort')
    }
    return { param: code, descending }
  })
}

/** `_include=Type:param:Target` and `_revinclude`; `*` for all types and parameters, `Type:*` for those of one type. */
function readInclude(name: string, value: string, types: readonly string[] | undefined, scope: Scope): Include[] {
  const [kind = '', modifier] = name.split(':')
  if (modifier !== undefined && modifier !== 'iterate' && modifier !== 'recurse')
    throw new Refused(`"${kind}" has no modifier "${modifier}"; it has iterate`, name)
  const common = { reverse: kind === '_revinclude', iterate: modifier !== undefined }
  if (value === '*') {
    // What is included for what was found is of the types that are searched.
    if (types && !common.reverse && !common.iterate) return types.map((type) => ({ ...common, type, param: '*' }))
    return [{ ...common, type: '*', param: '*' }]
  }
  const [type = '', code = '', target, ...more] = value.split(':')
  if (code === '' || more.length) throw invalid(`"${name}" takes Type:parameter or Type:parameter:Target`, name)
  if (!isResourceType(type)) throw new Refused(`"${type}" is no resource type${didYouMean(type, resourceTypes)}`, name)
  if (target !== undefined && !isResourceType(target))
    throw new Refused(`"${target}" is no resource type${didYouMean(target, resourceTypes)}`, name)
  if (code !== '*') {
    const param = findParam(type, code, scope)
    if (param.type !== 'reference') throw new Refused(`"${code}" of ${type} is no reference`, name)
    if (target !== undefined && !targetsOf(param).includes(target))
      throw new Refused(`"${code}" of ${type} does not refer to a ${target}`, name)
  }
  return [{ ...common, type, param: code, ...(target !== undefined && { target }) }]
}

/** The number of matches on a page: a number above the largest page is cut to it. */
function readCount(value: string, pageSizeMax: number): number {
  if (!/^\d{1,15}$/.test(value)) throw invalid('"_count" takes a number that is not negative', '_count')
  return Math.min(Number(value), pageSizeMax)
}

function readTotal(value: string): boolean {
  if (value !== 'none' && value !== 'estimate' && value !== 'accurate')
    throw invalid('"_total" takes none, estimate or accurate', '_total')
  return value !== 'none'
}

function readSummary(value: string): NonNullable<Parsed['summary']> {
  if (value === 'true' || value === 'text' || value === 'data' || value === 'count' || value === 'false') return value
  throw invalid('"_summary" takes true, text, data, count or false', '_summary')
}

function readElements(value: string): string[] {
  const names = value.split(',')
  if (names.length > elementsMax) throw tooCostly(`"_elements" takes at most ${elementsMax} names`, '_elements')
  if (names.some((name) => !/^[A-Za-z][\w.]*$/.test(name)))
    throw invalid('"_elements" takes names of elements joined by commas', '_elements')
  return names
}

function readExplain(value: string): boolean {
  if (value !== '' && value !== 'true' && value !== 'false') throw invalid('"_explain" takes true or false', '_explain')
  return value !== 'false'
}
