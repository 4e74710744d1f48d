/**
 * $validate, $meta, $meta-add, $meta-delete and $convert: operations of every resource.
 *
 * https://hl7.org/fhir/R4/resource-operations.html
 */
import { describe, expect, test } from '@jest/globals'
import type { Meta, OperationOutcome, Parameters, Patient } from 'fhir/r4.js'
import { created, expectOutcome, get, post, resourceIn, send, unique } from '../server.js'

const patient: Patient = { resourceType: 'Patient', name: [{ family: 'X' }] }

const severities = ({ issue }: OperationOutcome) => issue.map(({ severity }) => severity)
const hasErrors = (outcome: OperationOutcome) =>
  severities(outcome).some((each) => each === 'error' || each === 'fatal')

describe('$validate', () => {
  const outcomeOf = async (path: string, body: unknown): Promise<OperationOutcome> => {
    const answer = await post(path, body)
    expect([answer.status, answer.status === 200 ? '' : answer.text]).toEqual([200, ''])
    return resourceIn<OperationOutcome>(answer)
  }

  test.each<[string, unknown, boolean]>([
    ['a valid resource', patient, false],
    ['an unknown element', { ...patient, nickname: 'x' }, true],
    ['a wrong type', { ...patient, active: 'yes' }, true],
    ['a bad date', { ...patient, birthDate: '2024-02-30' }, true],
    ['a code out of a required binding', { ...patient, gender: 'F' }, true],
    ['a list that should be none', { ...patient, birthDate: ['2000'] }, true],
    ['an invariant', { resourceType: 'Patient', contact: [{ gender: 'male' }] }, true],
    ['an empty name', { resourceType: 'Patient', name: [] }, true],
  ])('%s', async (_name, resource, invalid) => {
    expect(hasErrors(await outcomeOf('Patient/$validate', resource))).toBe(invalid)
    const parameters = { resourceType: 'Parameters', parameter: [{ name: 'resource', resource }] }
    expect(hasErrors(await outcomeOf('Patient/$validate', parameters))).toBe(invalid)
  })

  test('names every problem and its place', async () => {
    const { issue } = await outcomeOf('Patient/$validate', { ...patient, gender: 'F', birthDate: 'x' })
    expect(issue.flatMap(({ expression = [] }) => expression).sort()).toEqual(['Patient.birthDate', 'Patient.gender'])
  })

  test('an all-clear is an issue too, and says so', async () => {
    const told = { ...patient, text: { status: 'generated', div: '<div xmlns="http://www.w3.org/1999/xhtml">X</div>' } }
    expect(severities(await outcomeOf('Patient/$validate', told))).toEqual(['information'])
  })

  test('a profile that is not known is an error, R4 itself is known', async () => {
    const profile = (url: string) => `Patient/$validate?profile=${encodeURIComponent(url)}`
    expect(hasErrors(await outcomeOf(profile('http://nowhere.example/StructureDefinition/x'), patient))).toBe(true)
    expect(hasErrors(await outcomeOf(profile('http://hl7.org/fhir/StructureDefinition/Patient'), patient))).toBe(false)
  })

  test('mode=create, update and delete ask what the interaction would', async () => {
    const known = await created(patient)
    const dangling = {
      resourceType: 'Observation',
      status: 'final',
      code: { text: 'x' },
      subject: { reference: `Patient/${unique()}` },
    }
    expect(hasErrors(await outcomeOf('Observation/$validate', dangling))).toBe(false)
    expect(hasErrors(await outcomeOf('Observation/$validate?mode=create', dangling))).toBe(true)
    expect(hasErrors(await outcomeOf(`Patient/${known.id}/$validate?mode=update`, { ...patient, id: known.id }))).toBe(
      false,
    )
    expect(hasErrors(await outcomeOf(`Patient/${known.id}/$validate?mode=update`, { ...patient, id: 'other' }))).toBe(
      true,
    )
    const nothing = { resourceType: 'Parameters', parameter: [{ name: 'mode', valueCode: 'delete' }] }
    expect(hasErrors(await outcomeOf(`Patient/${known.id}/$validate`, nothing))).toBe(false)
    await created({ ...dangling, subject: { reference: `Patient/${known.id}` } } as never)
    expect(hasErrors(await outcomeOf(`Patient/${known.id}/$validate`, nothing))).toBe(true)
    expect((await get(`Patient/${known.id}`)).status).toBe(200)
  })

  test('what is stored can be validated in its place', async () => {
    const known = await created(patient)
    const answer = await get(`Patient/${known.id}/$validate`)
    expect(answer.status).toBe(200)
    expect(hasErrors(resourceIn<OperationOutcome>(answer))).toBe(false)
  })

  test('what cannot be asked is 4xx', async () => {
    expectOutcome(await post('Patient/$validate', '{"resourceType":'), 400)
    expectOutcome(await get('Patient/$validate'), [400, 405])
    expectOutcome(await post('Patient/$validate?mode=update', patient), 400)
    expectOutcome(await post('Patient/$validate?mode=think', patient), 400)
    expectOutcome(await post(`Patient/${unique()}/$validate?mode=delete`, undefined), 404)
  })

  test('nothing is stored', async () => {
    const family = unique('Never')
    await post('Patient/$validate', { ...patient, name: [{ family }] })
    expect(JSON.parse((await get(`Patient?family=${family}&_summary=count`)).text).total).toBe(0)
  })
})

const metaIn = (answer: Parameters): Meta => answer.parameter?.find(({ name }) => name === 'return')?.valueMeta ?? {}

