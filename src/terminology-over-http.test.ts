/** Search by stored value sets and code systems: https://hl7.org/fhir/R4/search.html#token, over the real server. */
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import supertest from 'supertest'
import { startTestServer, type TestServer } from './testing.js'

const system = 'http://acme.org/animals'
const url = 'http://acme.org/ValueSet/pets'
const animals = {
  resourceType: 'CodeSystem',
  url: system,
  status: 'active',
  content: 'complete',
  hierarchyMeaning: 'is-a',
  concept: [{ code: 'mammal', concept: [{ code: 'dog', concept: [{ code: 'poodle' }] }, { code: 'cow' }] }],
}
const pets = (...codes: string[]) => ({
  resourceType: 'ValueSet',
  id: 'pets',
  url,
  version: '1',
  status: 'active',
  compose: { include: [{ system, concept: codes.map((code) => ({ code })) }] },
})

let server: TestServer
const put = (resource: { resourceType: string; id: string; [element: string]: unknown }) =>
  supertest(server.fhir)
    .put(`/${resource.resourceType}/${resource.id}`)
    .set('Content-Type', 'application/fhir+json')
    .send(resource)

beforeAll(async () => {
  server = await startTestServer()
  await put({ ...animals, id: 'animals' }).expect(201)
  await put(pets('dog', 'poodle')).expect(201)
  for (const code of ['mammal', 'dog', 'poodle', 'cow'])
    await put({ resourceType: 'Basic', id: code, code: { coding: [{ system, code }] } }).expect(201)
})
afterAll(() => server.close())

async function found(query: string): Promise<string[]> {
  const { body } = await supertest(server.fhir).get(`/Basic?${query}`).expect(200)
  return ((body.entry ?? []) as { resource: { id: string } }[]).map(({ resource }) => resource.id).sort()
}

test.each([
  ['a value set by canonical', `code:in=${url}`, ['dog', 'poodle']],
  ['a version of it', `code:in=${url}|1`, ['dog', 'poodle']],
  ['a value set by relative id', 'code:in=ValueSet/pets', ['dog', 'poodle']],
  ['what is not in it', `code:not-in=${url}`, ['cow', 'mammal']],
  ['what is not in it, by id', 'code:not-in=ValueSet/pets', ['cow', 'mammal']],
  ['below a code', `code:below=${system}|dog`, ['dog', 'poodle']],
  ['above a code', `code:above=${system}|dog`, ['dog', 'mammal']],
])('%s', async (_, query, ids) => expect(await found(query)).toEqual(ids))

test('an unknown value set or version is refused', async () => {
  for (const unknown of [`${url}|2`, 'http://acme.org/ValueSet/none', 'ValueSet/none'])
    await supertest(server.fhir).get(`/Basic?code:in=${unknown}`).expect(400)
})

test('a change is effective at once', async () => {
  await put(pets('cow')).expect(200)
  expect(await found(`code:in=${url}`)).toEqual(['cow'])
  expect(await found('code:in=ValueSet/pets')).toEqual(['cow'])
  const flat = [{ code: 'mammal' }, { code: 'dog' }, { code: 'poodle' }, { code: 'cow' }]
  await put({ ...animals, id: 'animals', concept: flat }).expect(200)
  expect(await found(`code:below=${system}|mammal`)).toEqual(['mammal'])
})
