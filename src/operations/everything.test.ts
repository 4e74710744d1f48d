import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { isObject, type Json, parseJson, type Resource } from '../fhir/index.js'
import { create } from '../interactions/index.js'
import { type World, world } from '../interactions/testing.js'
import { groupEverything, patientEverything } from './everything.js'
import type { Operation, OperationCall } from './operation.js'

let context: World
/** More than fit in one portion. */
const many = 45

beforeAll(async () => {
  context = await world()
  const patients: string[] = []
  for (let i = 0; i < many; i++) patients.push((await create(context, { resourceType: 'Patient' })).stored.id)
  const meeting = (...ids: string[]): Resource => ({
    resourceType: 'Appointment',
    status: 'booked',
    start: '2024-01-01T09:00:00Z',
    end: '2024-01-01T10:00:00Z',
    participant: ids.map((id) => ({ actor: { reference: `Patient/${id}` }, status: 'accepted' })),
  })
  await create(context, meeting(patients[0]!, patients[44]!))
  await create(context, meeting(patients[44]!, patients[1]!))
  await create(context, meeting(patients[25]!, patients[44]!))
  await create(context, { resourceType: 'Practitioner' })
  for (const id of patients)
    await create(context, {
      resourceType: 'Observation',
      status: 'final',
      code: { text: 'x' },
      subject: { reference: `Patient/${id}` },
      performer: [{ reference: `Practitioner/n${many + 4}` }],
    })
  const member = patients.slice(20).map((id) => ({ entity: { reference: `Patient/${id}` } }))
  await create(context, { resourceType: 'Group', type: 'person', actual: true, member })
})

afterAll(() => context.close())

async function ask(operation: Operation, call: Partial<OperationCall>): Promise<Resource> {
  const answer = await operation.run(context, { parameters: [], url: 'http://hospital.test/fhir/x', ...call })
  if (answer.kind === 'resource') return answer.resource
  if (answer.kind === 'bytes') return parseJson(answer.body) as Resource
  const pieces: Buffer[] = []
  for await (const piece of answer.pieces) pieces.push(piece)
  return parseJson(Buffer.concat(pieces)) as Resource
}

const list = (value: Json | undefined) => (Array.isArray(value) ? value : []).filter((each) => isObject(each))
const urls = (bundle: Resource) => list(bundle['entry']).map(({ fullUrl }) => String(fullUrl))

async function pages(operation: Operation, call: Partial<OperationCall>, count: number): Promise<string[]> {
  const found: string[] = []
  let page: string | null = ''
  for (let turns = 0; page !== null && turns < 500; turns++) {
    const parameters: [string, string][] = [['_count', String(count)]]
    if (page) parameters.push(['_page', page])
    const bundle = await ask(operation, { ...call, parameters })
    found.push(...urls(bundle))
    const next = list(bundle['link']).find(({ relation }) => relation === 'next')?.['url']
    page = typeof next === 'string' ? new URL(next).searchParams.get('_page') : null
  }
  return found
}

test('a resource of several patients comes once, however many portions there are', async () => {
  const whole = urls(await ask(patientEverything, {}))
  expect(new Set(whole).size).toBe(whole.length)
  expect(whole).toHaveLength(many * 2 + 3 + 1 + 1)
})

test('pages of all patients have every match once', async () => {
  const matches = (await pages(patientEverything, {}, 7)).filter((url) => !url.includes('Practitioner'))
  expect(new Set(matches).size).toBe(matches.length)
  expect(matches).toHaveLength(many * 2 + 3 + 1)
})

test('a group has the records of its members and no other', async () => {
  const call = { type: 'Group', id: `n${many + 4 + many + 1}` }
  const whole = urls(await ask(groupEverything, call))
  expect(new Set(whole).size).toBe(whole.length)
  // 25 patients with an observation each, three meetings of which each has a member, the doctor, the group.
  expect(whole).toHaveLength(25 * 2 + 3 + 1 + 1)
  const paged = (await pages(groupEverything, call, 4)).filter((url) => !url.includes('Practitioner'))
  expect([...paged].sort()).toEqual(whole.filter((url) => !url.includes('Practitioner')).sort())
})

test('no patients, no entries', async () => {
  const empty = await world()
  const answer = await patientEverything.run(empty, {
    parameters: [],
    url: 'http://hospital.test/fhir/Patient/$everything',
  })
  const pieces: Buffer[] = []
  if (answer.kind === 'stream') for await (const piece of answer.pieces) pieces.push(piece)
  expect(parseJson(Buffer.concat(pieces))).toMatchObject({ resourceType: 'Bundle', type: 'searchset', total: 0 })
  await empty.close()
})