describe('$meta', () => {
  test('of a resource is its meta', async () => {
    const known = await created<Patient>({
      ...patient,
      meta: { tag: [{ system: 'urn:t', code: 'a' }], profile: ['http://x.example/p'] },
    })
    const meta = metaIn(resourceIn<Parameters>(await get(`Patient/${known.id}/$meta`)))
    expect(meta).toEqual(known.meta)
    expectOutcome(await get(`Patient/${unique()}/$meta`), 404)
  })

  test('of a type and of the system are the labels in use, without versions', async () => {
    const code = unique('label')
    await created<Patient>({
      ...patient,
      meta: { tag: [{ system: 'urn:t', code }], security: [{ system: 'urn:s', code }] },
    })
    await created<Patient>({ ...patient, meta: { tag: [{ system: 'urn:t', code }] } })
    for (const path of ['Patient/$meta', '$meta']) {
      const meta = metaIn(resourceIn<Parameters>(await get(path)))
      expect(meta.tag?.filter((tag) => tag.code === code)).toHaveLength(1)
      expect(meta.security?.map((label) => label.code)).toContain(code)
      expect(meta.versionId).toBeUndefined()
    }
    expect(metaIn(resourceIn<Parameters>(await get('Account/$meta'))).tag?.map((tag) => tag.code) ?? []).not.toContain(
      code,
    )
  })
})

describe('$meta-add', () => {
  const withMeta = (meta: Meta): Parameters => ({
    resourceType: 'Parameters',
    parameter: [{ name: 'meta', valueMeta: meta }],
  })

  test('adds labels once, by system and code', async () => {
    const known = await created<Patient>({ ...patient, meta: { tag: [{ system: 'urn:t', code: 'a', display: 'A' }] } })
    const answer = await post(
      `Patient/${known.id}/$meta-add`,
      withMeta({
        tag: [
          { system: 'urn:t', code: 'a', display: 'other' },
          { system: 'urn:t', code: 'b' },
        ],
        profile: ['http://x.example/p'],
      }),
    )
    expect(answer.status).toBe(200)
    expect(metaIn(resourceIn<Parameters>(answer))).toMatchObject({
      tag: [
        { system: 'urn:t', code: 'a', display: 'A' },
        { system: 'urn:t', code: 'b' },
      ],
      profile: ['http://x.example/p'],
    })
    expect(resourceIn<Patient>(await get(`Patient/${known.id}`)).meta?.tag).toHaveLength(2)
  })

  test('changes nothing else and is asked by POST only', async () => {
    const known = await created(patient)
    await post(`Patient/${known.id}/$meta-add`, withMeta({ tag: [{ code: 'x' }] }))
    expect(resourceIn<Patient>(await get(`Patient/${known.id}`)).name).toEqual(patient.name)
    expectOutcome(await get(`Patient/${known.id}/$meta-add`), [400, 405])
    expectOutcome(await post(`Patient/${known.id}/$meta-add`, { resourceType: 'Parameters' }), 400)
    expectOutcome(await post(`Patient/${known.id}/$meta-add`, withMeta({ tag: 'x' } as never)), [400, 422])
    expectOutcome(await post(`Patient/${unique()}/$meta-add`, withMeta({ tag: [{ code: 'x' }] })), 404)
  })

  test('many at once are all applied', async () => {
    const known = await created(patient)
    const codes = Array.from({ length: 8 }, (_, index) => `c${index}`)
    await Promise.all(codes.map((code) => post(`Patient/${known.id}/$meta-add`, withMeta({ tag: [{ code }] }))))
    expect(
      resourceIn<Patient>(await get(`Patient/${known.id}`))
        .meta?.tag?.map(({ code }) => code)
        .sort(),
    ).toEqual(codes)
  })
})

describe('$meta-delete', () => {
  test('removes labels by system and code; it is no error if they were never there', async () => {
    const known = await created<Patient>({
      ...patient,
      meta: {
        tag: [
          { system: 'urn:t', code: 'a' },
          { system: 'urn:t', code: 'b' },
        ],
      },
    })
    const parameters: Parameters = {
      resourceType: 'Parameters',
      parameter: [
        { name: 'meta', valueMeta: { tag: [{ system: 'urn:t', code: 'a', display: 'x' }, { code: 'never' }] } },
      ],
    }
    const answer = await post(`Patient/${known.id}/$meta-delete`, parameters)
    expect(metaIn(resourceIn<Parameters>(answer)).tag).toEqual([{ system: 'urn:t', code: 'b' }])
    expect(resourceIn<Patient>(await get(`Patient/${known.id}`)).meta?.tag).toEqual([{ system: 'urn:t', code: 'b' }])
  })
})

describe('$convert', () => {
  test('turns JSON into XML and XML into JSON', async () => {
    const xml = await post('$convert', patient, { accept: 'application/fhir+xml' })
    expect(xml.status).toBe(200)
    expect(xml.text).toContain('<family value="X"/>')
    const body = xml.text
    const back = await send('POST', '$convert', {
      body,
      headers: { 'content-type': 'application/fhir+xml', accept: 'application/fhir+json' },
    })
    expect(resourceIn<Patient>(back)).toEqual(patient)
  })

  test('keeps the digits of decimals and takes a Parameters resource', async () => {
    const resource =
      '{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.00}}'
    const wrapped = `{"resourceType":"Parameters","parameter":[{"name":"input","resource":${resource}}]}`
    for (const body of [resource, wrapped]) {
      const answer = await post('$convert', body, { accept: 'application/fhir+json' })
      expect(answer.text).toContain('"value":1.00')
      expect(resourceIn(answer).resourceType).toBe('Observation')
    }
    expectOutcome(await post('$convert', undefined), 400)
  })
})
