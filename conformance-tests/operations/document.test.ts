/**
 * $document: a Composition and all it refers to, as one Bundle.
 *
 * https://hl7.org/fhir/R4/composition-operation-document.html
 */
import { beforeAll, describe, expect, test } from '@jest/globals'
import type { Bundle, Composition } from 'fhir/r4.js'
import { type World, world } from '../search/world.js'
import { bundle, expectOutcome, get, post, resourceIn, unique } from '../server.js'

let w: World

const composition = (more: Partial<Composition>): Composition => ({
  resourceType: 'Composition',
  status: 'final',
  type: { text: 'Summary' },
  date: '2024-01-01',
  title: 'Summary',
  author: [{ display: 'x' }],
  ...more,
})

beforeAll(async () => {
  w = await world({
    amina: { resourceType: 'Patient' },
    doctor: { resourceType: 'Practitioner' },
    hospital: { resourceType: 'Organization', name: 'X' },
    seen: ({ amina }) => ({
      resourceType: 'Observation',
      status: 'final',
      code: { text: 'x' },
      subject: { reference: amina! },
    }),
    stranger: { resourceType: 'Organization', name: 'Not referred to' },
    summary: ({ amina, doctor, hospital, seen }) =>
      composition({
        subject: { reference: amina! },
        author: [{ reference: doctor! }],
        custodian: { reference: hospital! },
        section: [
          {
            title: 'S',
            entry: [{ reference: seen! }],
            section: [
              {
                title: 'T',
                author: [{ reference: doctor! }],
                text: { status: 'generated', div: '<div xmlns="http://www.w3.org/1999/xhtml">t</div>' },
              },
            ],
          },
        ],
      }),
    abroad: composition({ author: [{ reference: 'http://elsewhere.example/fhir/Practitioner/1' }] }),
  })
})

describe('$document', () => {
  test('is a Bundle of type document that begins with the Composition', async () => {
    const answer = await bundle(`${w.refs['summary']}/$document`)
    expect(answer.type).toBe('document')
    expect(answer.identifier).toMatchObject({ system: expect.any(String), value: expect.any(String) })
    expect(answer.timestamp).toBeTruthy()
    expect(w.names(answer)[0]).toBe('summary')
    expect(w.names(answer).sort()).toEqual(['amina', 'doctor', 'hospital', 'seen', 'summary'])
    const urls = answer.entry!.map(({ fullUrl }) => fullUrl)
    expect(new Set(urls).size).toBe(urls.length)
  })

  test('Composition/$document?id= is the same', async () => {
    const id = w.refs['summary']!.split('/')[1]!
    expect(w.names(await bundle(`Composition/$document?id=${id}`))).toHaveLength(5)
    expectOutcome(await get(`${w.refs['summary']}/$document?id=${id}`), 400)
    expectOutcome(await get('Composition/$document'), 400)
  })

  test('persist=true stores it', async () => {
    const answer = await post(`${w.refs['summary']}/$document?persist=true`, undefined)
    expect([200, 201]).toContain(answer.status)
    const { id } = resourceIn<Bundle>(answer)
    expect(answer.headers.get('location')).toContain(`Bundle/${id}`)
    expect(resourceIn<Bundle>(await get(`Bundle/${id}`)).type).toBe('document')
    expect((await get(`${w.refs['summary']}/$document?persist=perhaps`)).status).toBe(400)
  })

  test('what it cannot make whole it refuses', async () => {
    expectOutcome(await get(`${w.refs['abroad']}/$document`), [400, 404, 422])
    expectOutcome(await get(`Composition/${unique()}/$document`), 404)
    expectOutcome(await get(`${w.refs['summary']}/$document?graph=http://x.example/g`), [400, 404, 422])
  })
})
