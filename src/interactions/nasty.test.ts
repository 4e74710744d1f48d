import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Decimal, FhirError, type Json, parseJson, type Resource, writeJson } from '../fhir/index.js'
import { writeAnswer } from './answer.js'
import { bundle } from './process-bundle.js'
import { dispatchTo, type World, world } from './testing.js'

let context: World
beforeAll(async () => {
  context = await world()
})
afterAll(() => context.close())

/** The same in every run, so that a change is judged by what it changes; SEED=n looks elsewhere. */
const seed = Number(process.env['SEED'] ?? 1)

/** A small generator (mulberry32), so that a failure can be repeated by its seed. */
function generator(from: number): () => number {
  let state = from
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

const nasty: Json[] = [
  null,
  true,
  -1,
  1e300,
  new Decimal('1.00'),
  '',
  ' ',
  '%',
  '%zz',
  '&&=&',
  '?',
  'Patient?',
  'Patient?identifier=',
  'Patient?identifier=a|b',
  'Patient?_has:Observation:subject:code=x',
  'Patient/1/_history/9',
  'Patient/../../x',
  '#',
  'urn:uuid:',
  'urn:uuid:1',
  'urn:uuid:1/_history/2',
  'http://hospital.test/fhir/Patient/p/_history/1',
  'http://hospital.test/fhir?_type=Patient',
  '__proto__',
  'constructor',
  'toString',
  '$everything',
  'W/"1"',
  '*',
  "'; DROP TABLE resource; --",
  '\u0000',
  '🩺'.repeat(100),
  'x'.repeat(100_000),
  [],
  [null],
  [[]],
  {},
  { reference: 3 },
  { resourceType: 'Patient' },
  { resourceType: 'Bundle', type: 'transaction', entry: [{}] },
  { constructor: 1, toString: 2, hasOwnProperty: 3 },
]

const urn = 'urn:uuid:1'
const template: Json = [
  {
    fullUrl: urn,
    resource: {
      resourceType: 'Patient',
      id: 'x',
      identifier: [{ system: 'a', value: 'b' }],
      meta: { tag: [{ code: 't' }] },
    },
    request: { method: 'POST', url: 'Patient', ifNoneExist: 'identifier=a|b' },
  },
  {
    resource: {
      resourceType: 'Observation',
      status: 'final',
      code: { coding: [{ system: 's', code: 'c' }] },
      subject: { reference: urn },
      performer: [{ reference: 'Practitioner?identifier=a|b' }],
      valueQuantity: { value: new Decimal('1.00'), unit: 'g' },
      contained: [{ resourceType: 'Patient', id: 'c' }],
      extension: [{ url: 'http://x', valueReference: { reference: '#c' } }],
    },
    request: { method: 'POST', url: 'Observation' },
  },
  {
    resource: { resourceType: 'Practitioner', id: 'd', identifier: [{ system: 'a', value: 'b' }] },
    request: { method: 'PUT', url: 'Practitioner/d', ifMatch: 'W/"1"' },
  },
  {
    resource: { resourceType: 'Group', type: 'person', actual: true },
    request: { method: 'PUT', url: 'Group?identifier=g' },
  },
  { request: { method: 'DELETE', url: 'Basic/1', ifMatch: 'W/"1"' } },
  { request: { method: 'DELETE', url: 'Basic?identifier=a' } },
  {
    resource: { resourceType: 'Binary', contentType: 'application/json-patch+json', data: 'W10=' },
    request: { method: 'PATCH', url: 'Patient/p' },
  },
  {
    resource: {
      resourceType: 'Parameters',
      parameter: [{ name: 'operation', part: [{ name: 'type', valueCode: 'delete' }] }],
    },
    request: { method: 'PATCH', url: 'Patient?identifier=zz' },
  },
  { request: { method: 'GET', url: 'Patient/p' } },
]

/** A copy in which one place, anywhere, holds something else, or is gone. */
function mutated(value: Json, random: () => number): Json {
  const places: [container: Json[] | { [key: string]: Json }, key: string][] = []
  const copy = parseJson(writeJson(value))
  const visit = (each: Json) => {
    if (typeof each !== 'object' || each === null || each instanceof Decimal) return
    for (const key of Object.keys(each)) {
      places.push([each as { [key: string]: Json }, key])
      visit((each as { [key: string]: Json })[key]!)
    }
  }
  visit(copy)
  const [container, key] = places[Math.floor(random() * places.length)]!
  const object = container as { [key: string]: Json }
  const what = random()
  const text = nasty[5 + Math.floor(random() * 18)] as string
  if (what < 0.1 && !Array.isArray(object)) delete object[key]
  else if (what < 0.2 && !Array.isArray(object)) object[text] = object[key]!
  else object[key] = nasty[Math.floor(random() * nasty.length)]!
  return copy
}

test.each(['transaction', 'batch'])(
  `a %s with anything anywhere is carried out or refused, never an error of ours (seed ${seed})`,
  async (type) => {
    const random = generator(seed)
    const reporting = {
      ...context,
      report: (error: unknown) => {
        throw error
      },
    }
    for (let round = 0; round < 400; round++) {
      let entry = mutated(template, random)
      if (random() < 0.3) entry = mutated(entry, random)
      const request = { resourceType: 'Bundle', type, entry } as Resource
      try {
        const answer = await bundle(reporting, request, dispatchTo(context))
        expect(answer.entries.every(({ status }) => status >= 200 && status < 500)).toBe(true)
        parseJson(writeAnswer(answer))
      } catch (error) {
        if (!(error instanceof FhirError))
          throw new Error(`round ${round}: ${writeJson(entry).slice(0, 3000)}`, { cause: error })
        expect([round, error.status]).toEqual([round, expect.any(Number)])
        expect(error.status).toBeLessThan(500)
      }
    }
  },
  120_000,
)
