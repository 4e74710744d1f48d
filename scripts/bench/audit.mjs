/**
 * What who asks and the record of it cost a read: the bar of docs/performance.md, in one run.
 *
 *     npx tsc -p tsconfig.build.json && node scripts/bench/audit.mjs [rounds] [seconds]
 *
 * `open` is AUTH=off without audit. `audited` is AUTH=off with the durable audit. `guarded` is AUTH=on with it: a doctor's
 * token, resources of the doctor's hospital, a patient who is in the doctor's care. The machine is shared and noisy: the
 * CPU of the server's main thread says more than the rate.
 */
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { pino } from 'pino'
import { compare } from './load.mjs'

const root = new URL('../../', import.meta.url)
const json = { 'content-type': 'application/fhir+json' }
const custodian = {
  extension: [
    {
      url: 'https://hospitallink.example/fhir/StructureDefinition/custodian',
      valueReference: { reference: 'Organization/a' },
    },
  ],
}
const doctor = {
  user: 'Practitioner/bob',
  role: 'doctor',
  organizations: ['Organization/a'],
  scope: 'user/*.cruds',
  purpose: 'TREAT',
  expiresIn: 3600,
}
const loaded = [
  { resourceType: 'Organization', id: 'a', name: 'Mulago' },
  { resourceType: 'Practitioner', id: 'bob', meta: custodian },
  {
    resourceType: 'Patient',
    id: 'p1',
    meta: custodian,
    name: [{ family: 'Okello' }],
    generalPractitioner: [{ reference: 'Practitioner/bob' }],
  },
  ...Array.from({ length: 20 }, (_, i) => ({
    resourceType: 'Observation',
    id: `o${i}`,
    meta: custodian,
    status: 'final',
    code: { coding: [{ system: 'http://loinc.org', code: '8480-6', display: 'Systolic blood pressure' }] },
    subject: { reference: 'Patient/p1' },
    effectiveDateTime: '2026-01-01T10:00:00Z',
    valueQuantity: { value: 120 + i, unit: 'mmHg', system: 'http://unitsofmeasure.org', code: 'mm[Hg]' },
  })),
  { resourceType: 'ValueSet', id: 'v1', url: 'https://hospital.example/v1', status: 'active' },
]

const environmentOf = (path, environment) => ({
  ...process.env,
  STORE: `sqlite:${path}`,
  HOST: '127.0.0.1',
  PORT: '0',
  LOG_LEVEL: 'error',
  RATE_LIMIT: '0',
  RATE_LIMIT_ADDRESS: '0',
  MALLOC_ARENA_MAX: '1',
  MALLOC_TRIM_THRESHOLD_: '131072',
  ...environment,
})

async function started(path, environment) {
  const child = spawn(process.execPath, ['--max-semi-space-size=8', 'dist/main.js', 'serve'], {
    cwd: root,
    env: environmentOf(path, environment),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const base = await new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}`)))
    child.stdout.on('data', (chunk) => {
      const [, url] = /answers at (\S+)/.exec(String(chunk)) ?? []
      if (url) resolve(url.replace('localhost', '127.0.0.1'))
    })
  })
  return { child, base }
}

async function stopped({ child }) {
  child.removeAllListeners('exit')
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  await ended
}

/** A store with the same resources. */
async function filled(path) {
  const server = await started(path, { AUTH: 'off', AUDIT: 'off' })
  for (const resource of loaded) {
    const { resourceType, id } = resource
    const response = await fetch(`${server.base}/${resourceType}/${id}`, {
      method: 'PUT',
      headers: json,
      body: JSON.stringify(resource),
    })
    if (!response.ok) throw new Error(`${resourceType}/${id}: ${await response.text()}`)
  }
  await stopped(server)
  return path
}

function tokenOf(path) {
  const env = environmentOf(path, { AUTH: 'on' })
  const output = execFileSync(process.execPath, ['dist/main.js', 'token', '--caller', JSON.stringify(doctor)], {
    cwd: root,
    env,
  })
  return output.toString().trim()
}

const shapes = [
  ['read by id, 32 connections', '/Observation/o7', 32],
  ['read by id, 1 connection', '/Observation/o7', 1],
  ["read of nobody's data, 32 connections", '/ValueSet/v1', 32],
  ['20 Observations of a patient, 8 connections', '/Observation?patient=p1', 8],
]

/** Rows { title, measured } of `open`, `audited` and `guarded`. */
export async function* guardedReads({ folder, rounds, seconds }) {
  const kinds = {
    open: { AUTH: 'off', AUDIT: 'off' },
    audited: { AUTH: 'off', AUDIT: 'on' },
    guarded: { AUTH: 'on' },
  }
  const servers = []
  try {
    for (const [name, environment] of Object.entries(kinds)) {
      const path = await filled(join(folder, `${name}.db`))
      const server = await started(path, environment)
      servers.push({ name, path, ...server })
    }
    const { path: guarded, base } = servers.at(-1)
    const headers = { authorization: `Bearer ${tokenOf(guarded)}` }
    for (const [title, address, connections] of shapes) {
      const targets = servers.map(({ name, base, child }) => ({
        name,
        request: { url: `${base}${address}`, ...(name === 'guarded' && { headers }) },
        pid: child.pid,
      }))
      yield { title, measured: await compare(targets, { connections, rounds, seconds }) }
    }
    await stopped(servers.pop())
    yield { title: 'token verification, cached', microseconds: await verification(guarded, base, headers) }
  } finally {
    for (const server of servers) await stopped(server)
  }
}

/** Microseconds of identifying who sent a token that was seen a moment ago. */
async function verification(path, base, headers) {
  const built = (name) => import(new URL(`dist/${name}.js`, root))
  const { readConfig } = await built('config')
  const { openSite } = await built('site')
  const { operated } = await built('operated')
  const config = readConfig(environmentOf(path, { AUTH: 'on', PORT: new URL(base).port }))
  const log = pino({ level: 'silent' })
  const site = await openSite(config, { log })
  try {
    const { authorizations } = operated(config, site, log)
    const { verifier } = await authorizations.of(await site.world('default'))
    const request = { headers, url: '/fhir/Observation/o7' }
    const times = []
    for (let round = 0; round < 7; round++) {
      await verifier.identify(request)
      const start = process.cpuUsage()
      for (let i = 0; i < 200_000; i++)
        if (verifier.identify(request) instanceof Promise) await verifier.identify(request)
      const { user, system } = process.cpuUsage(start)
      times.push((user + system) / 200_000)
    }
    return times.sort((a, b) => a - b)[3]
  } finally {
    await site.close()
  }
}

/** One line of a comparison: the rate as a part of the open one, and CPU of the main thread a request. */
export const lineOf = ({ measured, microseconds }) =>
  microseconds === undefined
    ? Object.entries(measured)
        .map(
          ([name, { rate, p50, p95, thread, cpu }]) =>
            `${name} ${Math.round(rate)}/s (${(rate / measured.open.rate).toFixed(2)}) p50 ${p50} p97.5 ${p95} ms, CPU ${thread.toFixed(1)} µs (with the pool ${cpu.toFixed(1)})`,
        )
        .join('; ')
    : `${microseconds.toFixed(2)} µs`

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [rounds = 5, seconds = 3] = process.argv.slice(2).map(Number)
  const folder = mkdtempSync(join(tmpdir(), 'bench-audit-'))
  try {
    for await (const row of guardedReads({ folder, rounds, seconds }))
      console.log(`${row.title}\n  ${lineOf(row).replaceAll('; ', '\n  ')}`)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
