/**
 * What a durable audit event costs a read: the same server twice, AUDIT=on and AUDIT=off, in one run.
 *
 *     node --import tsx scripts/bench/audit.mjs [rounds] [seconds]
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { compare } from './load.mjs'

const [rounds = 5, seconds = 3] = process.argv.slice(2).map(Number)
const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'bench-audit-'))
const json = { 'content-type': 'application/fhir+json' }

async function started(name, audit) {
  const child = spawn(process.execPath, ['--max-semi-space-size=8', '--import', 'tsx', main, 'serve'], {
    env: { ...process.env, STORE: `sqlite:${join(folder, name)}.db`, PORT: '0', LOG_LEVEL: 'error', AUDIT: audit },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const base = await new Promise((resolve) =>
    child.stdout.on('data', (chunk) => {
      const [, url] = /answers at (\S+)/.exec(String(chunk)) ?? []
      if (url) resolve(url.replace('localhost', '127.0.0.1'))
    }),
  )
  const send = (method, path, body) => fetch(`${base}${path}`, { method, headers: json, body: JSON.stringify(body) })
  await send('PUT', '/Patient/p1', { resourceType: 'Patient', id: 'p1', name: [{ family: 'Okello' }] })
  for (let i = 0; i < 20; i++)
    await send('PUT', `/Observation/o${i}`, {
      resourceType: 'Observation',
      id: `o${i}`,
      status: 'final',
      code: { coding: [{ system: 'http://loinc.org', code: '8480-6', display: 'Systolic blood pressure' }] },
      subject: { reference: 'Patient/p1' },
      effectiveDateTime: '2026-01-01T10:00:00Z',
      valueQuantity: { value: 120 + i, unit: 'mmHg', system: 'http://unitsofmeasure.org', code: 'mm[Hg]' },
    })
  return { name, child, base }
}

const servers = [await started('without', 'off'), await started('audited', 'on')]
try {
  for (const [title, path, connections] of [
    ['read by id, 32 connections', '/Observation/o7', 32],
    ['read by id, 1 connection', '/Observation/o7', 1],
    ['20 Observations of a patient, 8 connections', '/Observation?patient=p1', 8],
  ]) {
    const targets = servers.map(({ name, base }) => ({ name, request: { url: `${base}${path}` } }))
    const { without, audited } = await compare(targets, { connections, rounds, seconds })
    console.log(title)
    for (const [name, { rate, p50, p95, spread }] of Object.entries({ without, audited }))
      console.log(
        `  ${name.padEnd(8)} ${Math.round(rate)}/s  p50 ${p50} ms  p95 ${p95} ms  spread ${Math.round(spread * 100)} %`,
      )
    console.log(`  audited / without  ${(audited.rate / without.rate).toFixed(2)}`)
  }
} finally {
  for (const { child } of servers) child.kill('SIGTERM')
  await Promise.all(servers.map(({ child }) => new Promise((resolve) => child.once('exit', resolve))))
  rmSync(folder, { recursive: true, force: true })
}
