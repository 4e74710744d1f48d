import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { type Json, parseJson, type Resource } from '../fhir/index.js'
import type { BatchRequest } from './context.js'
import { create } from './create.js'
import { history } from './history.js'
import { bundle } from './process-bundle.js'
import { read } from './read.js'
import { baseUrl, contentOf, countOf, dispatchTo, failureOf, type World, world } from './testing.js'
import { update } from './update.js'

let context: World
beforeEach(async () => {
  context = await world()
})
afterEach(() => context.close())

const transact = (entry: Json[], options = {}) =>
  bundle(context, { resourceType: 'Bundle', type: 'transaction', entry }, dispatchTo(context), options)

const post = (resource: Resource, fullUrl?: string, more: { [name: string]: Json } = {}): Json => ({
  ...(fullUrl !== undefined && { fullUrl }),
  resource,
  request: { method: 'POST', url: resource.resourceType, ...more },
})
const put = (
  resource: Resource,
  url = `${resource.resourceType}/${resource.id}`,
  more: { [name: string]: Json } = {},
): Json => ({
  resource,
  request: { method: 'PUT', url, ...more },
})
const del = (url: string): Json => ({ request: { method: 'DELETE', url } })

const patient = (members: object = {}): Resource => ({ resourceType: 'Patient', ...members })
const identified = (value: string, members: object = {}) =>
  patient({ identifier: [{ system: 'urn:mrn', value }], ...members })
const observation = (reference: string, members: object = {}): Resource => ({
  resourceType: 'Observation',
  status: 'final',
  code: { text: 'x' },
  subject: { reference },
  ...members,
})
const urn = (n: number) => `urn:uuid:00000000-0000-4000-8000-${String(n).padStart(12, '0')}`
/** The content of what an entry of the response is about. */
const contentAt = async (location: string | undefined) => {
  const [type = '', id = ''] = location?.split('/') ?? []
  return contentOf(context, type, id)
}
const statuses = (answer: Awaited<ReturnType<typeof transact>>) => answer.entries.map(({ status }) => status)

