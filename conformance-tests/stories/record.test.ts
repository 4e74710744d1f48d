/**
 * A whole journey: a visit to an HIV clinic from registration to the summary that is sent on.
 */
import { randomUUID } from 'node:crypto'
import { expect, test } from '@jest/globals'
import type { Bundle, BundleEntry, FhirResource, Observation, OperationOutcome, Parameters, Patient } from 'fhir/r4.js'
import {
  allPages,
  baseUrl,
  bundle,
  entriesOf,
  get,
  idsIn,
  post,
  put,
  resourceIn,
  send,
  uniqueSystem,
} from '../server.js'

const loinc = 'http://loinc.org'

test('a patient is registered once, seen, treated, moved to another clinic and summarised', async () => {
  const system = uniqueSystem()
  const identified = `identifier=${encodeURIComponent(`${system}|ART-1`)}`

  // Two desks register her at the same moment.
  const registration: Patient = {
    resourceType: 'Patient',
    identifier: [{ system, value: 'ART-1' }],
    name: [{ family: 'Nakato', given: ['Amina'] }],
    birthDate: '1990-05-01',
    gender: 'female',
  }
  const desks = await Promise.all([1, 2].map(() => post('Patient', registration, { 'if-none-exist': identified })))
  expect(desks.map(({ status }) => status).sort()).toEqual([200, 201])
  const [id] = idsIn(await bundle(`Patient?${identified}`))
  const subject = { reference: `Patient/${id}` }

  // The visit comes as one transaction.
  const [encounter, doctor] = [`urn:uuid:${randomUUID()}`, `urn:uuid:${randomUUID()}`]
  const entry = (resource: FhirResource, fullUrl = `urn:uuid:${randomUUID()}`): BundleEntry => ({
    fullUrl,
    resource,
    request: { method: 'POST', url: resource.resourceType },
  })
  const load = (value: number, date: string): Observation => ({
    resourceType: 'Observation',
    status: 'final',
    code: { coding: [{ system: loinc, code: '20447-9' }] },
    subject,
    encounter: { reference: encounter },
    performer: [{ reference: doctor }],
    effectiveDateTime: date,
    valueQuantity: { value, unit: 'copies/mL', system: 'http://unitsofmeasure.org', code: '{copies}/mL' },
  })
  const visit = await post('', {
    resourceType: 'Bundle',
    type: 'transaction',
    entry: [
      entry({ resourceType: 'Practitioner', name: [{ family: 'Okello' }] }, doctor),
      entry(
        {
          resourceType: 'Encounter',
          status: 'finished',
          class: { code: 'AMB' },
          subject,
          period: { start: '2024-03-01' },
        },
        encounter,
      ),
      entry(load(120000, '2024-03-01')),
      entry(load(48, '2024-09-01')),
      entry({
        resourceType: 'MedicationRequest',
        status: 'active',
        intent: 'order',
        medicationCodeableConcept: { text: 'TLD' },
        subject,
        requester: { reference: doctor },
      }),
    ],
  })
  expect([visit.status, visit.status === 200 ? '' : visit.text]).toEqual([200, ''])

  // Her treatment works: found by value, by her identifier, through the chain.
  const suppressed = 'value-quantity=lt50%7Chttp://unitsofmeasure.org%7C%7Bcopies%7D/mL'
  const found = await bundle(`Observation?code=20447-9&${suppressed}&patient.${identified}`)
  expect(entriesOf(found).map(({ resource }) => (resource as Observation).effectiveDateTime)).toEqual(['2024-09-01'])
  const latest = await bundle(`Observation/$lastn?patient=${id}&code=20447-9`)
  expect(entriesOf(latest).map(({ resource }) => (resource as Observation).valueQuantity?.value)).toEqual([48])

  // She moves; two people write at once, and neither change is lost.
  const { id: clinic } = resourceIn<FhirResource>(
    await post('Organization', { resourceType: 'Organization', name: 'Second Clinic' }),
  )
  const current = await get(`Patient/${id}`)
  const moved = { ...resourceIn<Patient>(current), managingOrganization: { reference: `Organization/${clinic}` } }
  const phoned = { ...resourceIn<Patient>(current), telecom: [{ system: 'phone' as const, value: '+256' }] }
  const match = { 'if-match': current.headers.get('etag')! }
  const both = await Promise.all([put(`Patient/${id}`, moved, match), put(`Patient/${id}`, phoned, match)])
  expect(both.map(({ status }) => status).sort()).toEqual([200, 412])
  await send('PATCH', `Patient/${id}`, {
    body: [
      { op: 'add', path: '/telecom', value: phoned.telecom },
      { op: 'add', path: '/managingOrganization', value: moved.managingOrganization },
    ],
    headers: { 'content-type': 'application/json-patch+json' },
  })
  expect(resourceIn<Patient>(await get(`Patient/${id}`))).toMatchObject({
    managingOrganization: moved.managingOrganization,
    telecom: phoned.telecom,
  })

  // The summary that is sent on is valid, and her whole record comes page by page as well as at once.
  const [doctorRef] = (resourceIn<Bundle>(visit).entry ?? []).map(({ response }) =>
    response!.location!.replace(/^.*(Practitioner\/[^/]+).*$/, '$1'),
  )
  const composition = await post('Composition', {
    resourceType: 'Composition',
    status: 'final',
    type: { text: 'Transfer letter' },
    subject,
    date: '2024-10-01',
    author: [{ reference: doctorRef }],
    title: 'Transfer letter',
    section: [{ title: 'Results', entry: idsIn(found).map((each) => ({ reference: `Observation/${each}` })) }],
  })
  const letter = resourceIn<Bundle>(await get(`Composition/${resourceIn<FhirResource>(composition).id}/$document`))
  expect(entriesOf(letter)).toHaveLength(4)
  const outcome = resourceIn<OperationOutcome>(await post('Bundle/$validate', letter))
  expect(outcome.issue.filter(({ severity }) => severity === 'error')).toEqual([])

  const record = entriesOf(await bundle(`Patient/${id}/$everything`)).map(({ fullUrl }) => fullUrl)
  const paged = (await allPages(`Patient/${id}/$everything?_count=3`))
    .flatMap((page) => entriesOf(page))
    .map(({ fullUrl }) => fullUrl)
  expect([...paged].sort()).toEqual([...record].sort())
  expect(record).toContain(`${baseUrl()}/Patient/${id}`)

  // A label marks the record for those who may see it, and the history tells when.
  const labels: Parameters = {
    resourceType: 'Parameters',
    parameter: [
      {
        name: 'meta',
        valueMeta: { security: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'HIV' }] },
      },
    ],
  }
  expect((await post(`Patient/${id}/$meta-add`, labels)).status).toBe(200)
  expect(idsIn(await bundle(`Patient?${identified}&_security=HIV`))).toEqual([id])
  const history = entriesOf(await bundle(`Patient/${id}/_history`)).map(
    ({ resource }) => (resource as Patient).meta?.security?.length ?? 0,
  )
  expect(history[0]).toBe(1)
  expect(history.at(-1)).toBe(0)
})
