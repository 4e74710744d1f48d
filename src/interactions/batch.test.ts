import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { type Json, parseJson, type Resource } from '../fhir/index.js'
import { writeAnswer } from './answer.js'
import { bundle } from './process-bundle.js'
import { countOf, dispatchTo, type World, world } from './testing.js'
import { update } from './update.js'

let context: World
beforeEach(async () => {
  context = await world()
})
afterEach(() => context.close())

const run = (entry: Json[], options = {}) =>
  bundle(context, { resourceType: 'Bundle', type: 'batch', entry }, dispatchTo(context), options)
const patient = (members: object = {}): Resource => ({ resourceType: 'Patient', ...members })
const post = (resource: Resource, more: object = {}): Json => ({
  resource,
  request: { method: 'POST', url: resource.resourceType, ...more },
})

test('each entry of a batch has its own outcome, in the order of the request', async () => {
  await update(context, { type: 'Patient', id: 'p' }, patient({ id: 'p' }))
  const answer = await run([
    { request: { method: 'GET', url: 'Patient/p' } },
    post(patient({ birthDate: 'never' })),
    post(patient()),
    { request: { method: 'GET', url: 'Patient/nowhere' } },
    3,
    { request: { method: 'DELETE', url: 'Patient/p' } },
    { resource: patient({ id: 'q' }), request: { method: 'PUT', url: 'Patient/q' } },
    { resource: patient({ id: 'q' }), request: { method: 'PUT', url: 'Patient/r' } },
  ])
  expect(answer.type).toBe('batch-response')
  expect(answer.entries.map(({ status }) => status)).toEqual([410, 400, 201, 404, 400, 204, 201, 400])
  expect(answer.entries[1]!.outcome).toMatchObject({
    resourceType: 'OperationOutcome',
    issue: [{ severity: 'error', expression: ['Bundle.entry[1].resource.birthDate'] }],
  })
  expect(await countOf(context, 'Patient')).toBe(2)
})

test('conditional entries of a batch make one resource of a thousand equal ones', async () => {
  const resource = patient({ identifier: [{ system: 'a', value: 'b' }] })
  const answer = await run(Array.from({ length: 1000 }, () => post(resource, { ifNoneExist: 'identifier=a|b' })))
  expect(answer.entries.filter(({ status }) => status === 201)).toHaveLength(1)
  expect(answer.entries.filter(({ status }) => status === 200)).toHaveLength(999)
  expect(await countOf(context, 'Patient')).toBe(1)
})

test('a batch sent again with its Idempotency-Key creates nothing again', async () => {
  const entries = [post(patient()), post(patient())]
  const first = await run(entries, { idempotencyKey: 'k' })
  expect(await run(entries, { idempotencyKey: 'k' })).toEqual(first)
  expect(await countOf(context, 'Patient')).toBe(2)
})

test('a bug that one entry meets is reported and leaves the others alone', async () => {
  const reported: unknown[] = []
  const broken = new Error('a bug')
  const dispatch = () => Promise.reject(broken)
  const reporting = { ...context, report: (error: unknown) => reported.push(error) }
  const entry = [{ request: { method: 'GET', url: 'Patient/p' } }, post(patient())]
  const { entries } = await bundle(reporting, { resourceType: 'Bundle', type: 'batch', entry }, dispatch)
  expect(entries.map(({ status }) => status)).toEqual([500, 201])
  expect(JSON.stringify(entries[0]!.outcome)).not.toContain('a bug')
  expect(reported).toEqual([broken])
})

test('the response Bundle has a response for each entry', async () => {
  const answer = await run([post(patient({ active: true })), post(patient({ active: 'x' }))], {
    prefer: 'representation',
  })
  const written = parseJson(writeAnswer(answer))
  expect(written).toMatchObject({
    resourceType: 'Bundle',
    type: 'batch-response',
    entry: [
      {
        fullUrl: expect.stringMatching('/fhir/Patient/'),
        resource: { resourceType: 'Patient', active: true },
        response: {
          status: '201 Created',
          etag: 'W/"1"',
          location: expect.any(String),
          lastModified: expect.any(String),
        },
      },
      { response: { status: '400 Bad Request', outcome: { resourceType: 'OperationOutcome' } } },
    ],
  })
  expect(parseJson(writeAnswer(await run([])))).toEqual({ resourceType: 'Bundle', type: 'batch-response' })
})
