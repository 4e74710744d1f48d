/**
 * Answers of the interactions on the whole system: batch and transaction.
 *
 * https://hl7.org/fhir/R4/http.html#transaction
 */
import { bundle, writeAnswer } from '../interactions/index.js'
import type { Answer } from './answer.js'
import { dispatcher } from './dispatch.js'
import { type Exchange, preconditionsOf, resourceOf } from './exchange.js'

export async function answerBundle(exchange: Exchange): Promise<Answer> {
  const { context, service, prefer } = exchange
  const { idempotencyKey } = preconditionsOf(exchange)
  const answer = await bundle(context, await resourceOf(exchange), dispatcher(service, context), {
    ...(prefer.return && { prefer: prefer.return }),
    ...(idempotencyKey !== undefined && { idempotencyKey }),
  })
  return { status: 200, body: writeAnswer(answer) }
}