describe('a transaction', () => {
  test('answers each entry in the order of the request', async () => {
    await update(context, { type: 'Patient', id: 'gone' }, patient({ id: 'gone' }))
    await update(context, { type: 'Patient', id: 'p' }, patient({ id: 'p' }))
    const answer = await transact([
      { request: { method: 'GET', url: 'Patient/p' } },
      put(patient({ id: 'p', active: true })),
      post(patient({ gender: 'male' })),
      del('Patient/gone'),
    ])
    expect(answer.type).toBe('transaction-response')
    expect(statuses(answer)).toEqual([200, 200, 201, 204])
    const [got, updated, created, deleted] = answer.entries
    expect(parseJson(got!.body!)).toMatchObject({ active: true, meta: { versionId: '2' } })
    expect(updated).toMatchObject({ location: 'Patient/p/_history/2', etag: 'W/"2"' })
    expect(created!.location).toMatch(/^Patient\/[^/]+\/_history\/1$/)
    expect(deleted).toMatchObject({ etag: 'W/"2"' })
  })

  test('without entries succeeds', async () => {
    expect((await transact([])).entries).toEqual([])
    expect(
      (await bundle(context, { resourceType: 'Bundle', type: 'transaction' }, dispatchTo(context))).entries,
    ).toEqual([])
  })

  test('that fails in one entry stores nothing', async () => {
    for (const id of ['p', 'q']) await update(context, { type: 'Patient', id }, patient({ id }))
    const failing: [Json, number][] = [
      [post({ resourceType: 'Observation', status: 'final' }), 400],
      [post(observation('Patient/nowhere')), 422],
      [put(patient({ id: 'p', active: true }), 'Patient/p', { ifMatch: 'W/"7"' }), 412],
      [post(observation('Patient?identifier=urn:mrn|none')), 400],
      [{ request: { method: 'GET', url: 'Patient/nowhere' } }, 404],
      [{ request: { method: 'POST', url: 'Patient' } }, 400],
    ]
    for (const [entry, expected] of failing) {
      const { status, issues } = await failureOf(transact([post(patient()), del('Patient/q'), entry]))
      expect([status, issues[0]!.expression?.[0]]).toEqual([expected, expect.stringMatching(/^Bundle\.entry\[2\]/)])
    }
    expect(await countOf(context, 'Patient')).toBe(2)
    const { found } = await history(context, { parameters: [] })
    expect(found.matches).toHaveLength(2)
  })

  test('tells all that is structurally wrong at once, with its place', async () => {
    const { status, issues } = await failureOf(
      transact([post(patient({ birthDate: 'x' })), post(patient()), post(patient({ active: 'yes' }))]),
    )
    expect(status).toBe(400)
    expect(issues.map(({ expression }) => expression![0])).toEqual([
      'Bundle.entry[0].resource.birthDate',
      'Bundle.entry[2].resource.active',
    ])
  })

  test('the order of the entries does not matter: deletes, creates, updates, reads', async () => {
    await create(context, identified('1'), {})
    const [existing] = (await history(context, { parameters: [] })).found.matches
    const answer = await transact([
      post(identified('1', { active: true }), undefined, { ifNoneExist: 'identifier=urn:mrn|1' }),
      del(`Patient/${existing!.stored.id}`),
    ])
    expect(statuses(answer)).toEqual([201, 204])
    expect(await countOf(context, 'Patient')).toBe(1)
  })

  test('shows resources or outcomes where they are preferred', async () => {
    const minimal = await transact([post(patient())])
    expect(minimal.entries[0]).not.toHaveProperty('body')
    const whole = await transact([post(patient({ active: true }))], { prefer: 'representation' })
    expect(parseJson(whole.entries[0]!.body!)).toMatchObject({ active: true })
    expect(whole.entries[0]!.fullUrl).toMatch(`${baseUrl}/Patient/`)
    const told = await transact([post(patient())], { prefer: 'OperationOutcome' })
    expect(told.entries[0]!.outcome).toMatchObject({ resourceType: 'OperationOutcome' })
  })

  test('sent twice with the same Idempotency-Key is done once and answered the same', async () => {
    const entries = [post(patient({ active: true }), urn(1)), post(observation(urn(1)))]
    const options = { idempotencyKey: 'k', prefer: 'representation' }
    const first = await transact(entries, options)
    expect(await transact(entries, options)).toEqual(first)
    expect(await countOf(context, 'Patient')).toBe(1)
    expect((await failureOf(transact([post(patient())], options))).status).toBe(422)
  })

  test('keeps the digits of decimals', async () => {
    const text = `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"${urn(1)}"},"valueQuantity":{"value":1.0e2}}`
    const answer = await transact([post(patient(), urn(1)), post(parseJson(text) as Resource)])
    const [type = '', id = ''] = answer.entries[1]!.location!.split('/')
    expect((await read(context, { type, id })).body.toString()).toContain('"value":1.0e2')
  })
})

