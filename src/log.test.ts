import { describe, expect, test } from '@jest/globals'
import { OutboundFailed } from './access/index.js'
import { logOn } from './log.js'

/** What a logger writes, as it stands there. */
function written(write: (log: ReturnType<typeof logOn>) => void): string {
  let text = ''
  write(logOn({ write: (line) => (text += line) }, 'debug'))
  return text
}

const secret = 'Grace Okello'

describe('the log', () => {
  test('keeps the fields of its list and drops every other', () => {
    const line = written((log) =>
      log.info(
        { interaction: 'read', type: 'Patient', status: 200, url: `/Patient?name=${secret}`, body: secret },
        'answered',
      ),
    )
    expect(JSON.parse(line)).toEqual({
      level: 30,
      time: expect.any(Number),
      interaction: 'read',
      type: 'Patient',
      status: 200,
      msg: 'answered',
    })
  })

  test('of a field of the list keeps words and numbers alone', () => {
    expect(written((log) => log.info({ type: secret, kind: { name: secret }, count: [secret] }, 'odd'))).not.toContain(
      secret,
    )
  })

  test('so do loggers made from it', () => {
    expect(written((log) => log.child({ name: secret, tenant: 'north' }).info('hello'))).toMatch(
      /^\{"level":30,"time":\d+,"tenant":"north","msg":"hello"\}\n$/,
    )
  })

  test('of a foreign error keeps name, code and place', () => {
    const cause = Object.assign(new RangeError(`bad: ${secret}\n    at ${secret} (file:1:1)`), {
      code: 'ERR_X',
      doc: secret,
    })
    const line = written((log) => log.error({ err: new TypeError(secret, { cause }) }, 'failed'))
    expect(line).not.toContain(secret)
    const { err } = JSON.parse(line)
    expect(err).toMatchObject({ name: 'TypeError', cause: { name: 'RangeError', code: 'ERR_X' } })
    expect(err.stack[0]).toMatch(/log\.test/)
    expect(err.message).toBeUndefined()
  })

  test('a message that was changed afterwards takes the stack with it', () => {
    const error = new Error(`first\n    at ${secret}`)
    error.message = 'second'
    expect(written((log) => log.error({ err: error }, 'failed'))).not.toContain(secret)
  })

  test('keeps sentences of ours', () => {
    const line = written((log) =>
      log.warn({ err: new OutboundFailed('peer.example took too long to answer') }, 'later'),
    )
    expect(line).toContain('peer.example took too long')
  })

  test('what is thrown and no error is not told', () => {
    expect(written((log) => log.error({ err: secret }, 'failed'))).not.toContain(secret)
  })
})
