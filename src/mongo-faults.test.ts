/**
 * The server on a MongoDB that fails: every answer comes in time, and says what it is.
 *
 * https://hl7.org/fhir/R4/http.html#2.21.0.4
 *
 * Never anything of 5xx but 503, which carries an OperationOutcome and Retry-After; what was answered 2xx is there; what
 * was not is there whole or not at all; and when the database is well again, so is the server, without a restart.
 */
import { createServer } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type Document, MongoClient } from 'mongodb'
import { pino } from 'pino'
import { readConfig } from './config.js'
import { type Server, startServer } from './server.js'
import {
  databaseOf,
  dropDatabase,
  type Fate,
  type Mongod,
  startMongod,
  startProxy,
  startStandIn,
} from './store/mongo/testing.js'

type Proxy = Awaited<ReturnType<typeof startProxy>>

let mongod: Mongod
let proxy: Proxy
let admin: MongoClient

beforeAll(async () => {
  mongod = await startMongod()
  proxy = await startProxy(mongod.port)
  admin = new MongoClient(mongod.url)
})
afterAll(async () => {
  await admin.close()
  await proxy.close()
  await mongod.close()
})

const json = 'application/fhir+json'
/** How fast the driver looks again for a primary. */
const eager = '&minHeartbeatFrequencyMS=20&heartbeatFrequencyMS=500'

type Running = Server & { fhir: string; lines: string[] }

/** `lines` is what was logged. */
const start = (store: string, settings: Record<string, string> = {}, lines: string[] = []): Promise<Running> =>
  startServer(
    readConfig({ AUTH: 'off', PORT: '0', STORE: store, STORE_TIMEOUT: '2', CLOSE_TIMEOUT: '1', ...settings }),
    { log: pino({ base: null }, { write: (line) => lines.push(line) }) },
  ).then((server) => ({ ...server, fhir: `${server.origin}/fhir`, lines }))

type Answer = { status: number; text: string; resource: { resourceType: string; id: string; total?: number } }

