/**
 * The log: lines of JSON that hold nothing but the fields of a list.
 *
 * https://cheatsheetseries.owasp.org/cheatsheets/Logging_Cheat_Sheet.html#data-to-exclude
 *
 * Errors of libraries quote what they were given: a driver the document, a parser the text. Of an error we keep its
 * name, its code and where it happened; the message only where the sentence is our own.
 */
import { type DestinationStream, destination, type Logger, pino } from 'pino'
import type { Config } from './config.js'

/** Everything else that is handed to the log is dropped. */
const fields = new Set([
  'err',
  'reference',
  'interaction',
  'type',
  'status',
  'milliseconds',
  'tenant',
  'signal',
  'count',
  'kind',
])

/** Classes of ours whose messages hold settings, hosts and limits at most. */
const ownSentences = new Set(['ConfigError', 'OutboundFailed', 'OutboundRefused', 'StoreUnusable'])

export function openLog({ logLevel, logFile }: Config): Logger {
  // Written before the next line of code runs: what explains a crash must not be lost in it.
  const target: DestinationStream =
    logFile === '' ? destination(1) : destination({ dest: logFile, mkdir: true, sync: true })
  return logOn(target, logLevel)
}

export function logOn(target: DestinationStream, level: string): Logger {
  const log = pino({ level, base: null, serializers: { err: told }, formatters: { log: listed } }, target)
  const { child } = log
  // pino asks no formatter for what a child is given.
  log.child = function (this: Logger, bindings: Record<string, unknown>) {
    return child.call(this, listed(bindings))
  } as Logger['child']
  return log
}

const listed = (object: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(object)
      .filter(([name]) => fields.has(name))
      .map(([name, value]) => [name, name === 'err' || isPlain(value) ? value : typeof value]),
  )

const isPlain = (value: unknown): boolean =>
  value === undefined || value === null || typeof value === 'number' || typeof value === 'boolean' || isWord(value)

/** A word of a vocabulary, a reference number: nothing that anybody could have written a sentence in. */
const isWord = (value: unknown): boolean => typeof value === 'string' && /^[\w.:-]{1,64}$/.test(value)

type Told = { name: string; code?: string | number; message?: string; stack: string[]; cause?: Told }

const causesMax = 3

function told(error: unknown, depth = 0): Told {
  if (!(error instanceof Error)) return { name: typeof error, stack: [] }
  const { name, code, message, stack = '', cause } = error as Error & { code?: unknown }
  return {
    name: isWord(name) ? name : 'Error',
    ...((typeof code === 'number' || isWord(code)) && { code: code as string | number }),
    ...(ownSentences.has(name) && { message }),
    stack: framesOf(stack, message),
    ...(cause !== undefined && depth < causesMax && { cause: told(cause, depth + 1) }),
  }
}

/** A message stands before the frames and may look like some. */
function framesOf(stack: string, message: string): string[] {
  const start = stack.indexOf(message)
  if (start < 0) return []
  const lines = stack.slice(start + message.length).split('\n')
  return lines
    .filter((line) => /^ {4}at .{1,300}$/.test(line))
    .map((line) => line.trim())
    .slice(0, 20)
}