describe('links inside a transaction', () => {
  test('to the fullUrl of another entry become references to what it made, in a circle, too', async () => {
    const answer = await transact([
      post(patient({ link: [{ other: { reference: urn(2) }, type: 'seealso' }] }), urn(1)),
      post(patient({ link: [{ other: { reference: urn(1) }, type: 'seealso' }] }), urn(2)),
    ])
    const [first, second] = answer.entries.map(({ location }) => location!.replace('/_history/1', ''))
    expect(await contentAt(first)).toMatchObject({ link: [{ other: { reference: second } }] })
    expect(await contentAt(second)).toMatchObject({ link: [{ other: { reference: first } }] })
  })

  test('are replaced in references, url elements and the narrative, and nowhere else', async () => {
    const answer = await transact([
      post(patient(), urn(1)),
      post(
        {
          resourceType: 'DocumentReference',
          status: 'current',
          text: {
            status: 'generated',
            div: `<div xmlns="http://www.w3.org/1999/xhtml"><a href="${urn(1)}">x</a></div>`,
          },
          identifier: [{ system: 'urn:ietf:rfc:3986', value: urn(1) }],
          extension: [
            { url: 'http://x', valueCanonical: urn(1) },
            { url: 'http://x', valueUri: urn(1) },
          ],
          subject: { reference: urn(1) },
          content: [{ attachment: { url: urn(1) } }],
        },
        urn(2),
      ),
    ])
    const made = answer.entries[0]!.location!.replace('/_history/1', '')
    expect(await contentAt(answer.entries[1]!.location)).toMatchObject({
      text: { div: `<div xmlns="http://www.w3.org/1999/xhtml"><a href="${made}">x</a></div>` },
      identifier: [{ value: urn(1) }],
      extension: [{ valueCanonical: urn(1) }, { valueUri: made }],
      subject: { reference: made },
      content: [{ attachment: { url: made } }],
    })
  })

  test('relative ones are read against the fullUrl of their own entry', async () => {
    const answer = await transact([
      post(patient({ id: '1' }), 'http://source.test/fhir/Patient/1'),
      post(observation('Patient/1'), 'http://source.test/fhir/Observation/1'),
      post(observation('http://source.test/fhir/Patient/1'), urn(1)),
    ])
    const made = answer.entries[0]!.location!.replace('/_history/1', '')
    expect(await contentAt(answer.entries[1]!.location)).toMatchObject({ subject: { reference: made } })
    expect(await contentAt(answer.entries[2]!.location)).toMatchObject({ subject: { reference: made } })
  })

  test('to type and id of an entry that has no fullUrl', async () => {
    const answer = await transact([post(patient({ id: 'x' })), post(observation('Patient/x'))])
    const made = answer.entries[0]!.location!.replace('/_history/1', '')
    expect(await contentAt(answer.entries[1]!.location)).toMatchObject({ subject: { reference: made } })
  })

  test('to what is not in the Bundle are left as they are', async () => {
    await update(context, { type: 'Patient', id: 'p' }, patient({ id: 'p' }))
    const answer = await transact([
      post(observation('Patient/p'), 'http://source.test/fhir/Observation/1'),
      post(observation('http://other.test/fhir/Patient/1')),
    ])
    const references = await Promise.all(answer.entries.map(({ location }) => contentAt(location)))
    expect(references.map(({ subject }) => subject)).toEqual([
      { reference: 'Patient/p' },
      { reference: 'http://other.test/fhir/Patient/1' },
    ])
  })

  test('to a urn that no entry has fail the transaction, unless integrity is off', async () => {
    const { status, issues } = await failureOf(transact([post(patient()), post(observation(urn(9)))]))
    expect([status, issues[0]!.expression]).toEqual([400, ['Bundle.entry[1]']])
    context.settings.integrity = false
    const answer = await transact([post(observation(urn(9)))])
    expect(await contentAt(answer.entries[0]!.location)).toMatchObject({ subject: { reference: urn(9) } })
  })

  test('of an update map the fullUrl to our own address', async () => {
    const answer = await transact([
      { fullUrl: 'http://source.test/fhir/Patient/p', ...(put(patient({ id: 'p' })) as object) } as Json,
      post(observation('http://source.test/fhir/Patient/p')),
    ])
    expect(statuses(answer)).toEqual([201, 201])
    expect(await contentAt(answer.entries[1]!.location)).toMatchObject({ subject: { reference: 'Patient/p' } })
  })

  test('that name a version name the version that the transaction makes', async () => {
    await update(context, { type: 'Patient', id: 'p' }, patient({ id: 'p' }))
    await update(context, { type: 'Patient', id: 'same' }, patient({ id: 'same' }))
    const answer = await transact([
      post(patient(), urn(1)),
      put(patient({ id: 'p', active: true })),
      put(patient({ id: 'same' })),
      post(observation(`${urn(1)}/_history/77`)),
      post(observation('Patient/p/_history/77')),
      post(observation('Patient/same/_history/77')),
    ])
    const references = await Promise.all(answer.entries.slice(3).map(({ location }) => contentAt(location)))
    expect(references.map(({ subject }) => subject)).toEqual([
      { reference: answer.entries[0]!.location },
      { reference: 'Patient/p/_history/2' },
      { reference: 'Patient/same/_history/1' },
    ])
    expect(statuses(answer)).toEqual([201, 200, 200, 201, 201, 201])
  })
})

