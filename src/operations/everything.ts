/**
 * $everything: all there is about a patient, the patients of a group, an encounter, or all patients.
 *
 * https://hl7.org/fhir/R4/patient-operation-everything.html
 * https://hl7.org/fhir/R4/group-operation-everything.html
 * https://hl7.org/fhir/R4/encounter-operation-everything.html
 *
 * Without `_count` the whole record is one Bundle, written while it is read. With `_count` it comes in pages.
 */
import { reach } from '../access/index.js'
import {
  dateMax,
  dateMin,
  invalid,
  isObject,
  isResourceType,
  type Json,
  localReference,
  parseJson,
  period,
  type Resource,
  unsupported,
} from '../fhir/index.js'
import {
  type Context,
  type RecordFilter,
  type RecordPlace,
  type RecordScope,
  read,
  recordPage,
  seal,
  unseal,
  wholeRecord,
  writeBundle,
} from '../interactions/index.js'
import { type Argument, argumentsOf, positiveOf, textOf, textsOf } from './arguments.js'
import type { Operation, OperationAnswer, OperationCall } from './operation.js'
import { searchset } from './searchset.js'

const operation = (
  of: string,
  levels: { type: boolean },
  scopeOf: (context: Context, call: OperationCall, filter: RecordFilter) => Promise<RecordScope>,
): Operation => ({
  definition: definitionOf(of),
  code: 'everything',
  system: false,
  types: [of],
  type: levels.type,
  instance: true,
  affectsState: false,
  async run(context, call) {
    const given = argumentsOf(call, { definition: definitionOf(of), others: (name) => name === '_page' })
    const scope = await scopeOf(context, call, filterOf(context, given))
    const count = positiveOf(given, '_count')
    return count === undefined
      ? whole(context, call, given, scope)
      : paged(context, call, given, scope, Math.min(count, context.settings.pageSizeMax))
  },
})

const definitionOf = (of: string) => `http://hl7.org/fhir/OperationDefinition/${of}-everything`

export const patientEverything = operation('Patient', { type: true }, async (context, { id }, filter) => {
  if (id === undefined) return { type: 'Patient', ids: 'all', patients: 'all', filter }
  await read(context, { type: 'Patient', id })
  return { type: 'Patient', ids: [id], patients: new Set([id]), filter }
})

/** The patients who are active members. A group that is described by characteristics has none that are named. */
export const groupEverything = operation('Group', { type: false }, async (context, call, filter) => {
  const group = parseJson((await read(context, { type: 'Group', id: call.id! })).body) as Resource
  const member = group['member']
  const ids = new Set<string>()
  for (const each of Array.isArray(member) ? member : []) {
    if (!isObject(each) || each['inactive'] === true) continue
    const patient = patientOf(context, each['entity'])
    if (patient !== undefined) ids.add(patient)
  }
  return { type: 'Patient', ids: [...ids], patients: ids, filter }
})

export const encounterEverything = operation('Encounter', { type: false }, async (context, call, filter) => {
  const encounter = parseJson((await read(context, { type: 'Encounter', id: call.id! })).body) as Resource
  const patient = patientOf(context, encounter['subject'])
  return {
    type: 'Encounter',
    ids: [call.id!],
    patients: new Set(patient === undefined ? [] : [patient]),
    filter,
  }
})

function patientOf({ baseUrls }: Context, reference: unknown): string | undefined {
  const text = typeof reference === 'object' && reference && 'reference' in reference ? reference.reference : undefined
  const local = typeof text === 'string' ? localReference(text, baseUrls) : undefined
  return local?.type === 'Patient' ? local.id : undefined
}

function filterOf({ settings: { zone } }: Context, given: Argument[]): RecordFilter {
  const dateOf = (name: string) => {
    const text = textOf(given, name)
    const covered = text === undefined ? undefined : period(text, zone)
    if (text !== undefined && !covered) throw invalid(`the parameter "${name}" must be a date, as 2020-01-31`, name)
    return covered
  }
  const start = dateOf('start')
  const end = dateOf('end')
  const since = dateOf('_since')
  const types = textsOf(given, '_type').flatMap((text) => text.split(','))
  const strange = types.find((type) => !isResourceType(type))
  if (strange !== undefined) throw unsupported('_type must name resource types, separated by commas', '_type')
  return {
    ...(types.length && { types: new Set(types) }),
    ...(since && { since: since.lo }),
    ...((start || end) && { care: { lo: start?.lo ?? dateMin, hi: end?.hi ?? dateMax } }),
  }
}

function whole(context: Context, call: OperationCall, given: Argument[], scope: RecordScope): OperationAnswer {
  const links = [{ relation: 'self', url: urlOf(call, given) }]
  return { kind: 'stream', pieces: searchset(wholeRecord(context, scope), { links, baseUrl: context.baseUrls[0]! }) }
}

async function paged(
  context: Context,
  call: OperationCall,
  given: Argument[],
  scope: RecordScope,
  count: number,
): Promise<OperationAnswer> {
  const asked = given.filter(({ name }) => name !== '_page')
  const token = textOf(given, '_page')
  const mine = reach(context.caller, 'search')
  const from = token === undefined ? {} : opened(unseal(context, 'everything', mine, token), call)
  const { matches, next: place } = await recordPage(context, scope, from, count)
  const links = [{ relation: 'self', url: urlOf(call, given) }]
  if (place) {
    const page = seal(context, 'everything', mine, { call: call.url, place })
    links.push({ relation: 'next', url: urlOf(call, [...asked, { name: '_page', value: page }]) })
  }
  return { kind: 'bytes', body: writeBundle({ type: 'searchset', matches, links, baseUrl: context.baseUrls[0]! }) }
}

/** What was sealed is what we gave, unless it was for the record of somebody else. */
function opened(state: Json, { url }: OperationCall): RecordPlace {
  const { call, place } = state as { call: string; place: RecordPlace }
  if (call !== url) throw invalid('this page link belongs to another record; begin again without it', '_page')
  return place
}

/** The call as a link: its parameters stand in the URL, also where they came in a body. */
function urlOf({ url }: OperationCall, given: Argument[]): string {
  const query = given.map(({ name, value }) => `${encodeURIComponent(name)}=${encodeURIComponent(String(value))}`)
  return query.length ? `${url}?${query.join('&')}` : url
}
