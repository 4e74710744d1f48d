/** Profiles as a client meets them: $validate, uploads without a restart, what a hospital demands of writes, packages. */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { OperationOutcome } from 'fhir/r4.js'
import { packed, unpacked } from './package-archive.js'
import { startTestServer, type TestServer } from './testing.js'

const hiv = (name: string) => `https://hospitallink.example/fhir/StructureDefinition/${name}`
const example = (name: string) =>
  JSON.parse(readFileSync(new URL(`../profiles/hiv/examples/valid/${name}.json`, import.meta.url), 'utf8'))

let server: TestServer
beforeAll(async () => {
  server = await startTestServer({ PROFILES: `Observation=known,Basic=${hiv('none')} http://p.test/marked` })
})
afterAll(() => server.close())

const send = async (method: string, path: string, body?: unknown) => {
  const response = await fetch(`${server.fhir}/${path}`, {
    method,
    headers: { 'Content-Type': 'application/fhir+json' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  const json = (text === '' ? {} : JSON.parse(text)) as OperationOutcome & Record<string, unknown>
  return { status: response.status, json }
}
const issuesOf = async (path: string, body: unknown) =>
  (await send('POST', path, body)).json.issue.map(({ severity, diagnostics }) => `${severity}: ${diagnostics}`)

const weight = {
  resourceType: 'Observation',
  meta: { profile: ['http://hl7.org/fhir/StructureDefinition/bodyweight'] },
  status: 'final',
  text: { status: 'generated', div: '<div xmlns="http://www.w3.org/1999/xhtml">w</div>' },
  category: [
    { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/observation-category', code: 'vital-signs' }] },
  ],
  code: { coding: [{ system: 'http://loinc.org', code: '29463-7' }] },
  subject: { display: 'somebody' },
  effectiveDateTime: '2024-01-01',
  valueQuantity: { value: 70, unit: 'kg', system: 'http://unitsofmeasure.org', code: 'kg' },
}
const inPounds = { ...weight, valueQuantity: { ...weight.valueQuantity, code: '[mi_us]' } }

describe('$validate', () => {
  test('a profile that meta.profile claims applies', async () => {
    expect(await issuesOf('Observation/$validate', weight)).toEqual(['information: no problem was found'])
    expect(await issuesOf('Observation/$validate', inPounds)).toEqual([expect.stringContaining('ucum-bodyweight')])
  })

  test('our profiles apply where they are asked for, with their value sets', async () => {
    const ask = `Observation/$validate?profile=${hiv('hiv-viral-load')}`
    const suppressed = example('hiv-viral-load-suppressed')
    const errors = async (body: unknown) => (await issuesOf(ask, body)).filter((each) => each.startsWith('error'))
    expect(await errors(suppressed)).toEqual([])
    const other = { ...suppressed, code: { coding: [{ system: 'http://loinc.org', code: '1-8' }] } }
    expect(await errors(other)).toEqual([expect.stringContaining('hiv-viral-load-tests')])
  })

  test('an unknown profile is an error where it is asked for, a warning where it is claimed', async () => {
    const { meta: _, ...plain } = weight
    expect(await issuesOf('Observation/$validate?profile=http://p.test/unknown', plain)).toEqual([
      expect.stringMatching(/^error.*not known here/),
    ])
    expect(
      await issuesOf('Observation/$validate', { ...weight, meta: { profile: ['http://p.test/unknown'] } }),
    ).toEqual([expect.stringMatching(/^warning.*not known here/)])
  })

  test('each entry of a Bundle by what it claims', async () => {
    const bundle = { resourceType: 'Bundle', type: 'collection', entry: [{ resource: weight }, { resource: inPounds }] }
    const { json } = await send('POST', 'Bundle/$validate', bundle)
    expect(json.issue.map(({ expression }) => expression?.[0])).toEqual(['Bundle.entry[1].resource.value.code'])
  })
})

describe('uploads', () => {
  const definition = {
    resourceType: 'StructureDefinition',
    url: 'http://p.test/marked',
    name: 'Marked',
    status: 'active',
    kind: 'resource',
    abstract: false,
    type: 'Basic',
    baseDefinition: 'http://hl7.org/fhir/StructureDefinition/Basic',
    derivation: 'constraint',
    differential: { element: [{ id: 'Basic.subject', path: 'Basic.subject', min: 1 }] },
  }
  const basic = { resourceType: 'Basic', code: { text: 'x' }, meta: { profile: ['http://p.test/marked'] } }

  test('a profile is in force with its commit, and its change too', async () => {
    const { json } = await send('POST', 'StructureDefinition', definition)
    expect(await issuesOf('Basic/$validate', basic)).toContain('error: subject is required; add it')
    await send('PUT', `StructureDefinition/${String(json['id'])}`, {
      ...definition,
      id: json['id'],
      differential: { element: [{ id: 'Basic', path: 'Basic' }] },
    })
    expect((await issuesOf('Basic/$validate', basic)).filter((each) => each.startsWith('error'))).toEqual([])
  })

  test('$snapshot', async () => {
    const { json } = await send('POST', 'StructureDefinition/$snapshot', definition)
    expect(JSON.stringify(json['snapshot'])).toContain('"id":"Basic.author"')
    const wrong = { ...definition, differential: { element: [{ id: 'Basic.x', path: 'Basic.x' }] } }
    expect((await send('POST', 'StructureDefinition/$snapshot', wrong)).status).toBe(422)
    expect((await send('GET', `StructureDefinition/$snapshot?url=${hiv('hiv-viral-load')}`)).status).toBe(200)
  })

  test.each([
    { type: 'Nothing' },
    { differential: { element: [{ path: 'Observation.value[x]' }, { path: 'Basic.a.b.c' }] } },
    {
      differential: {
        element: [
          { path: 'Basic.code', slicing: { rules: 'open' } },
          { path: 'Basic.code', sliceName: 'x' },
        ],
      },
    },
    { baseDefinition: 'http://p.test/broken' },
  ])('a definition that cannot be used is an answer, not a failure: %j', async (more) => {
    const broken = { ...definition, url: 'http://p.test/broken', ...more }
    const { json } = await send('POST', 'StructureDefinition', broken)
    expect((await send('POST', 'Basic/$validate?profile=http://p.test/broken', basic)).status).toBe(200)
    expect((await send('POST', 'StructureDefinition/$snapshot', broken)).status).toBeLessThan(500)
    await send('DELETE', `StructureDefinition/${String(json['id'])}`)
  })
})

describe('PROFILES', () => {
  test('known: what meta.profile claims is kept, or the write refused', async () => {
    expect((await send('POST', 'Observation', weight)).status).toBe(201)
    expect((await send('POST', 'Observation', inPounds)).status).toBe(422)
    expect((await send('POST', 'Observation', { ...inPounds, meta: undefined })).status).toBe(201)
  })

  test('canonicals: meta.profile must name one', async () => {
    expect((await send('POST', 'Basic', { resourceType: 'Basic', code: { text: 'x' } })).status).toBe(422)
  })
})

test('a package is read as it was packed', () => {
  const files = [
    { name: 'package/package.json', content: Buffer.from('{}') },
    { name: 'package/a.json', content: Buffer.from('x'.repeat(1000)) },
  ]
  expect(unpacked(packed(files))).toEqual(files)
  expect(() => unpacked(Buffer.from('no archive'))).toThrow(RangeError)
})