describe('references by search', () => {
  const bySearch = 'Patient?identifier=urn:mrn|1'

  test('become a reference to the one match', async () => {
    const { stored } = await create(context, identified('1'))
    const answer = await transact([post(observation(bySearch))])
    expect(await contentAt(answer.entries[0]!.location)).toMatchObject({
      subject: { reference: `Patient/${stored.id}` },
    })
  })

  test('find what the transaction itself creates', async () => {
    const answer = await transact([post(observation(bySearch)), post(identified('1'))])
    const made = answer.entries[1]!.location!.replace('/_history/1', '')
    expect(await contentAt(answer.entries[0]!.location)).toMatchObject({ subject: { reference: made } })
  })

  test('do not find what it deletes, nor what no longer matches once it is updated', async () => {
    await update(context, { type: 'Patient', id: 'p' }, identified('1', { id: 'p' }))
    expect((await failureOf(transact([post(observation(bySearch)), del('Patient/p')]))).status).toBe(400)
    const changed = put(identified('2', { id: 'p' }))
    expect((await failureOf(transact([post(observation(bySearch)), changed]))).status).toBe(400)
    expect((await transact([post(observation('Patient?identifier=urn:mrn|2')), changed])).entries).toHaveLength(2)
  })

  test('that match nothing, or several, fail the transaction', async () => {
    const none = await failureOf(transact([post(observation(bySearch))]))
    expect([none.status, none.issues[0]!.code]).toEqual([400, 'not-found'])
    await create(context, identified('1'))
    await create(context, identified('1'))
    const several = await failureOf(transact([post(observation(bySearch))]))
    expect([several.status, several.issues[0]!.code]).toEqual([412, 'multiple-matches'])
    expect(several.issues[0]!.diagnostics).not.toContain('urn:mrn')
  })

  test.each(['Patient?', 'Patient?colour=red', 'Patient?_sort=name&identifier=a|b', 'Patience?identifier=a|b'])(
    '%s is refused',
    async (reference) => {
      expect((await failureOf(transact([post(observation(reference))]))).status).toBe(400)
    },
  )
})

