/**
 * FHIR patch interaction: JSON Patch and FHIRPath Patch.
 *
 * https://hl7.org/fhir/R4/http.html#patch
 * https://hl7.org/fhir/R4/fhirpatch.html
 */
import { describe, expect, test } from '@jest/globals'
import type { Parameters, ParametersParameter, Patient } from 'fhir/r4.js'
import { created, expectOutcome, get, resourceIn, send, unique } from '../server.js'

const given = () =>
  created<Patient>({
    resourceType: 'Patient',
    active: true,
    birthDate: '1920-01-01',
    name: [{ family: 'Chalmers', given: ['Peter', 'James'] }],
    telecom: [{ system: 'phone', value: '1' }],
  })

const jsonPatch = (id: string, operations: unknown, headers: Record<string, string> = {}) =>
  send('PATCH', `Patient/${id}`, {
    body: operations,
    headers: { 'content-type': 'application/json-patch+json', ...headers },
  })

const fhirPathPatch = (id: string, ...operations: ParametersParameter[][]) => {
  const parameters: Parameters = {
    resourceType: 'Parameters',
    parameter: operations.map((part) => ({ name: 'operation', part })),
  }
  return send('PATCH', `Patient/${id}`, { body: parameters })
}

describe('patch', () => {
  test.each<[string, unknown[], Partial<Patient>]>([
    ['add', [{ op: 'add', path: '/gender', value: 'female' }], { gender: 'female' }],
    [
      'add to the end of a list',
      [{ op: 'add', path: '/name/0/given/-', value: 'J' }],
      { name: [{ family: 'Chalmers', given: ['Peter', 'James', 'J'] }] },
    ],
    ['replace', [{ op: 'replace', path: '/birthDate', value: '1930-01-01' }], { birthDate: '1930-01-01' }],
    ['remove', [{ op: 'remove', path: '/name/0/given/0' }], { name: [{ family: 'Chalmers', given: ['James'] }] }],
    [
      'move',
      [{ op: 'move', from: '/name/0/given/0', path: '/name/0/given/1' }],
      { name: [{ family: 'Chalmers', given: ['James', 'Peter'] }] },
    ],
    [
      'copy',
      [{ op: 'copy', from: '/name/0/family', path: '/name/0/text' }],
      { name: [{ family: 'Chalmers', given: ['Peter', 'James'], text: 'Chalmers' }] },
    ],
    [
      'test',
      [
        { op: 'test', path: '/active', value: true },
        { op: 'replace', path: '/active', value: false },
      ],
      { active: false },
    ],
  ])('JSON Patch: %s', async (_name, operations, expected) => {
    const { id } = await given()
    const answer = await jsonPatch(id, operations)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('etag')).toBe('W/"2"')
    expect(resourceIn<Patient>(await get(`Patient/${id}`))).toMatchObject(expected)
  })

  test.each<[string, unknown]>([
    ['a test that fails', [{ op: 'test', path: '/active', value: false }]],
    ['a path that is not there', [{ op: 'remove', path: '/gender' }]],
    ['an unknown operation', [{ op: 'twist', path: '/active' }]],
    ['no list', { op: 'remove', path: '/active' }],
    ['numbers', [1, 2]],
    ['a result that is invalid', [{ op: 'add', path: '/birthDate', value: 'soon' }]],
    ['an unknown element', [{ op: 'add', path: '/nickname', value: 'x' }]],
    ['another id', [{ op: 'replace', path: '/id', value: 'other' }]],
    ['another type', [{ op: 'replace', path: '/resourceType', value: 'Practitioner' }]],
    ['a prototype', [{ op: 'add', path: '/__proto__/x', value: 1 }]],
  ])('JSON Patch with %s is refused and changes nothing', async (_name, operations) => {
    const { id } = await given()
    expectOutcome(await jsonPatch(id, operations), [400, 409, 412, 422])
    expect(resourceIn<Patient>(await get(`Patient/${id}`))).toMatchObject({ active: true, meta: { versionId: '1' } })
  })

  test('JSON Patch applies all or nothing', async () => {
    const { id } = await given()
    const operations = [
      { op: 'replace', path: '/active', value: false },
      { op: 'remove', path: '/nowhere' },
    ]
    expectOutcome(await jsonPatch(id, operations), [400, 409, 422])
    expect(resourceIn<Patient>(await get(`Patient/${id}`)).active).toBe(true)
  })

  test.each<[string, ParametersParameter[], Partial<Patient>]>([
    [
      'replace',
      [
        { name: 'type', valueCode: 'replace' },
        { name: 'path', valueString: 'Patient.birthDate' },
        { name: 'value', valueDate: '1930-01-01' },
      ],
      { birthDate: '1930-01-01' },
    ],
    [
      'add',
      [
        { name: 'type', valueCode: 'add' },
        { name: 'path', valueString: 'Patient' },
        { name: 'name', valueString: 'gender' },
        { name: 'value', valueCode: 'female' },
      ],
      { gender: 'female' },
    ],
    [
      'insert',
      [
        { name: 'type', valueCode: 'insert' },
        { name: 'path', valueString: 'Patient.name[0].given' },
        { name: 'index', valueInteger: 1 },
        { name: 'value', valueString: 'J' },
      ],
      { name: [{ family: 'Chalmers', given: ['Peter', 'J', 'James'] }] },
    ],
    [
      'delete',
      [
        { name: 'type', valueCode: 'delete' },
        { name: 'path', valueString: 'Patient.name[0].given[0]' },
      ],
      { name: [{ family: 'Chalmers', given: ['James'] }] },
    ],
    [
      'move',
      [
        { name: 'type', valueCode: 'move' },
        { name: 'path', valueString: 'Patient.name[0].given' },
        { name: 'source', valueInteger: 1 },
        { name: 'destination', valueInteger: 0 },
      ],
      { name: [{ family: 'Chalmers', given: ['James', 'Peter'] }] },
    ],
  ])('FHIRPath Patch: %s', async (_name, operation, expected) => {
    const { id } = await given()
    const answer = await fhirPathPatch(id, operation)
    expect([answer.status, answer.status === 200 ? '' : answer.text]).toEqual([200, ''])
    expect(resourceIn<Patient>(await get(`Patient/${id}`))).toMatchObject(expected)
  })

  test('FHIRPath Patch comes in XML too', async () => {
    const { id } = await given()
    const body = `<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/>
      <part><name value="type"/><valueCode value="replace"/></part>
      <part><name value="path"/><valueString value="Patient.active"/></part>
      <part><name value="value"/><valueBoolean value="false"/></part></parameter></Parameters>`
    const answer = await send('PATCH', `Patient/${id}`, { body, headers: { 'content-type': 'application/fhir+xml' } })
    expect(answer.status).toBe(200)
    expect(resourceIn<Patient>(await get(`Patient/${id}`)).active).toBe(false)
  })

  test('FHIRPath Patch that selects nothing or cannot be read is refused', async () => {
    const { id } = await given()
    for (const path of ['Patient.contact', 'Patient.name[', 'Patient.repeat($this)', '%nobody'])
      expectOutcome(
        await fhirPathPatch(id, [
          { name: 'type', valueCode: 'replace' },
          { name: 'path', valueString: path },
          { name: 'value', valueString: 'x' },
        ]),
        [400, 409, 422],
      )
    expect(resourceIn<Patient>(await get(`Patient/${id}`)).meta?.versionId).toBe('1')
  })

  test('a patch that changes nothing makes no version', async () => {
    const { id } = await given()
    expect((await jsonPatch(id, [{ op: 'replace', path: '/active', value: true }])).status).toBe(200)
    expect(resourceIn<Patient>(await get(`Patient/${id}`)).meta?.versionId).toBe('1')
  })

  test('If-Match guards a patch', async () => {
    const { id } = await given()
    const operations = [{ op: 'replace', path: '/active', value: false }]
    expectOutcome(await jsonPatch(id, operations, { 'if-match': 'W/"3"' }), 412)
    expect((await jsonPatch(id, operations, { 'if-match': 'W/"1"' })).status).toBe(200)
  })

  test('answers 404 for what never was, 410 for what was deleted, 415 for another content type', async () => {
    const { id } = await given()
    expectOutcome(await jsonPatch(unique(), []), 404)
    expectOutcome(await send('PATCH', `Patient/${id}`, { body: '[]', headers: { 'content-type': 'text/plain' } }), 415)
    await send('DELETE', `Patient/${id}`)
    expectOutcome(await jsonPatch(id, []), [404, 410])
  })

  test('patches that come together are all applied', async () => {
    const { id } = await given()
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, index) =>
        jsonPatch(id, [{ op: 'add', path: '/telecom/-', value: { value: `n${index}` } }]),
      ),
    )
    expect(answers.map(({ status }) => status)).toEqual(Array(12).fill(200))
    expect(resourceIn<Patient>(await get(`Patient/${id}`)).telecom).toHaveLength(13)
  })
})
