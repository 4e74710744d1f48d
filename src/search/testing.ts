/**
 * A handful of resources to search in tests, through the whole way from a URL's query to what is found.
 */
import { type JsonObject, parseJson, type Ref, type Resource } from '../fhir/index.js'
import type { Terminology } from '../terminology/index.js'
import { everything } from './expression.js'
import { indexed } from './indexed.js'
import { match, type Subject, type World } from './match.js'
import { searchParams } from './params.js'
import { parse } from './parse.js'
import type { ParseContext, Parsed } from './parsed.js'
import { readParameters } from './query-string.js'
import { compareKeys, sortKeys } from './sort-key.js'

/** Animals: dogs are mammals. */
const animals: Terminology = {
  expand: async () => [
    { system: 'http://animals', code: 'dog' },
    { system: 'http://animals', code: 'cat' },
  ],
  related: async (code, direction) =>
    direction === 'below' && code.code === 'mammal'
      ? [code, { system: 'http://animals', code: 'dog' }]
      : direction === 'above' && code.code === 'dog'
        ? [code, { system: 'http://animals', code: 'mammal' }]
        : [code],
  holds: async (_url, { code }) => ({ result: code === 'dog' || code === 'cat' }),
}

export const context: ParseContext = {
  searchParams: searchParams(),
  terminology: animals,
  baseUrls: ['http://localhost/fhir'],
  zone: 'UTC',
  now: Date.UTC(2020, 0, 1),
  handling: 'strict',
  pageSize: 20,
  pageSizeMax: 1000,
}

/** `Patient?name=x`, `?_type=…` or `Patient/1/Observation?…`. */
export function ask(url: string, changes: Partial<ParseContext> = {}): Promise<Parsed> {
  const [path = '', query = ''] = url.split(/\?(.*)/s)
  const [type, id, member] = path.split('/')
  return parse(
    {
      parameters: readParameters(query),
      ...(id ? { compartment: { type: type!, id } } : {}),
      ...(member === '*' ? {} : member ? { types: [member] } : type && !id ? { types: [type] } : {}),
    },
    { ...context, ...changes },
  )
}

export const subjectOf = (resource: JsonObject): Subject => ({
  type: resource['resourceType'] as string,
  id: (resource['id'] as string | undefined) ?? 'x',
  updated: Date.UTC(2015, 0, 1),
  entries: indexed(resource as Resource, context),
})

/** The ids found among some resources, in the order asked for. */
export async function found(resources: readonly JsonObject[], url: string): Promise<string[]> {
  const { query } = await ask(url)
  const world = worldOf(resources.map(subjectOf))
  const matches = world.all.filter(
    (subject) => (!query.types || query.types.includes(subject.type)) && match(subject, query.where, world),
  )
  const keyed = matches.map((subject) => ({ subject, keys: sortKeys(subject, query.sort) }))
  keyed.sort((a, b) => {
    for (const [i, { descending }] of query.sort.entries()) {
      const [x, y] = [a.keys[i]!, b.keys[i]!]
      const order = compareKeys(x, y)
      if (order !== 0) return descending && x !== null && y !== null ? -order : order
    }
    return 0
  })
  return keyed.map(({ subject }) => subject.id)
}

/** Whether one resource is found. */
export const finds = async (resource: JsonObject, url: string): Promise<boolean> =>
  (await found([resource], url)).length === 1

function worldOf(all: readonly Subject[]): World & { all: readonly Subject[] } {
  const same = (a: Ref, b: Ref) => a.type === b.type && a.id === b.id
  return {
    all,
    resolve: (ref) => all.find((each) => same(each, ref)),
    referring: (type, param, ref) =>
      all.filter(
        (each) =>
          each.type === type &&
          each.entries.some((entry) => entry.kind === 'reference' && entry.param === param && same(entry, ref)),
      ),
    reach: { of: () => everything },
  }
}

/** A tree as our reader makes it, so that numbers keep their digits. */
export const tree = (text: string): JsonObject => parseJson(text) as JsonObject