describe('conditional entries', () => {
  test('create: links lead to the one that exists, which stays as it is', async () => {
    const { stored } = await create(context, identified('1'))
    const answer = await transact([
      post(identified('1', { active: true }), urn(1), { ifNoneExist: 'identifier=urn:mrn|1' }),
      post(observation(urn(1))),
    ])
    expect(answer.entries[0]).toMatchObject({ status: 200, location: `Patient/${stored.id}/_history/1` })
    expect(await contentAt(answer.entries[1]!.location)).toMatchObject({
      subject: { reference: `Patient/${stored.id}` },
    })
  })

  test('create: several matches are 412', async () => {
    await create(context, identified('1'))
    await create(context, identified('1'))
    const entry = post(identified('1'), urn(1), { ifNoneExist: 'identifier=urn:mrn|1' })
    expect((await failureOf(transact([entry]))).status).toBe(412)
  })

  test('update: creates, updates, and refuses as a conditional update does', async () => {
    const conditional = (resource: Resource) => put(resource, 'Patient?identifier=urn:mrn|1')
    expect(statuses(await transact([conditional(identified('1'))]))).toEqual([201])
    expect(statuses(await transact([conditional(identified('1', { active: true }))]))).toEqual([200])
    expect((await failureOf(transact([conditional(identified('1', { id: 'other' }))]))).status).toBe(400)
    await update(context, { type: 'Patient', id: 'taken' }, patient({ id: 'taken' }))
    const taken = put(identified('3', { id: 'taken' }), 'Patient?identifier=urn:mrn|3')
    expect((await failureOf(transact([taken]))).status).toBe(409)
  })

  test('delete: all that match, with what refers to them in the same transaction', async () => {
    await update(context, { type: 'Patient', id: 'p' }, identified('1', { id: 'p' }))
    await update(context, { type: 'Observation', id: 'o' }, observation('Patient/p', { id: 'o' }))
    expect((await failureOf(transact([del('Patient?identifier=urn:mrn|1')]))).status).toBe(409)
    const answer = await transact([
      del('Patient?identifier=urn:mrn|1'),
      del('Observation/o'),
      del('Patient?identifier=none'),
    ])
    expect(statuses(answer)).toEqual([204, 204, 204])
    expect(await countOf(context, 'Patient')).toBe(0)
  })

  test('patch: by id and by criteria, JSON and FHIRPath', async () => {
    await update(context, { type: 'Patient', id: 'p' }, identified('1', { id: 'p', active: true }))
    await update(context, { type: 'Patient', id: 'q' }, identified('2', { id: 'q', active: true }))
    const operations = JSON.stringify([
      { op: 'replace', path: '/active', value: false },
      { op: 'add', path: '/managingOrganization', value: { reference: urn(1) } },
    ])
    const jsonPatch = {
      resourceType: 'Binary',
      contentType: 'application/json-patch+json',
      data: Buffer.from(operations).toString('base64'),
    }
    const part = [
      { name: 'type', valueCode: 'replace' },
      { name: 'path', valueString: 'Patient.active' },
      { name: 'value', valueBoolean: false },
    ]
    const answer = await transact([
      post({ resourceType: 'Organization', name: 'x' }, urn(1)),
      { resource: jsonPatch, request: { method: 'PATCH', url: 'Patient/p' } },
      {
        resource: { resourceType: 'Parameters', parameter: [{ name: 'operation', part }] },
        request: { method: 'PATCH', url: 'Patient?identifier=urn:mrn|2' },
      },
    ])
    expect(statuses(answer)).toEqual([201, 200, 200])
    const organization = answer.entries[0]!.location!.replace('/_history/1', '')
    expect(await contentOf(context, 'Patient', 'p')).toMatchObject({
      active: false,
      managingOrganization: { reference: organization },
    })
    expect(await contentOf(context, 'Patient', 'q')).toMatchObject({ active: false })
  })

  test('criteria may name other entries', async () => {
    const { stored } = await create(context, identified('1'))
    await update(context, { type: 'Observation', id: 'o' }, observation(`Patient/${stored.id}`, { id: 'o' }))
    const answer = await transact([
      post(observation(urn(1)), urn(2), { ifNoneExist: `subject=${urn(1)}` }),
      post(identified('1'), urn(1), { ifNoneExist: 'identifier=urn:mrn|1' }),
    ])
    expect(statuses(answer)).toEqual([200, 200])
  })

  test('criteria that wait for each other are refused', async () => {
    const { status } = await failureOf(
      transact([
        post(observation(urn(2)), urn(1), { ifNoneExist: `focus=${urn(2)}` }),
        post(observation(urn(1)), urn(2), { ifNoneExist: `focus=${urn(1)}` }),
      ]),
    )
    expect(status).toBe(400)
  })
})

describe('claims on the same resource', () => {
  const criteria = { ifNoneExist: 'identifier=urn:mrn|1' }
  test.each<[string, () => Json[]]>([
    ['two updates', () => [put(patient({ id: 'p' })), put(patient({ id: 'p', active: true }))]],
    ['a create by update and a delete', () => [put(patient({ id: 'new' })), del('Patient/new')]],
    ['an update and a delete', () => [put(patient({ id: 'p' })), del('Patient/p')]],
    [
      'a conditional and a plain update',
      () => [put(identified('1', { id: 'p' })), put(identified('1'), 'Patient?identifier=urn:mrn|1')],
    ],
    ['two conditional deletes', () => [del('Patient?identifier=urn:mrn|1'), del('Patient?identifier=urn:mrn|1')]],
    ['the same fullUrl twice', () => [post(patient(), urn(1)), post(patient(), urn(1))]],
    [
      'two conditional creates of the same',
      () => [
        post(identified('5'), urn(1), { ifNoneExist: 'identifier=urn:mrn|5' }),
        post(identified('5'), urn(2), { ifNoneExist: 'identifier=urn:mrn|5' }),
      ],
    ],
    [
      'a conditional create and a create of the same',
      () => [post(identified('5'), urn(1), { ifNoneExist: 'identifier=urn:mrn|5' }), post(identified('5'))],
    ],
    [
      'a conditional update and a create of the same',
      () => [put(identified('5'), 'Patient?identifier=urn:mrn|5'), post(identified('5'))],
    ],
  ])('%s fail the transaction', async (_, entries) => {
    await update(context, { type: 'Patient', id: 'p' }, identified('1', { id: 'p' }))
    const before = (await history(context, { parameters: [] })).found.matches.length
    expect((await failureOf(transact(entries()))).status).toBe(400)
    expect((await history(context, { parameters: [] })).found.matches).toHaveLength(before)
  })

  test('two conditional creates that find the same are both answered with it', async () => {
    await create(context, identified('1'))
    expect(
      statuses(await transact([post(identified('1'), urn(1), criteria), post(identified('1'), urn(2), criteria)])),
    ).toEqual([200, 200])
  })

  test('of many transactions with the same conditional create, one creates', async () => {
    const all = await Promise.all(
      Array.from({ length: 16 }, () => transact([post(identified('1'), urn(1), criteria), post(observation(urn(1)))])),
    )
    expect(all.map(({ entries }) => entries[0]!.status).filter((status) => status === 201)).toHaveLength(1)
    expect(await countOf(context, 'Patient')).toBe(1)
    expect(await countOf(context, 'Observation')).toBe(16)
  })
})

