/**
 * Two servers, one on each engine, are given the same and must answer the same bytes.
 *
 * Ids and times come in through the wiring, so that nothing but the engine differs. FILES=all takes every Synthea file.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { afterAll, expect, test } from '@jest/globals'
import { readConfig } from './config.js'
import { type Server, startServer } from './server.js'
import { databaseOf, type Mongod, startMongod } from './store/mongo/testing.js'
import { startTestServer } from './testing.js'

const synthea = new URL('../../shared/data/synthea/', import.meta.url)
const isThere = existsSync(synthea)
const files = isThere
  ? readdirSync(synthea)
      .filter((name) => name.endsWith('.json.gz'))
      .sort()
      .slice(0, process.env['FILES'] === 'all' ? undefined : 6)
  : []
const searches = 500
const seed = Number(process.env['SEED'] ?? 1)

type Both = { mongod: Mongod; servers: [Server, Server] }
let both: Both | undefined

afterAll(async () => {
  for (const server of both?.servers ?? []) await server.close()
  await both?.mongod.close()
})

async function start(): Promise<Both> {
  const wiring = () => {
    let ids = 0
    return { newId: () => `made-${++ids}`, clock: () => Date.UTC(2026, 0, 1) }
  }
  const embedded = await startTestServer({}, wiring())
  const mongod = await startMongod()
  const config = readConfig({
    AUTH: 'off',
    PORT: '0',
    STORE: databaseOf(mongod.url),
    LOG_LEVEL: 'silent',
    CLOSE_TIMEOUT: '1',
  })
  return { mongod, servers: [embedded, await startServer(config, wiring())] }
}

/** Numbers below a bound, the same for the same seed. */
function numbers(from: number): (bound: number) => number {
  let state = from
  return (bound) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
    return (state >>> 8) % bound
  }
}

type Loaded = { type: string; id: string; body: Record<string, unknown> }

/** Parameters with values that are in the data, now and then with values that are not. */
function randomSearch(pick: (bound: number) => number, loaded: Loaded[]): string {
  const one = <T>(list: readonly T[]): T => list[pick(list.length)]!
  const observations = loaded.filter(({ type }) => type === 'Observation')
  const patients = loaded.filter(({ type }) => type === 'Patient')
  const patient = one(patients).id
  const code = (one(observations).body['code'] as { coding: { code: string }[] }).coding[0]!.code
  const year = 1990 + pick(35)
  const shapes = [
    () => `Observation?patient=${patient}`,
    () => `Observation?subject=Patient/${patient}&code=${code}`,
    () => `Observation?code=http://loinc.org|${code}&date=${one(['ge', 'lt', 'sa', 'eb', '', 'ne'])}${year}`,
    () => `Observation?value-quantity=${one(['gt', 'le', 'ap', ''])}${pick(200)}`,
    () => `Observation?code-value-quantity=${code}$${one(['gt', 'lt'])}${pick(150)}`,
    () => `Observation?patient=${patient}&_sort=${one(['-date', 'code', 'date,-_lastUpdated', '-value-quantity'])}`,
    () => `Observation?category:not=vital-signs&status=final&_sort=-date`,
    () => `Observation?value-concept:missing=${one(['true', 'false'])}&patient=${patient}`,
    () =>
      `Patient?${one(['name', 'family', 'given', 'address'])}${one(['', ':contains', ':exact'])}=${one(['a', 'Ma', 'son', 'ß'])}`,
    () => `Patient?birthdate=${one(['lt', 'ge'])}${year - 30}&_sort=${one(['family', '-birthdate', 'gender,family'])}`,
    () => `Patient?_has:Observation:patient:code=${code}`,
    () => `Patient?_has:Encounter:patient:date=ge${year}&gender=${one(['male', 'female'])}`,
    () => `Encounter?subject:Patient.gender=male&date=ge${year}`,
    () => `Encounter?patient=${patient}&_include=Encounter:service-provider&_revinclude=Condition:encounter`,
    () => `Condition?patient._id=${patient}&_include=Condition:*`,
    () => `Condition?code:text=dis&_count=5`,
    () => `Patient/${patient}/Observation?_sort=-date`,
    () => `Patient/${patient}/*?_count=30`,
    () => `MedicationRequest?intent=order&authoredon=ge${year}&_total=accurate`,
    () => `Procedure?_filter=date ge ${year}-01-01 and (status eq completed)`,
    () => `Claim?_summary=count&patient=${patient}`,
    () => `?_type=Patient,Encounter&_id=${patient}`,
  ]
  const path = one(shapes)()
  return `${path}${path.includes('_count') || path.includes('_summary') ? '' : `&_count=${one([1, 3, 20])}`}`
}

/** Tokens of pages are sealed with a key and a nonce of each server; where they listen, and when they wrote, differs. */
function plain(text: string, { baseUrl }: Server): string {
  return text
    .replaceAll(baseUrl, 'BASE')
    .replace(/_page=[\w-]+/g, '_page=TOKEN')
    .replace(/"lastUpdated":"[^"]*"/g, '"lastUpdated":"TIME"')
}

;(isThere ? test : test.skip)(
  `${searches} random searches answer the same bytes on both engines, also on their second pages (needs ../shared; seed ${seed})`,
  async () => {
    both = await start()
    const [embedded, other] = both.servers
    const loaded: Loaded[] = []
    for (const file of files) {
      const body = gunzipSync(readFileSync(new URL(file, synthea)))
      for (const { baseUrl } of both.servers) {
        const response = await fetch(baseUrl, {
          method: 'POST',
          headers: { 'content-type': 'application/fhir+json', prefer: 'return=representation' },
          body,
        })
        expect(response.status).toBe(200)
        const answer = (await response.json()) as { entry: { resource: Record<string, unknown> }[] }
        if (baseUrl === embedded.baseUrl)
          for (const { resource } of answer.entry)
            loaded.push({ type: String(resource['resourceType']), id: String(resource['id']), body: resource })
      }
    }
    const pick = numbers(seed)
    const answered = async (server: Server, path: string) => {
      const response = await fetch(path)
      const text = await response.text()
      return {
        status: response.status,
        text: plain(text, server),
        next: /"url":"([^"]*_page=[^"]*)"\}/.exec(text)?.[1],
      }
    }
    let entries = 0
    for (let i = 0; i < searches; i++) {
      const search = randomSearch(pick, loaded)
      let [mine, theirs] = [`${embedded.baseUrl}/${search}`, `${other.baseUrl}/${search}`]
      for (let page = 0; page < 2; page++) {
        const [first, second] = [await answered(embedded, mine), await answered(other, theirs)]
        expect({ search, page, status: first.status, text: first.text }).toEqual({
          search,
          page,
          status: 200,
          text: second.text,
        })
        entries += first.text.split('"fullUrl"').length - 1
        if (!first.next || !second.next) break
        ;[mine, theirs] = [first.next, second.next]
      }
    }
    // Most searches find something, or the comparison would say little.
    expect(entries).toBeGreaterThan(searches)
  },
  600_000,
)
