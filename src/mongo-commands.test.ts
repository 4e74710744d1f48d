/**
 * How many commands an interaction sends to MongoDB: a number that does not grow with what is asked for.
 *
 * https://www.mongodb.com/docs/manual/reference/command/
 *
 * And which: none that a user with the role readWrite on the one database may not run.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { databaseOf, dropDatabase, type Mongod, startMongod, startProxy } from './store/mongo/testing.js'
import { startTestServer, type TestServer } from './testing.js'

const json = 'application/fhir+json'
const observation = {
  resourceType: 'Observation',
  status: 'final',
  code: { text: 'x' },
  subject: { reference: 'Patient/1' },
}
const patient = (id: string, family: string) => ({ resourceType: 'Patient', id, name: [{ family }] })
type Entry = { resource?: unknown; request: { method: string; url: string } }
const transaction = (...entry: Entry[]) => ({ resourceType: 'Bundle', type: 'transaction', entry })
const fifty = (entry: (i: number) => Entry) => transaction(...Array.from({ length: 50 }, (_, i) => entry(i)))
const putting = (family: string) => (i: number) => ({
  resource: patient(`n${i}`, family),
  request: { method: 'PUT', url: `Patient/n${i}` },
})

describe('commands of an interaction', () => {
  let mongod: Mongod
  let proxy: Awaited<ReturnType<typeof startProxy>>
  let server: TestServer
  let url: string
  const send = (method: string, path: string, body?: unknown) =>
    fetch(`${server.fhir}${path}`, {
      method,
      headers: { 'content-type': json },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    }).then(async (response) => {
      await response.arrayBuffer()
      return response.status
    })

  beforeAll(async () => {
    mongod = await startMongod()
    proxy = await startProxy(mongod.port)
    url = databaseOf(mongod.url, 'commands')
    server = await startTestServer({ AUTH: 'off', STORE: databaseOf(proxy.url, 'commands') })
    await send('PUT', '/Patient/1', patient('1', 'a'))
    await send('POST', '/Observation', observation)
  })
  afterAll(async () => {
    await server.close()
    await proxy.close()
    await dropDatabase(url)
    await mongod.close()
  })

  /** Nothing is left to number, and whoever follows the changes has seen them. */
  async function quiet(): Promise<void> {
    const sent = () => proxy.commands.filter((name) => name !== 'distinct').length
    for (let still = 0; still < 4; ) {
      const before = sent()
      await new Promise((resolve) => setTimeout(resolve, 100))
      still = sent() === before ? still + 1 : 0
    }
  }

  test.each<[string, number, string, string, ...unknown[]]>([
    ['a create', 4, 'POST', '/Observation', observation],
    ['an update that creates', 4, 'PUT', '/Patient/2', patient('2', 'a')],
    ['an update', 5, 'PUT', '/Patient/2', patient('2', 'b')],
    ['a delete', 8, 'DELETE', '/Patient/2'],
    ['a read', 1, 'GET', '/Patient/1'],
    ['a vread', 1, 'GET', '/Patient/1/_history/1'],
    [
      'a transaction of 50 creates',
      4,
      'POST',
      '',
      fifty(() => ({ resource: observation, request: { method: 'POST', url: 'Observation' } })),
    ],
    ['a search', 1, 'GET', '/Observation?patient=1&_count=20'],
    ['a search for more', 1, 'GET', '/Observation?patient=1&_count=1000&_total=accurate'],
    ['a search with an include', 2, 'GET', '/Observation?patient=1&_include=Observation:subject'],
    ['a chained search', 2, 'GET', '/Observation?patient.family=a'],
    ['a history', 1, 'GET', '/Observation/_history'],
    ['everything of a patient', 3, 'GET', '/Patient/1/$everything'],
    ['a transaction of 50 updates that create', 4, 'POST', '', fifty(putting('a'))],
    ['a transaction of 50 updates', 5, 'POST', '', fifty(putting('b'))],
  ])('%s: at most %d', async (_, most, method, path, ...[body]) => {
    let commands: string[] = []
    // What only asks is asked again where followers and patrols of the server came in between.
    for (let tries = 0; tries < (method === 'GET' ? 3 : 1); tries++) {
      await quiet()
      proxy.reset()
      expect(await send(method, path, body)).toBeLessThan(300)
      const { collections } = proxy
      commands = proxy.commands.filter((name, i) => {
        // What the server does by itself meanwhile: it sees to its health, and looks for what is to be numbered.
        const isPatrol = collections[i] === 'commits' && (method === 'GET' || name === 'find')
        const isOwnWork = collections[i] === 'about' || isPatrol
        return name !== 'distinct' && !isOwnWork
      })
      // What comes after a commit numbers it, for all that were stored meanwhile.
      const committed = commands.indexOf('commitTransaction')
      if (committed >= 0) commands = commands.slice(0, committed + 1)
      if (commands.length <= most) break
    }
    expect(commands).toEqual(commands.slice(0, most))
  })
})