describe('what is no transaction', () => {
  const answerTo = (members: object) =>
    failureOf(bundle(context, { resourceType: 'Bundle', ...members }, dispatchTo(context)))
  test.each([
    ['a collection', { type: 'collection' }],
    ['no type', {}],
    ['a type that is a number', { type: 3 }],
    ['entries that are no list', { type: 'transaction', entry: {} }],
    ['an entry that is null', { type: 'transaction', entry: [null] }],
    [
      'an operation that may change state',
      {
        type: 'transaction',
        entry: [{ request: { method: 'POST', url: 'Patient/p/$meta-add' }, resource: { resourceType: 'Parameters' } }],
      },
    ],
    ['another resource', { resourceType: 'Patient' }],
  ])('%s is 400', async (_, members) => expect((await answerTo(members)).status).toBe(400))

  test('more entries than the server takes are 413', async () => {
    const small = { ...context, settings: { ...context.settings, bundleEntriesMax: 1 } }
    const entry = [post(patient()), post(patient())]
    expect(
      (await failureOf(bundle(small, { resourceType: 'Bundle', type: 'batch', entry }, dispatchTo(context)))).status,
    ).toBe(413)
  })
})

// https://hl7.org/fhir/R4/bundle-transaction.json.html, its narratives and demographics left out
test('the example of the specification is carried out', async () => {
  const id = { system: 'http:/example.org/fhir/ids' }
  const entry: Json[] = [
    post(patient(), 'urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a'),
    post(patient({ identifier: [{ ...id, value: '234234' }] }), 'urn:uuid:88f151c0-a954-468a-88bd-5ae15c08e059', {
      ifNoneExist: 'identifier=http:/example.org/fhir/ids|234234',
    }),
    put(patient({ id: '123' })),
    put(patient({ identifier: [{ ...id, value: '456456' }] }), 'Patient?identifier=http:/example.org/fhir/ids|456456'),
    put(patient({ id: '123a', active: true }), 'Patient/123a', { ifMatch: 'W/"2"' }),
    del('Patient/234'),
    del('Patient?identifier=123456'),
    { resource: { resourceType: 'Parameters' }, request: { method: 'POST', url: 'ValueSet/$lookup' } },
    { request: { method: 'GET', url: 'Patient?name=peter' } },
    {
      request: {
        method: 'GET',
        url: 'Patient/12334',
        ifNoneMatch: 'W/"4"',
        ifModifiedSince: '2015-08-31T08:14:33+10:00',
      },
    },
  ]
  for (const gender of ['male', 'female'])
    await update(context, { type: 'Patient', id: '123a' }, patient({ id: '123a', gender }))
  const asked: string[] = []
  const dispatch = Object.assign(
    async ({ method, url }: BatchRequest) => {
      asked.push(`${method} ${url}`)
      return { status: url === 'Patient/12334' ? 304 : 200 }
    },
    { affectsState: () => false },
  )
  const answer = await bundle(context, { resourceType: 'Bundle', type: 'transaction', entry }, dispatch)
  expect(statuses(answer)).toEqual([201, 201, 201, 201, 200, 204, 204, 200, 200, 304])
  expect(new Set(asked)).toEqual(new Set(['POST ValueSet/$lookup', 'GET Patient?name=peter', 'GET Patient/12334']))
})
