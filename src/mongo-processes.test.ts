/**
 * Two real server processes on one replica set, as clients behind a proxy without sticky sessions meet them.
 *
 * https://hl7.org/fhir/R4/http.html#transactional-integrity
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { openMongo } from './store/index.js'
import { databaseOf, dropDatabase, type Mongod, startMongod } from './store/mongo/testing.js'

const main = fileURLToPath(new URL('./main.ts', import.meta.url))
const json = 'application/fhir+json'

type Process = { child: ChildProcess; fhir: string }

let mongod: Mongod
let url: string
let one: Process
let other: Process
const children: ChildProcess[] = []

function started(): Promise<Process> {
  const { NODE_OPTIONS: _, ...inherited } = process.env
  const child = spawn(process.execPath, ['--import', 'tsx', main, 'serve'], {
    env: { ...inherited, STORE: url, PORT: '0', AUTH: 'off', LOG_LEVEL: 'error', STORE_TIMEOUT: '20' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}`)))
    child.stdout!.on('data', (chunk: Buffer) => {
      const [, fhir] = /answers at (\S+)/.exec(chunk.toString()) ?? []
      if (fhir !== undefined) resolve({ child, fhir })
    })
  })
}

const ended = (child: ChildProcess, signal: NodeJS.Signals): Promise<void> =>
  new Promise((resolve) => {
    child.once('exit', () => resolve())
    child.kill(signal)
  })

beforeAll(async () => {
  mongod = await startMongod()
  url = databaseOf(mongod.url, 'two-servers')
  ;[one, other] = await Promise.all([started(), started()])
}, 60_000)
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL')
  // What a killed process left open holds up a real server for a minute at most; the stand-in goes as a whole.
  if (!mongod.standIn) await dropDatabase(url)
  await mongod.close()
}, 90_000)

type Answer = { status: number; body: { id: string; total: number; entry?: { resource: { id: string } }[] } }

async function send({ fhir }: Process, method: string, path: string, body?: unknown, more = {}): Promise<Answer> {
  const response = await fetch(`${fhir}/${path}`, {
    method,
    headers: { 'content-type': json, ...more },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(40_000),
  })
  const text = await response.text()
  return { status: response.status, body: text ? JSON.parse(text) : undefined }
}

const patient = (value: string) => ({ resourceType: 'Patient', identifier: [{ system: 'urn:x', value }] })
const count = async (server: Process, value: string): Promise<number> =>
  (await send(server, 'GET', `Patient?identifier=urn:x|${value}&_summary=count`)).body.total

/** Numbers from 1 without gap or repeat, whoever gave them; and indexes that equal nobody's guess but the resources'. */
async function sequence(): Promise<number[]> {
  const database = await openMongo(url)
  try {
    const store = database.tenant('default')
    const numbers: number[] = []
    for (;;) {
      const more = await store.changes(numbers.at(-1) ?? 0, 1000)
      if (!more.length) return numbers
      numbers.push(...more.map((each) => each.sequence))
    }
  } finally {
    await database.close()
  }
}

async function writing(server: Process, value: string, on: { is: boolean }): Promise<string[]> {
  const acknowledged: string[] = []
  const client = async () => {
    while (on.is) {
      const answer = await send(server, 'POST', 'Patient', patient(value)).catch(() => undefined)
      if (answer?.status === 201) acknowledged.push(answer.body.id)
      if (!answer) return
    }
  }
  await Promise.all([client(), client(), client()])
  return acknowledged
}

async function allThere(server: Process, value: string, ids: string[]): Promise<void> {
  const missing: string[] = []
  for (let at = 0; at < ids.length; at += 200) {
    const some = ids.slice(at, at + 200)
    const query = `Patient?_id=${some.join(',')}&identifier=urn:x|${value}&_count=200&_elements=id`
    const there = new Set(((await send(server, 'GET', query)).body.entry ?? []).map(({ resource }) => resource.id))
    missing.push(...some.filter((id) => !there.has(id)))
  }
  expect(missing).toEqual([])
}

