/**
 * Failures on demand: the fail point `failCommand` of a server started for tests.
 *
 * https://github.com/mongodb/mongo/wiki/The-%22failCommand%22-fail-point
 */
import { isPlain, numberOf } from './bson.mjs'
import { CommandError, refuse, unsupported } from './errors.mjs'

const DATA = new Set([
  'failCommands',
  'errorCode',
  'errorLabels',
  'errorExtraInfo',
  'closeConnection',
  'writeConcernError',
  'blockConnection',
  'blockTimeMS',
  'appName',
  'namespace',
  'failInternalCommands',
  'failLocalClients',
])

/** Never failed, so that a test can always switch it off. */
const SPARED = new Set(['configureFailPoint'])

export class FailPoints {
  #active

  /** @param {Record<string, unknown>} command */
  configure({ configureFailPoint, mode, data = {} }) {
    if (configureFailPoint !== 'failCommand') unsupported(`the fail point ${configureFailPoint}`)
    for (const name of Object.keys(data)) if (!DATA.has(name)) unsupported(`${name} of failCommand`)
    if (data.errorExtraInfo !== undefined) unsupported('errorExtraInfo of failCommand')
    if (mode === 'off') {
      this.#active = undefined
      return
    }
    const { times, skip, ...rest } = isPlain(mode) ? mode : {}
    if (mode !== 'alwaysOn' && (!isPlain(mode) || Object.keys(rest).length > 0 || (times ?? skip) === undefined))
      refuse(9, 'the mode of a fail point is "off", "alwaysOn", { times: n } or { skip: n }')
    if (!Array.isArray(data.failCommands)) refuse(9, "failCommand needs an array 'failCommands'")
    this.#active = {
      times: times === undefined ? Number.POSITIVE_INFINITY : numberOf(times),
      skip: skip === undefined ? 0 : numberOf(skip),
      data,
      commands: new Set(data.failCommands),
    }
  }

  /**
   * What is to happen to a command.
   * @returns {undefined | { data: Record<string, unknown> }}
   */
  take(command, { appName, namespace }) {
    const active = this.#active
    if (!active || SPARED.has(command) || !active.commands.has(command)) return undefined
    const { data } = active
    if (data.appName !== undefined && data.appName !== appName) return undefined
    if (data.namespace !== undefined && data.namespace !== namespace) return undefined
    if (active.skip > 0) {
      active.skip--
      return undefined
    }
    if (active.times-- <= 0) return undefined
    return { data }
  }
}

/** The error a failure asks for, if it is one. */
export function failureOf(data) {
  if (data.errorCode === undefined) return undefined
  const error = new CommandError(numberOf(data.errorCode), "Failing command due to 'failCommand' failpoint")
  if (Array.isArray(data.errorLabels)) error.labels = data.errorLabels
  return error
}
