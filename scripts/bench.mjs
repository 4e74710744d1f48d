/**
 * Measures the server beside its floors, in one run, and prints ratios.
 *
 * npm run bench [-- --quick] [-- --only reads,searches,...]
 *
 * With MONGODB_URL the rows of MongoDB are measured instead, beside plain calls of the driver on the same server
 * (scripts/bench/floor-mongo.mjs); two databases are made there and dropped.
 *
 * Ours runs as `npm start` would start it, on a temporary store with durable commits. The floors do the same work
 * without FHIR (scripts/bench/floor.mjs). Only ratios of one run mean something; machines are shared and noisy.
 */
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { gunzipSync } from 'node:zlib'
import Database from 'better-sqlite3'
import { MongoClient } from 'mongodb'
import { guardedReads, lineOf } from './bench/audit.mjs'
import { observation, patientBundle, random } from './bench/data.mjs'
import { compare, cpuSeconds, median } from './bench/load.mjs'

const { values: options } = parseArgs({ options: { quick: { type: 'boolean' }, only: { type: 'string' } } })
const root = fileURLToPath(new URL('..', import.meta.url))
const synthea = join(root, '../shared/data/synthea')
const folder = mkdtempSync(join(tmpdir(), 'hospitallink-bench-'))
const rounds = options.quick ? 3 : 5
const seconds = options.quick ? 1 : 3
const patients = 40
const resourcesStored = options.quick ? 20_000 : 100_000
const wanted = options.only?.split(',')
/** V8 gives memory back some seconds after the work is done. */
const quietMs = 30_000
const rows = []
const running = new Set()

execFileSync('npx', ['tsc', '-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' })
console.log(
  `${cpus().length} x ${cpus()[0].model}, Node ${process.version}; ${rounds} rounds of ${seconds} s, alternating\n`,
)
try {
  if (process.env.MONGODB_URL) await onMongo(process.env.MONGODB_URL)
  else await main()
} finally {
  for (const child of running) child.kill('SIGTERM')
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
}

async function main() {
  const ours = await startOurs(join(folder, 'ours.db'))
  const floors = {}
  for (const kind of ['http', 'express', 'express-fixed']) floors[kind] = await startFloor(kind)
  const bundles = Array.from({ length: patients }, (_, number) => patientBundle(number, number === 0 ? 907 : 60))
  for (const bundle of bundles) await post(ours.url, bundle)
  fillFloors(bundles)

  const at = (path) => ({
    ours: `${ours.url}${path}`,
    ...Object.fromEntries(Object.entries(floors).map(([kind, { url }]) => [kind, `${url}${path}`])),
  })
  const targets = (urls, request = {}) =>
    Object.entries(urls).map(([name, url]) => ({ name, request: { url, ...request } }))

  await measure('reads', async () => {
    const urls = targets(at('/Observation/bench-1-o5'))
    ratios('read by id, 32 connections', await compare(urls, { connections: 32, rounds, seconds }), 'express 0.80')
    ratios('read by id, 1 connection', await compare(urls, { connections: 1, rounds, seconds }), 'p50 <= 0.5 ms')
  })
  await measure('searches', async () => {
    const urls = targets(at('/Observation?patient=bench-1&_count=20'))
    ratios(
      '20 Observations of a patient, 8 connections',
      await compare(urls, { connections: 8, rounds, seconds }),
      'express 0.65',
    )
    const shapes = {
      'same, newest first': '/Observation?patient=bench-1&_sort=-date&_count=20',
      'patient and code': '/Observation?patient=bench-1&code=http://loinc.org|8480-6&_count=20',
      'code, all patients': '/Observation?code=http://loinc.org|8480-6&_count=20',
      'patient and date range': '/Observation?patient=bench-1&date=ge2020-01-08&date=lt2020-02-01&_count=20',
      chained: '/Observation?patient.identifier=https://hospital.example/mrn|MRN-1&_count=20',
      _has: '/Patient?_has:Observation:patient:code=8480-6&_count=20',
      _include: '/Observation?patient=bench-1&_include=Observation:encounter&_count=20',
      _revinclude: '/Patient?_id=bench-1&_revinclude=Encounter:patient',
      'value above': '/Observation?code-value-quantity=8480-6$gt150&_count=20',
    }
    for (const [name, path] of Object.entries(shapes)) {
      const { ours: measured } = await compare([{ name: 'ours', request: { url: ours.url + path } }], {
        connections: 8,
        rounds: 3,
        seconds: 1,
      })
      rows.push([name, `${Math.round(measured.rate)}/s`, `p50 ${measured.p50} ms`, '', ''])
    }
  })
  await measure('creates', async () => {
    const body = JSON.stringify(observation(random(7), undefined, 'bench-1', 'bench-1-v0', '2024-05-01T08:00:00+00:00'))
    const urls = targets(at('/Observation'), {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/fhir+json' },
    })
    ratios(
      'durable create, 8 connections',
      await compare(urls, { connections: 8, rounds, seconds }),
      'one commit each 0.60',
    )
    ratios('durable create, 32 connections', await compare(urls, { connections: 32, rounds, seconds }), '')
  })
  await measure('everything', async () => {
    const times = []
    for (let i = -20; i < 30; i++) {
      const start = performance.now()
      const answer = await (await fetch(`${ours.url}/Patient/bench-0/$everything`)).text()
      if (i >= 0) times.push(performance.now() - start)
      const bundle = JSON.parse(answer)
      if (bundle.entry.length < 999) throw new Error(`$everything gave ${bundle.entry.length} of 999 resources`)
    }
    rows.push([
      '$everything, 999 resources',
      `${median(times).toFixed(1)} ms`,
      `best ${Math.min(...times).toFixed(1)} ms`,
      '< 15 ms',
      '',
    ])
  })
  for (const floor of Object.values(floors)) await stop(floor.child)
  await stop(ours.child)
  await measure('guarded', guarded)
  await measure('bundles', loadSynthea)
  await measure('size', storeMany)
  print()
}