describe('two servers', () => {
  test('what is written through one is read, searched and updated through the other at once', async () => {
    for (let i = 0; i < 10; i++) {
      const [writer, reader] = i % 2 ? [one, other] : [other, one]
      const made = await send(writer, 'POST', 'Patient', patient(`once-${i}`))
      expect(made.status).toBe(201)
      expect(await count(reader, `once-${i}`)).toBe(1)
      const { id } = made.body
      expect((await send(reader, 'GET', `Patient/${id}`)).status).toBe(200)
      const update = { ...patient(`twice-${i}`), id }
      expect((await send(reader, 'PUT', `Patient/${id}`, update, { 'if-match': 'W/"1"' })).status).toBe(200)
      expect((await send(writer, 'PUT', `Patient/${id}`, update, { 'if-match': 'W/"1"' })).status).toBe(412)
      expect(await count(writer, `once-${i}`)).toBe(0)
    }
  })

  test('of conditional creates through both at once, one creates', async () => {
    for (let round = 0; round < 3; round++) {
      const answers = await Promise.all(
        Array.from({ length: 10 }, (_, i) =>
          send(i % 2 ? one : other, 'POST', 'Patient', patient(`race-${round}`), {
            'if-none-exist': `identifier=urn:x|race-${round}`,
          }),
        ),
      )
      expect(answers.map(({ status }) => status).sort()).toEqual([...Array(9).fill(200), 201])
      expect(await count(one, `race-${round}`)).toBe(1)
    }
  })

  test('a SearchParameter that is uploaded to one is in force in the other within a second', async () => {
    await send(one, 'PUT', 'Patient/nick', {
      resourceType: 'Patient',
      id: 'nick',
      name: [{ use: 'nickname', given: ['Zuri'] }],
    })
    const parameter = {
      resourceType: 'SearchParameter',
      id: 'nickname',
      url: 'https://hospital.example/nickname',
      name: 'nickname',
      status: 'active',
      description: 'What people call somebody',
      code: 'nickname',
      base: ['Patient'],
      type: 'string',
      expression: "Patient.name.where(use = 'nickname').given",
    }
    const uploaded = await send(one, 'PUT', 'SearchParameter/nickname', parameter)
    expect(uploaded.status).toBeLessThan(300)
    const inForce = async (server: Process, began = performance.now()): Promise<number> => {
      while ((await send(server, 'GET', 'Patient?nickname=zuri')).status !== 200) {
        expect(performance.now() - began).toBeLessThan(10_000)
        await pause(20)
      }
      return performance.now()
    }
    const [here, there] = await Promise.all([inForce(one), inForce(other)])
    expect(Math.abs(here - there)).toBeLessThan(1_000)
    expect((await send(other, 'GET', 'Patient?nickname=zuri&_summary=count')).body.total).toBe(1)
  })

  test('SIGKILL of either loses nothing that was acknowledged, and the other goes on', async () => {
    const on = { is: true }
    const writes = [writing(one, 'killed', on), writing(other, 'survived', on)]
    await pause(1_500)
    await ended(one.child, 'SIGKILL')
    const killed = await writes[0]!
    expect(killed.length).toBeGreaterThan(0)
    // The survivor takes plain writes at once.
    const began = performance.now()
    expect((await send(other, 'POST', 'Patient', patient('after'))).status).toBe(201)
    expect(performance.now() - began).toBeLessThan(5_000)
    on.is = false
    const survived = await writes[1]!
    await allThere(other, 'killed', killed)
    await allThere(other, 'survived', survived)
    // And conditions as soon as what the dead one held is let go.
    const conditional = await send(other, 'POST', 'Patient', patient('cond'), {
      'if-none-exist': 'identifier=urn:x|cond',
    })
    expect([201, 503]).toContain(conditional.status)
    one = await started()
    expect(await count(one, 'after')).toBe(1)
  }, 60_000)

  test('a process that is stopped and awakes neither loses nor repeats a number', async () => {
    const on = { is: true }
    const writes = [writing(one, 'stopped', on), writing(other, 'awake', on)]
    await pause(1_000)
    one.child.kill('SIGSTOP')
    // Its leases run out, and go to the other.
    await pause(6_500)
    const before = (await sequence()).length
    expect((await send(other, 'POST', 'Patient', patient('meanwhile'))).status).toBe(201)
    for (const since = Date.now(); (await sequence()).length <= before; await pause(200))
      expect(Date.now() - since).toBeLessThan(15_000)
    one.child.kill('SIGCONT')
    await pause(1_000)
    on.is = false
    const [stopped, awake] = (await Promise.all(writes)) as [string[], string[]]
    await allThere(other, 'stopped', stopped)
    await allThere(one, 'awake', awake)
    expect((await send(one, 'POST', 'Patient', patient('awoken'))).status).toBe(201)
    const numbers = await sequence()
    expect(numbers).toEqual(numbers.map((_, i) => i + 1))
  }, 60_000)
})
