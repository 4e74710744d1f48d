/**
 * Answers of the interactions on one resource: read, vread, create, update, patch, delete.
 *
 * https://hl7.org/fhir/R4/http.html#read
 */
import { FhirError, invalid, operationOutcome, type Ref, unsupported, writeJson } from '../fhir/index.js'
import {
  conditionalDelete,
  conditionalPatch,
  conditionalUpdate,
  create,
  isSubset,
  patch,
  read,
  remove,
  type Subset,
  subsetBytes,
  update,
  versionsIn,
  vread,
  type Written,
} from '../interactions/index.js'
import type { Stored } from '../store/index.js'
import type { Answer } from './answer.js'
import { type Exchange, patchOf, preconditionsOf, resourceOf } from './exchange.js'

const refOf = ({ place }: Exchange): Ref => ({ type: place.type!, id: place.id! })

export async function answerRead(exchange: Exchange): Promise<Answer> {
  return readAnswer(exchange, await read(exchange.context, refOf(exchange)))
}

export async function answerVread(exchange: Exchange): Promise<Answer> {
  return readAnswer(exchange, await vread(exchange.context, refOf(exchange), exchange.place.version!))
}

/** The resource, or 304 for one the client has already: https://hl7.org/fhir/R4/http.html#cread */
export async function readAnswer(exchange: Exchange, stored: Stored): Promise<Answer> {
  const known = isKnown(exchange, stored)
  if (known === true || (known === 'second' && (await isOnlyOfItsSecond(exchange, stored))))
    return { status: 304, stored }
  if (exchange.parameters.length === 0) return { status: 200, stored, body: stored.body }
  const subset = subsetOfParameters(exchange)
  return { status: 200, stored, body: isSubset(subset) ? subsetBytes(stored, subset) : stored.body }
}

/** If-None-Match stands before If-Modified-Since: https://datatracker.ietf.org/doc/html/rfc9110#section-13.2.2 */
function isKnown({ source }: Exchange, { version, updated }: Stored): boolean | 'second' {
  const isEntry = source.kind === 'entry'
  const ifNoneMatch = isEntry ? source.request.ifNoneMatch : source.request.headers['if-none-match']
  if (ifNoneMatch !== undefined) return names(ifNoneMatch, version)
  const since = isEntry ? source.request.ifModifiedSince : source.request.headers['if-modified-since']
  if (since === undefined) return false
  const date = Date.parse(since)
  return updated <= date || (second(updated) === date && 'second')
}

const second = (ms: number): number => Math.floor(ms / 1000) * 1000

/** HTTP's dates have whole seconds: only where no version before was of the same second can the client have no other. */
async function isOnlyOfItsSecond({ context }: Exchange, { type, id, version, updated }: Stored): Promise<boolean> {
  if (version === 1) return true
  try {
    return second((await vread(context, { type, id }, String(version - 1))).updated) < second(updated)
  } catch (error) {
    if (error instanceof FhirError) return false
    throw error
  }
}

function names(header: string, version: number): boolean {
  const versions = versionsIn(header)
  return versions === '*' || versions.includes(version)
}

const summaries = ['true', 'text', 'data', 'false'] as const

/** Parameters other than `_summary` and `_elements` are refused, or taken by `other` where it knows them. */
export function subsetOfParameters(
  { parameters, context }: Exchange,
  other?: (name: string, value: string) => boolean,
): Subset {
  const subset: Subset = {}
  for (const [name, value] of parameters) {
    if (name === '_summary') {
      const summary = summaries.find((each) => each === value)
      if (!summary) throw invalid('_summary is one of true, text, data, false here', name)
      subset.summary = summary
    } else if (name === '_elements') {
      subset.elements = [...(subset.elements ?? []), ...value.split(',').filter((element) => element !== '')]
    } else if (!other?.(name, value) && context.settings.handling === 'strict')
      throw unsupported(
        `there is no parameter "${name}" here; there are _summary, _elements, _format and _pretty`,
        name,
      )
  }
  return subset
}

export async function answerCreate(exchange: Exchange): Promise<Answer> {
  const resource = await resourceOf(exchange)
  const { type } = exchange.place
  if (resource.resourceType !== type)
    throw invalid(
      `the URL names ${type} and the body is another type; POST it to its own type, or a Bundle to the base`,
      'resourceType',
    )
  return writtenAnswer(exchange, await create(exchange.context, resource, preconditionsOf(exchange)))
}

export async function answerUpdate(exchange: Exchange): Promise<Answer> {
  const resource = await resourceOf(exchange)
  return writtenAnswer(exchange, await update(exchange.context, refOf(exchange), resource, preconditionsOf(exchange)))
}

export async function answerConditionalUpdate(exchange: Exchange): Promise<Answer> {
  const { context, place, query } = exchange
  const resource = await resourceOf(exchange)
  return writtenAnswer(
    exchange,
    await conditionalUpdate(context, place.type!, query, resource, preconditionsOf(exchange)),
  )
}

export async function answerPatch(exchange: Exchange): Promise<Answer> {
  const body = await patchOf(exchange)
  return writtenAnswer(exchange, await patch(exchange.context, refOf(exchange), body, preconditionsOf(exchange)))
}

export async function answerConditionalPatch(exchange: Exchange): Promise<Answer> {
  const { context, place, query } = exchange
  const body = await patchOf(exchange)
  return writtenAnswer(exchange, await conditionalPatch(context, place.type!, query, body, preconditionsOf(exchange)))
}

export async function answerDelete(exchange: Exchange): Promise<Answer> {
  const { stored } = await remove(exchange.context, refOf(exchange), preconditionsOf(exchange))
  return { ...deletedAnswer(exchange, 1), ...(stored.version > 0 && { stored }) }
}

export async function answerConditionalDelete(exchange: Exchange): Promise<Answer> {
  const { context, place, query } = exchange
  const { ifMatch } = preconditionsOf(exchange)
  const written = await conditionalDelete(context, place.type!, query, {
    multiple: true,
    ...(ifMatch !== undefined && { ifMatch }),
  })
  return deletedAnswer(exchange, written.length)
}

/** https://hl7.org/fhir/R4/http.html#ops: what a write returns is the client's to choose. */
export function writtenAnswer({ prefer, context }: Exchange, { outcome, stored }: Written): Answer {
  const url = `${context.baseUrls[0]}/${stored.type}/${stored.id}/_history/${stored.version}`
  const answer: Answer =
    outcome === 'created'
      ? { status: 201, stored, location: url }
      : { status: 200, stored, location: url, contentLocation: url }
  switch (prefer.return) {
    case 'minimal':
      return answer
    case 'OperationOutcome':
      return { ...answer, body: told(`${stored.type} ${outcome === 'unchanged' ? 'was so already' : outcome}`) }
    default:
      return { ...answer, body: stored.body }
  }
}

const deletedAnswer = ({ prefer }: Exchange, count: number): Answer =>
  prefer.return === 'OperationOutcome'
    ? { status: 200, body: told(`${count} ${count === 1 ? 'resource' : 'resources'} deleted`) }
    : { status: 204 }

const told = (diagnostics: string): Buffer =>
  Buffer.from(writeJson(operationOutcome([{ severity: 'information', code: 'informational', diagnostics }])))