async function send(
  method: string,
  url: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(url, {
    method,
    headers: { 'content-type': json, ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    // Nothing hangs: this is far beyond what any answer may take.
    signal: AbortSignal.timeout(8_000),
  })
  const text = await response.text()
  if (response.status >= 500) {
    expect([response.status, text]).toEqual([503, expect.stringContaining('"OperationOutcome"')])
    expect(response.headers.get('retry-after')).toMatch(/^\d+$/)
    expect(text).not.toMatch(/127\.0\.0\.1|mongodb:|Mongo\w*Error/)
  }
  return { status: response.status, text, resource: text ? JSON.parse(text) : undefined }
}

const health = async ({ origin }: { origin: string }): Promise<[number, string]> => {
  const response = await fetch(`${origin}/health`)
  return [response.status, ((await response.json()) as { status: string }).status]
}

async function until(condition: () => Promise<boolean> | boolean, limitMs = 20_000): Promise<void> {
  for (const began = Date.now(); !(await condition()); await pause(50))
    if (Date.now() - began > limitMs) throw new Error('it did not come about in time')
}

const failCommand = (mode: unknown, data: Document = { failCommands: [] }) =>
  admin.db('admin').command({ configureFailPoint: 'failCommand', mode, ...(mode !== 'off' && { data }) })

const patient = (text: string) => ({ resourceType: 'Patient', identifier: [{ system: 'urn:x', value: text }] })
const observation = (subject: string) => ({
  resourceType: 'Observation',
  status: 'final',
  code: { text: 'x' },
  subject: { reference: `Patient/${subject}` },
})

describe('whatever happens to the n-th command of an interaction', () => {
  let server: Running
  let url: string
  const appName = 'faults-over-http'
  const at = (path: string) => `${server.fhir}/${path}`

  beforeAll(async () => {
    url = databaseOf(mongod.url, appName)
    server = await start(`${databaseOf(proxy.url, appName)}&appName=${appName}${eager}`)
    for (const body of [patient('first'), { ...observation('x'), subject: { display: 'x' } }])
      expect((await send('POST', at(body.resourceType), body)).status).toBe(201)
  })
  afterAll(async () => {
    await server.close()
    await dropDatabase(url)
  })

  type Interaction = {
    /** @returns the answer's status */
    send(id: string): Promise<number>
    /** How much of it is there afterwards. */
    there?(id: string): Promise<number>
    whole?: number
  }
  const status = async (answer: Promise<Answer>): Promise<number> => (await answer).status
  const found = async (search: string) => (await send('GET', at(`${search}&_summary=count`))).resource.total!
  const interactions: Record<string, Interaction> = {
    'a create': {
      send: (id) => status(send('POST', at('Observation'), observation(id))),
      there: (id) => found(`Observation?patient=${id}`),
      whole: 1,
    },
    'a conditional create': {
      send: (id) =>
        status(send('POST', at('Patient'), patient(`new-${id}`), { 'if-none-exist': `identifier=urn:x|new-${id}` })),
      there: (id) => found(`Patient?identifier=urn:x|new-${id}`),
      whole: 1,
    },
    'an update': {
      send: (id) =>
        status(send('PUT', at(`Patient/${id}`), { ...patient(`updated-${id}`), id }, { 'if-match': 'W/"1"' })),
      there: (id) => found(`Patient?identifier=urn:x|updated-${id}`),
      whole: 1,
    },
    'a transaction of 50 entries': {
      send: (id) =>
        status(
          send('POST', server.fhir, {
            resourceType: 'Bundle',
            type: 'transaction',
            entry: Array.from({ length: 50 }, () => ({
              resource: observation(id),
              request: { method: 'POST', url: 'Observation' },
            })),
          }),
        ),
      there: (id) => found(`Observation?patient=${id}`),
      whole: 50,
    },
    'a delete': {
      send: (id) => status(send('DELETE', at(`Patient/${id}`))),
      there: async (id) => ((await send('GET', at(`Patient/${id}`))).status === 410 ? 1 : 0),
      whole: 1,
    },
    'a read': { send: (id) => status(send('GET', at(`Patient/${id}`))) },
    'a search that includes': {
      send: (id) => status(send('GET', at(`Observation?patient=${id}&_include=*&_total=accurate`))),
    },
    'a history': { send: (id) => status(send('GET', at(`Patient/${id}/_history`))) },
  }

  const ways: Record<string, Document | Fate> = {
    'its reply is lost': 'cutReply',
    'it is lost': 'cutRequest',
    'the disk is full': { errorCode: 14031, errorLabels: [] },
    'the primary stepped down': { errorCode: 10107 },
    'it is interrupted': { errorCode: 11601, errorLabels: [] },
    'its write concern fails': { writeConcernError: { code: 64, errmsg: 'timed out' } },
    'the connection is closed': { closeConnection: true },
  }

  let number = 0
  describe.each(Object.keys(ways))('%s', (way) => {
    const happens = ways[way]!
    test.each(Object.keys(interactions))('%s', async (kind) => {
      const { send: interact, there, whole } = interactions[kind]!
      for (let n = 1, isReached = true; isReached; n++) {
        const id = `p${number++}`
        expect(await status(send('PUT', at(`Patient/${id}`), { ...patient(id), id }))).toBe(201)
        proxy.reset()
        proxy.plan(
          n,
          typeof happens !== 'object' || 'delayMs' in happens
            ? (happens as Fate)
            : (command) => failCommand({ times: 1 }, { failCommands: [command], appName, ...happens }),
        )
        const answered = await interact(id)
        isReached = proxy.commands.length >= n
        proxy.reset()
        await failCommand('off')
        expect(answered === 503 || (answered >= 200 && answered < 300)).toBe(true)
        const isThere = await there?.(id)
        if (there) expect([answered, isThere]).toEqual([answered, answered === 503 && isThere === 0 ? 0 : whole])
        expect(n).toBeLessThan(60)
      }
    })
  })

  test('what is left is sound', async () => {
    await server.close()
    server = await start(`${url}${eager.replace('&', url.includes('?') ? '&' : '?')}`)
    const everything = await send('GET', at('Patient?_summary=count'))
    expect(everything.resource.total).toBeGreaterThan(50)
  })
})

describe('a database that is not there when the server starts', () => {
  const freePort = (): Promise<string> =>
    new Promise((resolve) => {
      const probe = createServer().listen(0, '127.0.0.1', () => {
        const { port } = probe.address() as { port: number }
        probe.close(() => resolve(String(port)))
      })
    })

  /** Starts a server that cannot open its store; when that is mended it opens it. */
  async function waiting(store: string, sentence: RegExp, mend: () => unknown): Promise<void> {
    const PORT = await freePort()
    const origin = `http://127.0.0.1:${PORT}`
    const lines: string[] = []
    const starting = start(store, { PORT }, lines)
    await until(() => lines.length > 0)
    expect(lines.join('')).toMatch(sentence)
    expect(await health({ origin })).toEqual([503, expect.stringMatching(sentence)])
    expect((await send('GET', `${origin}/fhir/Patient`)).status).toBe(503)
    expect((await send('POST', `${origin}/fhir/Patient`, patient('x'))).status).toBe(503)
    await mend()
    const server = await starting
    expect((await send('POST', `${server.fhir}/Patient`, patient('x'))).status).toBe(201)
    expect(await health(server)).toEqual([200, 'ok'])
    expect(lines.join('')).toMatch(/the store is open/)
    // Said once, however often it was tried.
    expect(lines.filter((line) => sentence.test(line))).toHaveLength(1)
    await server.close()
  }

  test('it is said, and waited for', async () => {
    proxy.down()
    const url = databaseOf(proxy.url)
    try {
      await waiting(`${url}${eager}`, /MongoDB cannot be used: the database cannot be reached/, () => proxy.up())
    } finally {
      proxy.up()
    }
    await dropDatabase(databaseOf(mongod.url, new URL(url).pathname.slice(1)))
  })

  test.each<[string, string, Document & { _id?: string }, RegExp]>([
    ["somebody else's collections", 'Invoice', { amount: 1 }, /holds collections of somebody else; name an empty one/],
    [
      'data of a newer version',
      'about',
      { _id: 'store', layout: 99 },
      /newer version of the server .*start that version/,
    ],
  ])('%s are left alone, and the server opens when they are gone', async (_, name, document, sentence) => {
    const url = databaseOf(mongod.url)
    const collection = admin.db(new URL(url).pathname.slice(1)).collection<Document>(name)
    await collection.insertOne(document as Document)
    await waiting(url, sentence, async () => {
      expect(await collection.countDocuments()).toBe(1)
      await collection.drop()
    })
    await dropDatabase(url)
  })

  test('a user without rights, who is given them (the stand-in)', async () => {
    const standIn = await startStandIn({ pose: { user: { role: 'read', db: 'mine' } } })
    await waiting(databaseOf(standIn.url, 'mine'), /give it the role readWrite there/, () => {
      standIn.server.pose.user = { role: 'readWrite', db: 'mine' }
    })
    await standIn.close()
  })

  test('an address that is none ends the server with a sentence', async () => {
    await expect(start('mongodb://a b/?nonsense=1')).rejects.toThrow(/not a MongoDB address/)
  })
})

describe('a database that fails while the server runs', () => {
  let server: Running
  let url: string
  const at = (path: string) => `${server.fhir}/${path}`
  const appName = 'fails-meanwhile'
  beforeAll(async () => {
    url = databaseOf(mongod.url, appName)
    server = await start(`${databaseOf(proxy.url, appName)}&appName=${appName}${eager}`)
    expect((await send('PUT', at('Patient/1'), { ...patient('1'), id: '1' })).status).toBe(201)
  })
  afterAll(async () => {
    await server.close()
    await dropDatabase(url)
  })

  /** Everything is as before. */
  async function well(): Promise<void> {
    await until(async () => (await send('GET', at('Patient/1'))).status === 200)
    await until(async () => (await send('POST', at('Patient'), patient('again'))).status === 201)
    expect(await health(server)).toEqual([200, 'ok'])
  }

  test('goes away, which is said in the log and in /health, and comes back', async () => {
    server.lines.length = 0
    proxy.down()
    try {
      expect((await send('GET', at('Patient/1'))).status).toBe(503)
      expect((await send('POST', at('Patient'), patient('gone'))).status).toBe(503)
      expect((await send('GET', at('Patient?identifier=x'))).status).toBe(503)
      expect(await health(server)).toEqual([503, 'the database cannot be reached'])
      await until(() => server.lines.some((line) => line.includes('the store is not available: the database cannot')))
    } finally {
      proxy.up()
    }
    await well()
    await until(() => server.lines.some((line) => line.includes('the store is available again')))
    expect((await send('GET', at('Patient?identifier=urn:x|gone&_summary=count'))).resource.total).toBe(0)
  }, 40_000)

  test('takes everything and answers nothing', async () => {
    proxy.silence()
    const answers = await Promise.all([
      send('GET', at('Patient/1')),
      send('GET', at('Patient?identifier=x')),
      ...Array.from({ length: 6 }, (_, i) => send('POST', at('Patient'), patient(`silent-${i}`))),
      send('POST', at('Patient'), patient('s'), { 'if-none-exist': 'identifier=urn:x|s' }),
      send('DELETE', at('Patient/1')),
    ])
    proxy.up()
    expect(answers.map((answer) => answer.status)).toEqual(answers.map(() => 503))
    await until(async () => (await send('GET', at('Patient/1'))).status !== 503)
    await send('PUT', at('Patient/1'), { ...patient('1'), id: '1' })
    await well()
  }, 40_000)

  test('is full: reads go on, writes are refused, and nothing is lost', async () => {
    await failCommand('alwaysOn', {
      failCommands: ['insert', 'update', 'findAndModify', 'delete', 'commitTransaction', 'bulkWrite'],
      errorCode: 14031,
      errorLabels: [],
      appName,
    })
    const refused = await send('POST', at('Patient'), patient('full'))
    expect(refused.status).toBe(503)
    expect(refused.text).toMatch(/the disk of the database is full/)
    expect((await send('GET', at('Patient/1'))).status).toBe(200)
    expect(await health(server)).toEqual([503, expect.stringMatching(/disk of the database is full; make room/)])
    await failCommand('off')
    await well()
    expect((await send('GET', at('Patient?identifier=urn:x|full&_summary=count'))).resource.total).toBe(0)
  })

  test('lets the user only read', async () => {
    await failCommand('alwaysOn', {
      failCommands: ['insert', 'update', 'findAndModify', 'delete'],
      errorCode: 13,
      errorLabels: [],
      appName,
    })
    const refused = await send('PUT', at('Patient/1'), { ...patient('2'), id: '1' })
    expect([refused.status, refused.text]).toEqual([503, expect.stringMatching(/give it the role readWrite/)])
    expect((await send('GET', at('Patient/1'))).status).toBe(200)
    expect(await health(server)).toEqual([503, expect.stringMatching(/give it the role readWrite/)])
    await failCommand('off')
    await well()
  })

  test('has no primary for a while', async () => {
    await admin.db('admin').command({ replSetStepDown: 3, secondaryCatchUpPeriodSecs: 0, force: true })
    const answers = await Promise.all([
      send('POST', at('Patient'), patient('stepped')),
      send('GET', at('Patient/1')),
      send('DELETE', at('Patient/none')),
    ])
    for (const { status } of answers) expect([200, 201, 204, 503]).toContain(status)
    await until(async () => (await send('POST', at('Patient'), patient('after'))).status === 201, 20_000)
    await well()
    const { total } = (await send('GET', at('Patient?identifier=urn:x|stepped&_summary=count'))).resource
    if (answers[0].status === 201) expect(total).toBe(1)
    else expect(total).toBeLessThanOrEqual(1)
  }, 40_000)
})

test('where what is read must be recorded, a database that cannot record lets nothing be read', async () => {
  const appName = 'records'
  const url = databaseOf(mongod.url, appName)
  const server = await start(`${url}${url.includes('?') ? '&' : '?'}appName=${appName}`, { AUDIT: 'on' })
  try {
    expect((await send('PUT', `${server.fhir}/Patient/1`, { ...patient('1'), id: '1' })).status).toBe(201)
    expect((await send('GET', `${server.fhir}/Patient/1`)).status).toBe(200)
    await failCommand('alwaysOn', { failCommands: ['insert', 'update'], errorCode: 14031, errorLabels: [], appName })
    const refused = await send('GET', `${server.fhir}/Patient/1`)
    expect(refused.status).toBe(503)
    expect(refused.text).not.toContain('urn:x')
    await failCommand('off')
    expect((await send('GET', `${server.fhir}/Patient/1`)).status).toBe(200)
  } finally {
    await failCommand('off')
    await server.close()
    await dropDatabase(url)
  }
})
