/**
 * Answers of $operations: found in the table by code and level, asked by GET or POST.
 *
 * https://hl7.org/fhir/R4/operations.html#executing
 */
import { notAllowed, notFound } from '../fhir/index.js'
import type { Operation, OperationAnswer } from '../operations/index.js'
import { type Answer, resourceAnswer } from './answer.js'
import { type Exchange, optionalResourceOf } from './exchange.js'

export async function answerOperation(exchange: Exchange): Promise<Answer> {
  const { context, place, method, parameters } = exchange
  const { type, id } = place
  const operation = operationAt(exchange)
  const isPost = method === 'POST'
  if (!isPost && operation.affectsState)
    throw notAllowed(`$${operation.code} changes state and is asked by POST only`, undefined, {
      headers: { Allow: 'POST' },
    })
  const input = isPost ? await optionalResourceOf(exchange) : undefined
  const target = [type, id].filter((part) => part !== undefined).map((part) => `/${part}`)
  const answer = await operation.run(context, {
    ...(type !== undefined && { type }),
    ...(id !== undefined && { id }),
    parameters,
    ...(input && { input }),
    url: `${context.baseUrls[0]}${target.join('')}/$${operation.code}`,
  })
  return answerOf(answer, context.baseUrls[0]!)
}

/** The operation a path names: 404 where there is none, with the reason where it stands elsewhere. */
export function operationAt({ service, place: { code, type, id } }: Pick<Exchange, 'service' | 'place'>): Operation {
  const named = service.operations.filter((operation) => operation.code === code)
  if (named.length === 0) throw notFound('This server has no operation of that name; see /metadata for those it has')
  const found = named.find((operation) => {
    if (type === undefined) return operation.system
    if (operation.types && !operation.types.includes(type)) return false
    return id === undefined ? operation.type : operation.instance
  })
  if (found) return found
  const level = type === undefined ? 'the whole system' : id === undefined ? `the type ${type}` : `one ${type}`
  throw notFound(`$${code} is not defined on ${level}; see /metadata for where it is`)
}

function answerOf(answer: OperationAnswer, baseUrl: string): Answer {
  switch (answer.kind) {
    case 'resource':
      return resourceAnswer(answer.status ?? 200, answer.resource)
    case 'bytes':
      return {
        status: answer.status ?? 200,
        body: answer.body,
        ...(answer.location !== undefined && { location: `${baseUrl}/${answer.location}` }),
      }
    case 'stream':
      return { status: 200, pieces: answer.pieces }
  }
}
