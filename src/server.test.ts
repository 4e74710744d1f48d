import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import express from 'express'
import { pino } from 'pino'
import supertest from 'supertest'
import { readConfig } from './config.js'
import { fhirOf } from './server.js'
import { defaultTenant, openSite } from './site.js'
import { startTestServer } from './testing.js'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'server-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const json = 'application/fhir+json'
const patient = { resourceType: 'Patient', name: [{ family: 'Okello' }] }

test('what was stored, and the links of pages, outlive the process', async () => {
  const settings = { STORE: `sqlite:${join(folder, 'a.db')}`, BASE_URL: 'http://localhost/fhir' }
  const first = await startTestServer(settings)
  for (let i = 0; i < 3; i++)
    await supertest(first.fhir)
      .post('/Patient')
      .set('Host', 'localhost')
      .set('Content-Type', json)
      .send(patient)
      .expect(201)
  const page = await supertest(first.fhir).get('/Patient?_count=2').set('Host', 'localhost').expect(200)
  await first.close()
  const second = await startTestServer(settings)
  const next = page.body.link.find(({ relation }: { relation: string }) => relation === 'next').url
  expect(next).toMatch(/^http:\/\/localhost\/fhir\/Patient\?_page=/)
  const rest = await supertest(second.fhir)
    .get(next.replace('http://localhost/fhir', ''))
    .set('Host', 'localhost')
    .expect(200)
  expect(rest.body.entry).toHaveLength(1)
  await second.close()
})

test('a running request ends before the server does', async () => {
  const server = await startTestServer({ STORE: `sqlite:${join(folder, 'a.db')}`, CLOSE_TIMEOUT: '10' })
  const writes = Array.from({ length: 20 }, () =>
    fetch(`${server.fhir}/Patient`, {
      method: 'POST',
      headers: { 'Content-Type': json },
      body: JSON.stringify(patient),
    }),
  )
  await Promise.race(writes)
  const [answers] = await Promise.all([Promise.allSettled(writes), server.close()])
  for (const answer of answers) if (answer.status === 'fulfilled') expect(answer.value.status).toBe(201)
})

test('the endpoint can be mounted in an Express application, at a path of its own', async () => {
  const config = readConfig({
    AUTH: 'off',
    STORE: `sqlite:${join(folder, 'a.db')}`,
    BASE_URL: 'https://hospital.example/r4',
  })
  const site = await openSite(config)
  const world = (await site.world(defaultTenant))!
  const app = express()
  app.use('/mounted', fhirOf(config, world, pino({ level: 'silent' })))
  const created = await supertest(app).post('/mounted/Patient').set('Content-Type', json).send(patient).expect(201)
  expect(created.headers['location']).toBe(`https://hospital.example/r4/Patient/${created.body.id}/_history/1`)
  await supertest(app).get(`/mounted/Patient/${created.body.id}?_format=xml`).expect(200)
  await supertest(app).get('/mounted/nothing').expect(404)
  await supertest(app).get('/mounted').expect(200)
  await site.close()
})

test('a base URL at the root leaves health and metrics where they are', async () => {
  const server = await startTestServer({ STORE: `sqlite:${join(folder, 'a.db')}`, BASE_URL: 'http://localhost' })
  const root = supertest(server.origin)
  expect((await root.get('/metadata').set('Host', 'localhost').expect(200)).body.resourceType).toBe(
    'CapabilityStatement',
  )
  expect((await root.get('/health').set('Host', 'localhost').expect(200)).body).toEqual({ status: 'ok' })
  await server.close()
})

test('a server that cannot keep up says so before it does anything', async () => {
  const config = readConfig({ STORE: `sqlite:${join(folder, 'a.db')}` })
  const site = await openSite(config)
  const world = (await site.world(defaultTenant))!
  const app = express()
  app.use('/fhir', fhirOf(config, world, pino({ level: 'silent' }), { admit: () => {}, isOverloaded: () => true }))
  const answer = await supertest(app).get('/fhir/Patient').expect(503)
  expect(answer.headers['retry-after']).toBe('1')
  expect(answer.body).toMatchObject({ resourceType: 'OperationOutcome', issue: [{ code: 'transient' }] })
  await site.close()
})
