/**
 * Opening the store, again and again while something outside keeps it from being opened.
 *
 * https://hl7.org/fhir/R4/http.html#Status-Codes
 *
 * Meanwhile the server answers 503 and says why, in /health and once in the log, and begins when it is mended.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import type { Logger } from 'pino'
import { operationOutcome, writeJson } from './fhir/index.js'
import { StoreUnavailable, StoreUnusable } from './store/index.js'

const retryMs = 1_000

type Answer = (request: IncomingMessage, response: ServerResponse) => void

/** `meanwhile` is given what to answer until the store is open. @throws what waiting does not mend */
export async function opened<T>(open: () => Promise<T>, log: Logger, meanwhile: (answer: Answer) => void): Promise<T> {
  let said: string | undefined
  for (;;) {
    try {
      const result = await open()
      if (said !== undefined) log.info('the store is open')
      return result
    } catch (error) {
      if (!isPassing(error)) throw error
      meanwhile(answerWaiting(error.message))
      if (said !== error.message) log.error(`${error.message}. The server waits until that is mended.`)
      said = error.message
      await pause(retryMs)
    }
  }
}

const isPassing = (error: unknown): error is Error =>
  error instanceof StoreUnavailable || (error instanceof StoreUnusable && error.passing)

/** The sentence names our own database and no patient; who asks for resources is told less than who operates the server. */
const answerWaiting =
  (sentence: string): Answer =>
  ({ url }, response) => {
    const isHealth = /^\/health(?=$|[/?])/.test(url ?? '')
    const type = isHealth ? 'application/json' : 'application/fhir+json'
    response.writeHead(503, { 'Content-Type': `${type}; charset=utf-8`, 'Retry-After': '1' })
    response.end(isHealth ? JSON.stringify({ status: sentence }) : outcome)
  }

const outcome = writeJson(
  operationOutcome([{ severity: 'error', code: 'transient', diagnostics: 'The store is not available yet' }]),
)

const watchMs = 5_000

/** Says in the log when the store begins to fail, and when it is well again. @returns what ends it */
export function watch(health: () => Promise<string | undefined>, log: Logger): () => void {
  let last: string | undefined
  const look = async () => {
    const problem = await health()
    if (problem !== undefined && problem !== last) log.error(`the store is not available: ${problem}`)
    if (problem === undefined && last !== undefined) log.info('the store is available again')
    last = problem
  }
  const timer = setInterval(() => void look().catch(() => undefined), watchMs)
  timer.unref()
  return () => clearInterval(timer)
}
