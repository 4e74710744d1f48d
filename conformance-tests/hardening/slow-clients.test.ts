/**
 * Clients that send a little at a time, or nothing: the others do not wait for them, and in the end nobody does.
 *
 * https://en.wikipedia.org/wiki/Slowloris_(cyber_attack)
 */
import { connect, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { startTestServer, type TestServer } from '../../src/testing.js'

let server: TestServer
const sockets: Socket[] = []
beforeEach(async () => {
  server = await startTestServer({ REQUEST_TIMEOUT: '2', CONNECTIONS_MAX: '300' })
})
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await server.close()
})

function slow(text: string): Promise<string> {
  const { hostname, port } = new URL(server.origin)
  const socket = connect(Number(port), hostname)
  sockets.push(socket)
  return new Promise((resolve) => {
    let answer = ''
    socket.on('data', (chunk) => (answer += chunk.toString()))
    socket.on('error', () => {})
    socket.on('close', () => {
      clearInterval(dripping)
      resolve(answer)
    })
    socket.write(text)
    const dripping = setInterval(() => socket.writable && socket.write('X-A: b\r\n'), 500)
  })
}

const answers = async (): Promise<number> => {
  const started = performance.now()
  const { status } = await fetch(`${server.baseUrl}/Patient/nobody`)
  expect(status).toBe(404)
  return performance.now() - started
}

describe('slow clients', () => {
  test.each([
    ['heads', () => `GET /fhir/metadata HTTP/1.1\r\nHost: ${new URL(server.baseUrl).host}\r\n`],
    [
      'bodies',
      () =>
        `POST /fhir/Patient HTTP/1.1\r\nHost: ${new URL(server.baseUrl).host}\r\nContent-Type: application/fhir+json\r\nContent-Length: 1000000\r\n\r\n{`,
    ],
  ])(
    'with 200 %s under way keep nobody waiting, and are cut off',
    async (_, head) => {
      await answers()
      const cut = Promise.all(Array.from({ length: 200 }, () => slow(head())))
      for (let at = 0; at < 20; at++) expect(await answers()).toBeLessThan(500)
      for (const answer of await cut) expect(answer).toMatch(/^(HTTP\/1\.1 408 |$)/)
      await answers()
    },
    20_000,
  )

  test('do not take more connections than there may be, and leave room when they go', async () => {
    const head = `GET /fhir/metadata HTTP/1.1\r\nHost: ${new URL(server.baseUrl).host}\r\n`
    const all = Promise.all(Array.from({ length: 400 }, () => slow(head)))
    const lives = () => sockets.filter(({ destroyed }) => !destroyed).length
    for (let at = 0; at < 50 && lives() > 300; at++) await new Promise((resolve) => setTimeout(resolve, 20))
    expect(lives()).toBeLessThanOrEqual(300)
    await all
    await answers()
  }, 20_000)
})