async function onMongo(server) {
  const client = new MongoClient(server)
  const names = ['ours', 'floor'].map((name) => `bench-${name}-${process.pid}`)
  const [ourUrl, floorUrl] = names.map((name) => {
    const url = new URL(server)
    url.pathname = `/${name}`
    return url.href
  })
  const { version, modules = [] } = await client.db('admin').command({ buildInfo: 1 })
  console.log(
    modules.includes('stand-in') ? 'MongoDB: the stand-in; only ratios mean anything\n' : `MongoDB ${version}\n`,
  )
  try {
    const ours = await startOurs(ourUrl)
    const floor = await startMongoFloor(floorUrl)
    const bundles = Array.from({ length: patients }, (_, number) => patientBundle(number, number === 0 ? 907 : 60))
    for (const { url } of [ours, floor]) for (const bundle of bundles) await post(url, bundle)
    await mongoRows(ours, floor)
    await stop(ours.child)
    await stop(floor.child)
  } finally {
    for (const name of names) await client.db(name).dropDatabase()
    await client.close()
  }
  print()
}

async function mongoRows(ours, floor) {
  const targets = (path, request = {}) => [
    { name: 'ours', request: { url: ours.url + path, ...request }, pid: ours.child.pid },
    { name: 'driver', request: { url: floor.url + path, ...request }, pid: floor.child.pid },
  ]
  await measure('reads', async () => {
    for (const connections of [32, 1])
      ratios(
        `read by id, ${connections} connections`,
        await compare(targets('/Observation/bench-1-o5'), { connections, rounds, seconds }),
        '0.70',
      )
  })
  await measure('searches', async () => {
    const path = '/Observation?patient=bench-1&_count=20'
    ratios(
      '20 Observations of a patient, 8 connections',
      await compare(targets(path), { connections: 8, rounds, seconds }),
      '0.70',
    )
  })
  await measure('creates', async () => {
    const body = JSON.stringify(observation(random(7), undefined, 'bench-1', 'bench-1-v0', '2024-05-01T08:00:00+00:00'))
    const request = { method: 'POST', body, headers: { 'content-type': 'application/fhir+json' } }
    for (const connections of [1, 8, 32])
      ratios(
        `durable create, ${connections} connections`,
        await compare(targets('/Observation', request), { connections, rounds, seconds }),
        '0.60',
      )
  })
  await measure('bundles', async () => {
    const rates = { ours: [], driver: [] }
    const cpus = { ours: [], driver: [] }
    for (let round = 0, number = 1000; round < rounds; round++)
      for (const [name, { url }] of [
        ['ours', ours],
        ['driver', floor],
      ]) {
        const start = performance.now()
        const { pid } = name === 'ours' ? ours.child : floor.child
        const before = cpuSeconds(pid)
        let resources = 0
        for (let i = 0; i < 4; i++) {
          const bundle = patientBundle(number++, 500)
          await post(url, bundle)
          resources += bundle.entry.length
        }
        rates[name].push(resources / ((performance.now() - start) / 1000))
        cpus[name].push(((cpuSeconds(pid) - before) * 1e6) / resources)
      }
    const rowOf = (name, list = rates[name]) => ({
      cpu: median(cpus[name]),
      rate: median(list),
      p50: '-',
      p95: '-',
      spread: (Math.max(...list) - Math.min(...list)) / median(list),
    })
    ratios('bundles of 551 resources, resources', { ours: rowOf('ours'), driver: rowOf('driver') }, '0.50')
  })
}

