/**
 * The audit log is added to, and never changed, by every route there is.
 *
 * https://hl7.org/fhir/R4/auditevent.html
 */
import { beforeAll, describe, expect, test } from '@jest/globals'
import type { AuditEvent } from 'fhir/r4.js'
import { get, post, put, send } from './audited.js'

const event: AuditEvent = {
  resourceType: 'AuditEvent',
  type: { system: 'http://terminology.hl7.org/CodeSystem/audit-event-type', code: 'rest' },
  recorded: '2020-01-02T03:04:05Z',
  agent: [{ requestor: true, who: { display: 'a device' } }],
  source: { observer: { display: 'a device' } },
}

let id: string
let before: string

beforeAll(async () => {
  const { status, body, text } = await post('AuditEvent', event)
  if (status !== 201) throw new Error(text)
  id = (body as AuditEvent).id!
  before = (await get(`AuditEvent/${id}`)).text
})

const changed = () => ({ ...event, id, outcome: '8' })
const bundle = (type: string, entry: object[]) => ({ resourceType: 'Bundle', type, entry })
const jsonPatch = { 'content-type': 'application/json-patch+json' }
const meta = {
  resourceType: 'Parameters',
  parameter: [{ name: 'meta', valueMeta: { tag: [{ system: 'urn:x', code: 'y' }] } }],
}

const routes: [string, () => Promise<{ status: number; text: string }>][] = [
  ['update', () => put(`AuditEvent/${id}`, changed())],
  ['update as create', () => put('AuditEvent/of-mine', { ...event, id: 'of-mine' })],
  ['conditional update', () => put('AuditEvent?type=rest', event)],
  ['conditional update that finds nothing', () => put('AuditEvent?type=nothing-like-this', event)],
  ['patch', () => send('PATCH', `AuditEvent/${id}`, [{ op: 'add', path: '/outcome', value: '8' }], jsonPatch)],
  ['conditional patch', () => send('PATCH', 'AuditEvent?type=rest', [{ op: 'remove', path: '/outcome' }], jsonPatch)],
  ['delete', () => send('DELETE', `AuditEvent/${id}`)],
  ['delete of what is not there', () => send('DELETE', 'AuditEvent/never-there')],
  ['conditional delete', () => send('DELETE', 'AuditEvent?type=rest')],
  ['$meta-add', () => post(`AuditEvent/${id}/$meta-add`, meta)],
  ['$meta-delete', () => post(`AuditEvent/${id}/$meta-delete`, meta)],
]

describe('405 to', () => {
  test.each(routes)('%s', async (_, route) => {
    const { status, text } = await route()
    expect(status).toBe(405)
    expect(JSON.parse(text)).toMatchObject({ resourceType: 'OperationOutcome' })
    expect((await get(`AuditEvent/${id}`)).text).toBe(before)
  })

  const entries: [string, () => object][] = [
    ['a create', () => ({ request: { method: 'POST', url: 'AuditEvent' }, resource: event })],
    ['an update', () => ({ request: { method: 'PUT', url: `AuditEvent/${id}` }, resource: changed() })],
    ['a conditional update', () => ({ request: { method: 'PUT', url: 'AuditEvent?type=rest' }, resource: event })],
    ['a delete', () => ({ request: { method: 'DELETE', url: `AuditEvent/${id}` } })],
    ['a conditional delete', () => ({ request: { method: 'DELETE', url: 'AuditEvent?type=rest' } })],
    [
      'a patch',
      () => ({
        request: { method: 'PATCH', url: `AuditEvent/${id}` },
        resource: {
          resourceType: 'Binary',
          contentType: 'application/json-patch+json',
          data: Buffer.from('[{"op":"add","path":"/outcome","value":"8"}]').toString('base64'),
        },
      }),
    ],
  ]

  test.each(entries)('%s in a transaction, of which nothing remains', async (_, entry) => {
    const patient = { resourceType: 'Patient', id: 'beside', active: true }
    const other = { request: { method: 'PUT', url: 'Patient/beside' }, resource: patient }
    const { status } = await post('', bundle('transaction', [other, entry()]))
    expect(status).toBe(405)
    expect((await get('Patient/beside')).status).toBe(404)
    expect((await get(`AuditEvent/${id}`)).text).toBe(before)
  })

  test.each(entries.slice(1))('%s in a batch', async (_, entry) => {
    const { body } = await post('', bundle('batch', [entry()]))
    expect(body).toMatchObject({ entry: [{ response: { status: '405 Method Not Allowed' } }] })
    expect((await get(`AuditEvent/${id}`)).text).toBe(before)
  })
})

describe('a client may add', () => {
  test('an event, and reads it as it was sent', async () => {
    const sent = {
      ...event,
      entity: [{ detail: [{ type: 'dose', valueString: '1.00' }] }],
      extension: [{ url: 'urn:x', valueDecimal: 1 }],
    }
    const answer = await send(
      'POST',
      'AuditEvent',
      JSON.stringify(sent).replace('"valueDecimal":1', '"valueDecimal":1.00'),
    )
    expect(answer.status).toBe(201)
    const { id, meta, ...content } = answer.body as AuditEvent
    expect(content).toEqual(sent)
    expect(meta).toMatchObject({ versionId: '1' })
    const read = await get(`AuditEvent/${id}`)
    expect(read.text).toBe(answer.text)
    expect(read.text).toContain('"valueDecimal":1.00')
    expect(answer.headers.get('location')).toContain(`/AuditEvent/${id}/_history/1`)
  })

  test('one in a batch', async () => {
    const entry = { request: { method: 'POST', url: 'AuditEvent' }, resource: event }
    const { body } = await post('', bundle('batch', [entry]))
    expect(body).toMatchObject({ entry: [{ response: { status: '201 Created' } }] })
  })

  test('one that follows no profile, but not one that is no AuditEvent', async () => {
    expect((await post('AuditEvent', { ...event, type: { code: 'mine' } })).status).toBe(201)
    const { source: _, ...without } = event
    expect((await post('AuditEvent', without)).status).toBe(400)
    expect((await post('AuditEvent', { ...event, nonsense: 1 })).status).toBe(400)
  })

  test('one for each Idempotency-Key', async () => {
    const headers = { 'idempotency-key': `key-${Date.now()}` }
    const first = await post('AuditEvent', event, headers)
    const again = await post('AuditEvent', event, headers)
    expect([first.status, again.status]).toEqual([201, 200])
    expect((again.body as AuditEvent).id).toBe((first.body as AuditEvent).id)
    expect((await post('AuditEvent', { ...event, outcome: '4' }, headers)).status).toBe(422)
  })

  test('none on a condition', async () =>
    expect((await post('AuditEvent', event, { 'if-none-exist': 'type=rest' })).status).toBe(400))
})
