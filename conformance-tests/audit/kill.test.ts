/**
 * The server is killed at any moment: the chain stays whole, no access whose answer was received is without its event,
 * and no stored version either.
 *
 * https://hl7.org/fhir/R4/security.html#audit
 *
 * `KILLS` says how often; a nightly run takes 200. The ledger is the client's: what it has received, it has received.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { auditCommands } from '../../src/audit-command.js'
import type { Operated } from '../../src/command.js'
import { readConfig } from '../../src/config.js'
import { openSite, type Site } from '../../src/site.js'

const kills = Number(process.env['KILLS'] ?? 5)
const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const root = fileURLToPath(new URL('../..', import.meta.url))
const clients = 8

let folder: string
let store: string
let child: ChildProcess | undefined

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'kill-'))
  const mongodb = process.env['TEST_STORE']
  store = mongodb
    ? Object.assign(new URL(mongodb), { pathname: `/kill-${randomUUID()}` }).href
    : `sqlite:${join(folder, 'a.db')}`
})

afterAll(() => {
  child?.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

const settings = () => ({ STORE: store, PORT: '0', LOG_LEVEL: 'silent', AUTH: 'off', AUDIT: 'on' })

async function started(): Promise<string> {
  const { NODE_OPTIONS: _, ...inherited } = process.env
  const server = spawn(process.execPath, ['--import', 'tsx', main, 'serve'], {
    cwd: root,
    env: { ...inherited, ...settings() },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  child = server
  return new Promise((resolve, reject) => {
    server.once('exit', () => reject(new Error('the server ended before it answered')))
    server.stdout!.on('data', (chunk) => {
      const [, url] = /answers at (\S+)/.exec(String(chunk)) ?? []
      if (url !== undefined) resolve(url)
    })
  })
}

async function killed(): Promise<void> {
  const server = child!
  const exit = new Promise((resolve) => server.once('exit', resolve))
  server.kill('SIGKILL')
  await exit
}

/** Requests that were answered to the last byte, and what they left. */
const answered: { request: string; what: string }[] = []
/** `Type/id/_history/version` of all that was acknowledged as written. */
const acknowledged: string[] = []
const patients: string[] = []

async function ask(base: string, what: string, method: string, path: string, body?: object): Promise<void> {
  const request = randomUUID()
  const response = await fetch(`${base}${path}`, {
    method,
    headers: { 'content-type': 'application/fhir+json', 'x-request-id': request },
    ...(body && { body: JSON.stringify(body) }),
  })
  await response.arrayBuffer()
  if (response.status === 401) throw new Error('the server asks who this is')
  answered.push({ request, what })
  const location = response.ok ? response.headers.get('location') : null
  const [written] = (location !== null && /[A-Z][A-Za-z]+\/[^/]+\/_history\/\d+$/.exec(location)) || []
  if (written !== undefined) acknowledged.push(written)
}

const known = () => patients[Math.floor(Math.random() * patients.length)] ?? 'nobody'

const observation = (id: string) => ({
  resourceType: 'Observation',
  status: 'final',
  code: { text: 'x' },
  subject: { reference: `Patient/${id}` },
})

const work: ((base: string) => Promise<void>)[] = [
  async (base) => {
    const id = randomUUID()
    await ask(base, 'create', 'PUT', `/Patient/${id}`, { resourceType: 'Patient', id })
    patients.push(id)
  },
  (base) => ask(base, 'create', 'POST', '/Observation', observation(known())),
  (base) => {
    const id = known()
    return ask(base, 'update', 'PUT', `/Patient/${id}`, { resourceType: 'Patient', id, name: [{ text: randomUUID() }] })
  },
  (base) => ask(base, 'read', 'GET', `/Patient/${known()}`),
  (base) => ask(base, 'read', 'GET', `/Patient/${known()}`),
  (base) => ask(base, 'refused read', 'GET', `/Patient/${randomUUID()}`),
  (base) => ask(base, 'search', 'GET', `/Observation?patient=${known()}`),
  (base) => ask(base, 'everything', 'GET', `/Patient/${known()}/$everything`),
  (base) =>
    ask(base, 'transaction', 'POST', '', {
      resourceType: 'Bundle',
      type: 'transaction',
      entry: [1, 2, 3].map(() => ({ request: { method: 'POST', url: 'Observation' }, resource: observation(known()) })),
    }),
]

/** Works until the server is gone. */
async function client(base: string): Promise<void> {
  for (;;)
    try {
      await work[Math.floor(Math.random() * work.length)]!(base)
    } catch {
      return
    }
}

/** All of the log, and all there is to be recorded. */
async function inspected(site: Site): Promise<{ requests: Set<string>; versions: Set<string>; stored: string[] }> {
  const { audit, changes } = bound(site)
  const requests = new Set<string>()
  const versions = new Set<string>()
  for (let after: { at: number; id: string } | undefined; ; ) {
    const page = await audit.find({ count: 1000, ascending: true, ...(after && { after }) })
    for (const { text } of page) {
      const { request, data = [] } = JSON.parse(text) as { request?: string; data?: string[] }
      if (request !== undefined) requests.add(request)
      for (const each of data) versions.add(each)
    }
    const last = page.at(-1)
    if (!last || page.length < 1000) break
    after = { at: last.at, id: last.id }
  }
  const stored: string[] = []
  for (let after = 0; ; ) {
    const page = await changes(after, 1000)
    for (const { stored: each } of page) stored.push(`${each.type}/${each.id}/_history/${each.version}`)
    if (page.length < 1000) break
    after = page.at(-1)!.sequence
  }
  return { requests, versions, stored }
}

/** The same once all that was acknowledged has its number: a process that was killed may keep others from numbering. */
async function numbered(site: Site): ReturnType<typeof inspected> {
  for (let tries = 0; ; tries++) {
    const found = await inspected(site)
    const kept = new Set(found.stored)
    if (acknowledged.every((each) => kept.has(each)) || tries === 60) return found
    await sleep(500)
  }
}

function bound(site: Site) {
  const own = site.database.tenant('default')
  return { audit: own.audit, changes: own.changes.bind(own) }
}

test(
  `after ${kills} kills under load nothing is without its event`,
  async () => {
    for (let round = 0; round < kills; round++) {
      const base = await started()
      const working = Array.from({ length: clients }, () => client(base))
      await sleep(200 + Math.random() * 1300)
      await killed()
      await Promise.all(working)
      const site = await openSite(readConfig(settings()))
      try {
        expect(await auditCommands.actions['audit verify']!({ site } as Operated, {})).toEqual([
          expect.stringMatching(/all in order/),
        ])
        const { requests, versions, stored } = await numbered(site)
        expect(answered.filter(({ request }) => !requests.has(request))).toEqual([])
        expect(stored.filter((each) => !versions.has(each))).toEqual([])
        const kept = new Set(stored)
        expect(acknowledged.filter((each) => !kept.has(each))).toEqual([])
      } finally {
        await site.close()
      }
    }
    expect(answered.length).toBeGreaterThan(10 * kills)
  },
  60_000 + kills * 45_000,
)