async function startMongoFloor(url) {
  const port = await freePort()
  const child = spawn(process.execPath, [join(root, 'scripts/bench/floor-mongo.mjs'), url, String(port)], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  running.add(child)
  await answering(`http://127.0.0.1:${port}/fhir/Observation?patient=none&_count=1`, child)
  return { url: `http://127.0.0.1:${port}/fhir`, child }
}

async function measure(name, run) {
  if (!wanted || wanted.includes(name)) await run()
}

/** Reads with a token, the tenant and treatment relation of a role, and durable audit, beside those of AUTH=off AUDIT=off. */
async function guarded() {
  for await (const row of guardedReads({ folder, rounds, seconds })) {
    const { title, measured } = row
    const goal = title.startsWith('read by id, 32') ? '0.75 of open' : ''
    if (measured) {
      const { rate, spread, p50, p95 } = measured.guarded
      rows.push([
        `guarded ${title}`,
        `${Math.round(rate)}/s ±${Math.round(spread * 50)} %`,
        `p50 ${p50} ms, p97.5 ${p95} ms`,
        goal,
        lineOf(row),
      ])
    } else rows.push([title, lineOf(row), '', '', ''])
    console.log(rows.at(-1).join(' | '))
  }
}

/** One row of ours beside every floor. */
function ratios(name, measured, goal) {
  const { ours, ...floors } = measured
  const parts = Object.entries(floors).map(
    ([kind, { rate }]) => `${kind} ${Math.round(rate)}/s (${(ours.rate / rate).toFixed(2)})`,
  )
  // What both did to the CPU: where the database shares the machine, the rates say little of ours.
  if (ours.cpu) parts.push(`CPU a request ${Math.round(ours.cpu)} µs beside ${Math.round(floors.driver.cpu)} µs`)
  rows.push([
    name,
    `${Math.round(ours.rate)}/s ±${Math.round(ours.spread * 50)} %`,
    `p50 ${ours.p50} ms, p97.5 ${ours.p95} ms`,
    goal,
    parts.join(', '),
  ])
  console.log(rows.at(-1).join(' | '))
}

function print() {
  console.log(`\n| what | ours | | goal | floors (ours as a part of each) |\n|---|--:|--:|--:|---|`)
  for (const row of rows) console.log(`| ${row.join(' | ')} |`)
}

/** All Synthea files through HTTP: resources a second, the worst delay a read met meanwhile, disk and memory. */
async function loadSynthea() {
  if (!existsSync(synthea)) return console.log('bundles: skipped, ../shared/data/synthea is not there')
  const path = join(folder, 'synthea.db')
  const ours = await startOurs(path)
  const names = readdirSync(synthea)
    .filter((name) => name.endsWith('.json.gz'))
    .sort()
  await post(ours.url, { resourceType: 'Bundle', type: 'transaction', entry: patientBundle(1, 1).entry })
  const delays = watchDelay(`${ours.url}/Patient/bench-1`)
  let resources = 0
  let jsonBytes = 0
  let busyMs = 0
  const cpuBefore = cpuSeconds(ours.child.pid)
  for (const name of names) {
    const text = gunzipSync(readFileSync(join(synthea, name))).toString()
    const bundle = JSON.parse(text)
    for (const { resource } of bundle.entry) jsonBytes += Buffer.byteLength(JSON.stringify(resource))
    const start = performance.now()
    await post(ours.url, text)
    busyMs += performance.now() - start
    resources += bundle.entry.length
  }
  const cpu = cpuSeconds(ours.child.pid) - cpuBefore
  const worst = await delays.stop()
  const atOnce = residentMegabytes(ours.child.pid)
  await new Promise((resolve) => setTimeout(resolve, quietMs))
  const rss = residentMegabytes(ours.child.pid)
  await stop(ours.child)
  rows.push([
    `Synthea bundles, ${names.length} files, ${resources} resources`,
    `${Math.round(resources / (busyMs / 1000))}/s`,
    `${Math.round(resources / cpu)} per CPU second`,
    '>= 1,250/s',
    '',
  ])
  rows.push([
    'longest wait of a read meanwhile',
    `${worst.max.toFixed(0)} ms`,
    `p99 ${worst.p99.toFixed(0)} ms`,
    '<= 250 ms',
    '',
  ])
  rows.push(['resident memory after it', `${rss} MB`, `${atOnce} MB at once`, '<= 200 MB', ''])
  const disk = statSync(path).size
  rows.push([
    'disk, history and indexes included',
    `${(disk / jsonBytes).toFixed(2)} x JSON`,
    `${Math.round(disk / resources)} B a resource`,
    '<= 1.5 x',
    '',
  ])
  for (const row of rows.slice(-4)) console.log(row.join(' | '))
}

/** A store with many resources: time from start to the first answer, resident memory. */
async function storeMany() {
  const path = join(folder, 'many.db')
  let ours = await startOurs(path)
  let stored = 0
  for (let number = 0; stored < resourcesStored; number++) {
    const bundle = patientBundle(number, 500)
    await post(ours.url, bundle)
    stored += bundle.entry.length
  }
  await stop(ours.child)
  const times = []
  for (let i = 0; i < 5; i++) {
    const start = performance.now()
    ours = await startOurs(path, '/Patient/bench-1')
    times.push(performance.now() - start)
    if (i < 4) await stop(ours.child)
  }
  for (let number = 0; number < 200; number++)
    await (await fetch(`${ours.url}/Observation?patient=bench-${number % 190}&_count=50`)).arrayBuffer()
  const rss = residentMegabytes(ours.child.pid)
  rows.push([
    `start to first answer, ${stored} resources`,
    `${median(times).toFixed(0)} ms`,
    `best ${Math.min(...times).toFixed(0)} ms`,
    '<= 1 s',
    '',
  ])
  rows.push([`resident memory, ${stored} resources, after 200 searches`, `${rss} MB`, '', '<= 200 MB', ''])
  await stop(ours.child)
}

/** Reads every few milliseconds and remembers how long each took. */
function watchDelay(url) {
  const waits = []
  let on = true
  const loop = (async () => {
    while (on) {
      const start = performance.now()
      await (await fetch(url)).arrayBuffer()
      waits.push(performance.now() - start)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  })()
  return {
    async stop() {
      on = false
      await loop
      waits.sort((a, b) => a - b)
      return { max: waits.at(-1), p99: waits[Math.floor(waits.length * 0.99)] }
    },
  }
}

async function startOurs(path, probe = '/metadata') {
  const port = await freePort()
  const child = spawn(process.execPath, ['--max-semi-space-size=8', 'dist/main.js', 'serve'], {
    cwd: root,
    env: {
      ...process.env,
      PORT: String(port),
      HOST: '127.0.0.1',
      STORE: path.startsWith('mongodb') ? path : `sqlite:${path}`,
      AUTH: 'off',
      LOG_LEVEL: 'warn',
      // As in the Dockerfile.
      MALLOC_ARENA_MAX: '1',
      MALLOC_TRIM_THRESHOLD_: '131072',
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  running.add(child)
  const url = `http://127.0.0.1:${port}/fhir`
  await answering(url + probe, child)
  return { url, child }
}

async function startFloor(kind) {
  const port = await freePort()
  const child = spawn(
    process.execPath,
    [join(root, 'scripts/bench/floor.mjs'), kind, join(folder, `${kind}.db`), String(port)],
    {
      cwd: root,
      env: { ...process.env, NODE_ENV: 'production' },
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  )
  running.add(child)
  const url = `http://127.0.0.1:${port}/fhir`
  await answering(`${url}/Observation?patient=none&_count=1`, child)
  return { url, child }
}

function fillFloors(bundles) {
  for (const kind of ['http', 'express', 'express-fixed']) {
    const database = new Database(join(folder, `${kind}.db`))
    const resource = database.prepare('INSERT INTO resource (type, id, body) VALUES (?, ?, ?)')
    const patient = database.prepare('INSERT INTO patient (patient, rid) VALUES (?, ?)')
    database.transaction(() => {
      for (const { entry } of bundles)
        for (const { resource: each } of entry) {
          const { lastInsertRowid } = resource.run(each.resourceType, each.id, Buffer.from(JSON.stringify(each)))
          if (each.resourceType === 'Observation') patient.run(each.subject.reference, lastInsertRowid)
        }
    })()
    database.close()
  }
}

async function answering(url, child) {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}`)
    try {
      const response = await fetch(url)
      await response.arrayBuffer()
      if (response.ok) return
    } catch {
      // Not listening yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

async function post(url, bundle) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/fhir+json', prefer: 'return=minimal' },
    body: typeof bundle === 'string' ? bundle : JSON.stringify(bundle),
  })
  const answer = await response.json()
  if (!response.ok) throw new Error(`a bundle was refused: ${JSON.stringify(answer).slice(0, 500)}`)
  const refused = answer.entry?.find(({ response: each }) => !each.status.startsWith('2'))
  if (refused) throw new Error(`an entry was refused: ${JSON.stringify(refused).slice(0, 500)}`)
}

async function stop(child) {
  running.delete(child)
  if (child.exitCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  await ended
}

function residentMegabytes(pid) {
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024)
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}
