/**
 * Scopes: what is granted of what is asked for, and what it opens.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
 */
import { beforeAll, describe, expect, test } from '@jest/globals'
import { fhir, hospital, tokenOf, world } from './world.js'

const given = world()

let client = ''
beforeAll(async () => {
  await hospital(given())
  client = (await given().register({})).client.id
})

const granted = async (scope: string, id = client) =>
  (await tokenOf(given(), { client: id, scope, signIn: 'subject=ada' }))['scope']

describe('granted is', () => {
  test.each([
    ['patient/Observation.rs', 'patient/Observation.rs'],
    ['patient/Observation.read', 'patient/Observation.read'],
    ['patient/*.read', 'patient/*.read'],
    ['patient/*.write patient/*.read', 'patient/*.write patient/*.read'],
    ['patient/*.*', 'patient/*.*'],
    ['patient/Observation.cruds', 'patient/Observation.cruds'],
    ['patient/Observation.rs?category=laboratory', 'patient/Observation.rs?category=laboratory'],
    // What is written wrongly is left out and never guessed.
    ['patient/Observation.sr patient/Patient.r', 'patient/Patient.r'],
    ['patient/Observation.rd patient/Patient.r', 'patient/Observation.rd patient/Patient.r'],
    ['patient/Observation. patient/Patient.r', 'patient/Patient.r'],
    ['patient/Nothing.rs patient/Patient.r', 'patient/Patient.r'],
    ['Patient/Observation.rs patient/Patient.r', 'patient/Patient.r'],
    ['patient/Patient.r patient/Patient.r', 'patient/Patient.r'],
    // Nobody allows what is a system's.
    ['system/*.rs patient/Patient.r', 'patient/Patient.r'],
    ['launch/nothing patient/Patient.r', 'patient/Patient.r'],
    ['launch/patient?role=mother patient/Patient.r', 'launch/patient patient/Patient.r'],
    [
      'http://smarthealthit.org/fhir/scopes/patient/Observation.rs',
      'http://smarthealthit.org/fhir/scopes/patient/Observation.rs',
    ],
  ])('for "%s" "%s"', async (asked, expected) => expect(await granted(asked)).toBe(expected))

  test('never more than the app was registered for', async () => {
    const { client: small } = await given().register({ scope: 'launch/patient patient/Observation.rs' })
    expect(await granted('openid launch/patient patient/*.cruds offline_access', small.id)).toBe(
      'launch/patient patient/Observation.rs',
    )
    expect(await granted('patient/Observation.read', small.id)).toBe('patient/Observation.read')
  })
})

describe('opened is', () => {
  test.each([
    ['patient/Observation.rs', 'GET', 'Observation?patient=ada', 200],
    ['patient/Observation.rs', 'GET', 'Observation/laboratory-ada', 200],
    ['patient/Observation.rs', 'GET', 'Observation/laboratory-ada/_history', 200],
    ['patient/Observation.rs', 'GET', 'Patient/ada', 403],
    ['patient/Observation.rs', 'GET', 'Condition?patient=ada', 403],
    ['patient/Observation.r', 'GET', 'Observation/laboratory-ada', 200],
    ['patient/Observation.r', 'GET', 'Observation?patient=ada', 403],
    ['patient/Observation.s', 'GET', 'Observation?patient=ada', 200],
    ['patient/Observation.s', 'GET', 'Observation/laboratory-ada', 403],
    ['patient/Observation.rs', 'DELETE', 'Observation/laboratory-ada', 403],
    ['patient/*.read', 'GET', 'Observation?patient=ada', 200],
    ['patient/*.write', 'GET', 'Observation?patient=ada', 403],
  ])('by "%s" %s %s: %i', async (scope, method, path, expected) => {
    const body = await tokenOf(given(), { client, scope, signIn: 'subject=ada' })
    expect((await fhir(given(), path, body['access_token'], { method })).status).toBe(expected)
  })

  test('by a granular scope what its query finds, and nothing else', async () => {
    const laboratory = 'http://terminology.hl7.org/CodeSystem/observation-category|laboratory'
    const body = await tokenOf(given(), {
      client,
      scope: `patient/Observation.rs?category=${laboratory}`,
      signIn: 'subject=ada',
    })
    const found = (await fhir(given(), 'Observation?patient=ada', body['access_token'])).json() as unknown as {
      entry: { resource: { id: string } }[]
    }
    expect(found.entry.map(({ resource }) => resource.id)).toEqual(['laboratory-ada'])
    expect((await fhir(given(), 'Observation/vital-signs-ada', body['access_token'])).status).toBe(404)
  })

  test('by several scopes what any of them opens', async () => {
    const scope = 'patient/Observation.rs?category=laboratory patient/Observation.rs?category=vital-signs'
    const body = await tokenOf(given(), { client, scope, signIn: 'subject=ada' })
    expect((await fhir(given(), 'Observation?patient=ada', body['access_token'])).json()['total']).toBe(2)
  })

  test('never more than the person may', async () => {
    const body = await tokenOf(given(), { client, scope: 'user/*.cruds patient/*.cruds', signIn: 'subject=ada' })
    expect((await fhir(given(), 'Patient/ben', body['access_token'])).status).toBe(404)
    expect((await fhir(given(), 'Observation/laboratory-ben', body['access_token'])).status).toBe(404)
  })

  test('in a batch what each entry needs', async () => {
    const body = await tokenOf(given(), { client, scope: 'patient/Observation.rs', signIn: 'subject=ada' })
    const answer = await fhir(given(), '', body['access_token'], {
      method: 'POST',
      body: JSON.stringify({
        resourceType: 'Bundle',
        type: 'batch',
        entry: [
          { request: { method: 'GET', url: 'Observation/laboratory-ada' } },
          { request: { method: 'GET', url: 'Patient/ada' } },
        ],
      }),
    })
    const statuses = (answer.json() as unknown as { entry: { response: { status: string } }[] }).entry.map(
      ({ response }) => response.status.slice(0, 3),
    )
    expect(statuses).toEqual(['200', '403'])
  })
})

test('many granular scopes keep the token small, and count all the same', async () => {
  const many = Array.from({ length: 60 }, (_, i) => `patient/Observation.rs?code=http://loinc.org|${10_000 + i}-1`)
  const body = await tokenOf(given(), {
    client,
    scope: [...many, 'patient/Patient.rs'].join(' '),
    signIn: 'subject=ada',
  })
  expect(String(body['access_token']).length).toBeLessThan(3000)
  expect((await fhir(given(), 'Patient/ada', body['access_token'])).status).toBe(200)
  expect((await fhir(given(), 'Observation/laboratory-ada', body['access_token'])).status).toBe(404)
})
