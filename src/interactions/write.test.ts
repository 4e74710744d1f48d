import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { parseJson, type Resource } from '../fhir/index.js'
import { conditionalUpdate } from './conditional-update.js'
import { create } from './create.js'
import { conditionalDelete, remove } from './delete.js'
import { history } from './history.js'
import { conditionalPatch, patch } from './patch.js'
import { read } from './read.js'
import { baseUrl, contentOf, countOf, failureOf, type World, world } from './testing.js'
import { update } from './update.js'
import { vread } from './vread.js'

let context: World
beforeEach(async () => {
  context = await world()
})
afterEach(() => context.close())

const patient = (members: object = {}): Resource => ({ resourceType: 'Patient', ...members })
const identified = (value: string, members: object = {}) =>
  patient({ identifier: [{ system: 'urn:mrn', value }], ...members })
const versions = async (type: string, id: string) =>
  (await history(context, { type, id, parameters: [['_count', '100']] })).found.matches.map(
    ({ stored }) => stored.version,
  )
const refTo = (id: string) => ({ type: 'Patient', id })

describe('create', () => {
  test('assigns the id, and ignores id, versionId and lastUpdated of the client', async () => {
    const meta = { versionId: '7', lastUpdated: '2001-01-01T00:00:00Z', tag: [{ code: 'kept' }] }
    const { outcome, stored } = await create(context, patient({ id: 'mine', meta, active: true }))
    expect(outcome).toBe('created')
    expect(stored.id).not.toBe('mine')
    const resource = parseJson(stored.body) as Resource
    expect(resource).toMatchObject({ id: stored.id, active: true, meta: { versionId: '1', tag: [{ code: 'kept' }] } })
    expect(resource['meta']).not.toMatchObject({ lastUpdated: '2001-01-01T00:00:00Z' })
    expect((await read(context, stored)).body).toEqual(stored.body)
  })

  test('refuses what is structurally wrong, and stores nothing', async () => {
    const { status } = await failureOf(create(context, patient({ birthDate: 'yesterday', colour: 'red' })))
    expect(status).toBe(400)
    expect(await countOf(context, 'Patient')).toBe(0)
  })

  test('makes absolute references to this server relative, and leaves others', async () => {
    const { stored: organization } = await create(context, { resourceType: 'Organization', name: 'A' })
    const { stored } = await create(
      context,
      patient({
        managingOrganization: { reference: `${baseUrl}/Organization/${organization.id}` },
        generalPractitioner: [{ reference: 'http://other.test/fhir/Practitioner/1' }],
      }),
    )
    expect(await contentOf(context, 'Patient', stored.id)).toMatchObject({
      managingOrganization: { reference: `Organization/${organization.id}` },
      generalPractitioner: [{ reference: 'http://other.test/fhir/Practitioner/1' }],
    })
  })

  test('refuses a reference to what is not there, unless integrity is off', async () => {
    const dangling = patient({ managingOrganization: { reference: 'Organization/nowhere' } })
    expect((await failureOf(create(context, dangling))).status).toBe(422)
    const loose = { ...context, settings: { ...context.settings, integrity: false } }
    expect((await create(loose, dangling)).outcome).toBe('created')
  })

  test('refuses a reference by search outside a transaction', async () => {
    const { status } = await failureOf(
      create(context, patient({ managingOrganization: { reference: 'Organization?identifier=a|b' } })),
    )
    expect(status).toBe(400)
  })

  test('keeps the digits of decimals', async () => {
    const text = '{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.00}}'
    const { stored } = await create(context, parseJson(text) as Resource)
    expect(stored.body.toString()).toContain('"value":1.00')
  })
})

describe('conditional create', () => {
  const ifNoneExist = 'identifier=urn:mrn|1'

  test('creates when nothing matches, and gives back the one that matches', async () => {
    const first = await create(context, identified('1'), { ifNoneExist })
    expect(first.outcome).toBe('created')
    const second = await create(context, identified('1', { active: true }), { ifNoneExist })
    expect(second).toMatchObject({ outcome: 'unchanged', stored: { id: first.stored.id, version: 1 } })
    expect(await countOf(context, 'Patient')).toBe(1)
  })

  test('fails with 412 when several match', async () => {
    await create(context, identified('1'))
    await create(context, identified('1'))
    const { status, issues } = await failureOf(create(context, identified('1'), { ifNoneExist }))
    expect(status).toBe(412)
    expect(issues[0]!.code).toBe('multiple-matches')
  })

  test('sixty-four at once make one resource', async () => {
    const all = await Promise.all(Array.from({ length: 64 }, () => create(context, identified('1'), { ifNoneExist })))
    expect(new Set(all.map(({ stored }) => stored.id)).size).toBe(1)
    expect(all.filter(({ outcome }) => outcome === 'created')).toHaveLength(1)
    expect(await countOf(context, 'Patient')).toBe(1)
  })

  test('also when each asks in other words', async () => {
    const all = await Promise.all(
      Array.from({ length: 32 }, (_, i) =>
        create(context, identified('1'), { ifNoneExist: `identifier=urn:mrn|1,urn:mrn|x${i}` }),
      ),
    )
    expect(new Set(all.map(({ stored }) => stored.id)).size).toBe(1)
    expect(await countOf(context, 'Patient')).toBe(1)
  })

  test.each([
    ['no criteria at all', ''],
    ['an unknown parameter', 'colour=red'],
    ['a parameter that only says how to return', '_sort=name&identifier=urn:mrn|1'],
    ['an include', '_include=Patient:organization&identifier=urn:mrn|1'],
    ['a summary', '_summary=count&identifier=urn:mrn|1'],
    ['a count', '_count=1&identifier=urn:mrn|1'],
  ])('%s is refused, also where the client would be lenient', async (_, criteria) => {
    const lenient = { ...context, settings: { ...context.settings, handling: 'lenient' as const } }
    expect((await failureOf(create(lenient, identified('1'), { ifNoneExist: criteria }))).status).toBe(400)
    expect(await countOf(context, 'Patient')).toBe(0)
  })
})

describe('Idempotency-Key', () => {
  test('the same request again is answered like the first time and does nothing', async () => {
    const first = await create(context, patient({ active: true }), { idempotencyKey: 'k' })
    await update(context, first.stored, patient({ id: first.stored.id, active: false }))
    const second = await create(context, patient({ active: true }), { idempotencyKey: 'k' })
    expect(second).toEqual(first)
    expect(await countOf(context, 'Patient')).toBe(1)
  })

  test('thirty-two at once make one resource', async () => {
    const all = await Promise.all(Array.from({ length: 32 }, () => create(context, patient(), { idempotencyKey: 'k' })))
    expect(new Set(all.map(({ stored }) => stored.id)).size).toBe(1)
    expect(await countOf(context, 'Patient')).toBe(1)
  })

  test('another request with the same key is refused with 422', async () => {
    await create(context, patient({ active: true }), { idempotencyKey: 'k' })
    expect((await failureOf(create(context, patient({ active: false }), { idempotencyKey: 'k' }))).status).toBe(422)
  })

  test('the keys of callers are their own', async () => {
    await create(context, patient({ active: true }), { idempotencyKey: 'k' })
    const other = { ...context, caller: { ...context.caller, id: 'somebody else' } }
    expect((await create(other, patient({ active: false }), { idempotencyKey: 'k' })).outcome).toBe('created')
  })

  test('a request that failed can be sent again with the same key', async () => {
    const dangling = patient({ managingOrganization: { reference: 'Organization/o' } })
    await failureOf(create(context, dangling, { idempotencyKey: 'k' }))
    await update(context, { type: 'Organization', id: 'o' }, { resourceType: 'Organization', id: 'o', name: 'x' })
    expect((await create(context, dangling, { idempotencyKey: 'k' })).outcome).toBe('created')
  })

  test('together with If-None-Exist the first answer is repeated', async () => {
    const preconditions = { ifNoneExist: 'identifier=urn:mrn|1', idempotencyKey: 'k' }
    const first = await create(context, identified('1'), preconditions)
    expect(await create(context, identified('1'), preconditions)).toEqual(first)
    const found = { ifNoneExist: 'identifier=urn:mrn|1', idempotencyKey: 'other' }
    const existing = await create(context, identified('1'), found)
    expect(existing.outcome).toBe('unchanged')
    await remove(context, first.stored)
    expect(await create(context, identified('1'), found)).toMatchObject({
      outcome: 'unchanged',
      stored: { version: 1 },
    })
  })

  test('an absurd key is refused', async () => {
    expect((await failureOf(create(context, patient(), { idempotencyKey: 'k'.repeat(600) }))).status).toBe(400)
    expect((await failureOf(create(context, patient(), { idempotencyKey: '' }))).status).toBe(400)
  })
})

describe('update', () => {
  const put = (members: object = {}, preconditions = {}) =>
    update(context, refTo('p'), patient({ id: 'p', ...members }), preconditions)

  test('creates what is not there, and replaces what is', async () => {
    expect(await put({ active: true })).toMatchObject({ outcome: 'created', stored: { id: 'p', version: 1 } })
    expect(await put({ gender: 'male' })).toMatchObject({ outcome: 'updated', stored: { version: 2 } })
    expect(await contentOf(context, 'Patient', 'p')).toEqual(patient({ id: 'p', gender: 'male' }))
  })

  test('the same content again makes no version', async () => {
    await put({ active: true })
    expect(await put({ active: true })).toMatchObject({ outcome: 'unchanged', stored: { version: 1 } })
    expect(await versions('Patient', 'p')).toEqual([1])
  })

  test('brings a deleted resource back', async () => {
    await put()
    await remove(context, refTo('p'))
    expect(await put()).toMatchObject({ outcome: 'created', stored: { version: 3 } })
  })

  test.each([
    ['another id', patient({ id: 'q' })],
    ['no id', patient()],
    ['another type', { resourceType: 'Group', id: 'p' }],
  ])('%s in the body is 400', async (_, resource) => {
    expect((await failureOf(update(context, refTo('p'), resource))).status).toBe(400)
  })

  test.each(['a b', 'ä', 'x'.repeat(65), ''])('the id %j is 400', async (id) => {
    expect((await failureOf(update(context, refTo(id), patient({ id })))).status).toBe(400)
  })

  test('If-Match with the current version succeeds, with another one is 412', async () => {
    await put()
    expect((await put({ active: true }, { ifMatch: 'W/"1"' })).stored.version).toBe(2)
    const { status } = await failureOf(put({ active: false }, { ifMatch: 'W/"1"' }))
    expect(status).toBe(412)
    expect(await contentOf(context, 'Patient', 'p')).toEqual(patient({ id: 'p', active: true }))
  })

  test.each(['W/"1"', '*', 'W/"nonsense"', 'W/"1", W/"2"'])(
    'If-Match: %s of what is not there is 412',
    async (ifMatch) => {
      expect((await failureOf(put({}, { ifMatch }))).status).toBe(412)
    },
  )

  test('If-Match: * and lists of versions succeed for what is there', async () => {
    await put()
    expect((await put({ active: true }, { ifMatch: '*' })).stored.version).toBe(2)
    expect((await put({ active: false }, { ifMatch: 'W/"1", W/"2"' })).stored.version).toBe(3)
    expect((await failureOf(put({}, { ifMatch: 'W/"1", W/"2"' }))).status).toBe(412)
  })

  test('If-None-Match: * creates, and is 412 for what is there', async () => {
    expect((await put({}, { ifNoneMatch: '*' })).outcome).toBe('created')
    expect((await failureOf(put({ active: true }, { ifNoneMatch: '*' }))).status).toBe(412)
    await remove(context, refTo('p'))
    expect((await put({}, { ifNoneMatch: '*' })).outcome).toBe('created')
  })

  test('If-None-Match with the current version is 412', async () => {
    await put()
    expect((await failureOf(put({ active: true }, { ifNoneMatch: 'W/"1"' }))).status).toBe(412)
    expect((await put({ active: true }, { ifNoneMatch: 'W/"7"' })).outcome).toBe('updated')
  })

  test('of sixteen who all change version 1, one succeeds', async () => {
    await put()
    const outcomes = await Promise.allSettled(
      Array.from({ length: 16 }, (_, i) => put({ language: `x-${i}` }, { ifMatch: 'W/"1"' })),
    )
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(await versions('Patient', 'p')).toEqual([2, 1])
  })
})

describe('conditional update', () => {
  const criteria = 'identifier=urn:mrn|1'
  const put = (resource: Resource, preconditions = {}) =>
    conditionalUpdate(context, 'Patient', criteria, resource, preconditions)

  test('no match, no id: creates with an id of ours', async () => {
    expect(await put(identified('1'))).toMatchObject({ outcome: 'created', stored: { method: 'POST' } })
  })

  test('no match, an id that is free: creates with that id', async () => {
    expect((await put(identified('1', { id: 'mine' }))).stored.id).toBe('mine')
  })

  test('no match, an id that exists: 409', async () => {
    await update(context, refTo('mine'), identified('2', { id: 'mine' }))
    expect((await failureOf(put(identified('1', { id: 'mine' })))).status).toBe(409)
    expect(await versions('Patient', 'mine')).toEqual([1])
  })

  test('one match, no id or its id: updates it', async () => {
    const { stored } = await create(context, identified('1'))
    expect(await put(identified('1', { active: true }))).toMatchObject({
      outcome: 'updated',
      stored: { id: stored.id, version: 2 },
    })
    expect((await put(identified('1', { id: stored.id }))).stored.version).toBe(3)
  })

  test('one match, another id: 400', async () => {
    await create(context, identified('1'))
    expect((await failureOf(put(identified('1', { id: 'other' })))).status).toBe(400)
  })

  test('several matches: 412', async () => {
    await create(context, identified('1'))
    await create(context, identified('1'))
    expect((await failureOf(put(identified('1')))).status).toBe(412)
  })

  test('If-Match is about the match', async () => {
    expect((await failureOf(put(identified('1'), { ifMatch: 'W/"1"' }))).status).toBe(412)
    await create(context, identified('1'))
    expect((await put(identified('1', { active: true }), { ifMatch: 'W/"1"' })).stored.version).toBe(2)
    expect((await failureOf(put(identified('1'), { ifMatch: 'W/"1"' }))).status).toBe(412)
  })

  test('of many at once one creates and the others update', async () => {
    const all = await Promise.all(Array.from({ length: 24 }, (_, i) => put(identified('1', { language: `x-${i}` }))))
    expect(all.filter(({ outcome }) => outcome === 'created')).toHaveLength(1)
    expect(await countOf(context, 'Patient')).toBe(1)
    expect(await versions('Patient', all[0]!.stored.id)).toHaveLength(24)
  })
})

describe('patch', () => {
  const replace = (path: string, value: unknown) =>
    ({ kind: 'json', operations: [{ op: 'replace', path, value }] }) as const

  test('changes the current version', async () => {
    await update(context, refTo('p'), patient({ id: 'p', active: true }))
    const { outcome, stored } = await patch(context, refTo('p'), replace('/active', false))
    expect([outcome, stored.version, stored.method]).toEqual(['updated', 2, 'PATCH'])
    expect(await contentOf(context, 'Patient', 'p')).toEqual(patient({ id: 'p', active: false }))
  })

  test('a FHIRPath Patch does, too', async () => {
    await update(context, refTo('p'), patient({ id: 'p', active: true }))
    const part = [
      { name: 'type', valueCode: 'replace' },
      { name: 'path', valueString: 'Patient.active' },
      { name: 'value', valueBoolean: false },
    ]
    const parameters: Resource = { resourceType: 'Parameters', parameter: [{ name: 'operation', part }] }
    await patch(context, refTo('p'), { kind: 'fhirpath', parameters })
    expect(await contentOf(context, 'Patient', 'p')).toEqual(patient({ id: 'p', active: false }))
  })

  test('sixty-four at once lose no increment', async () => {
    await update(context, refTo('p'), patient({ id: 'p', multipleBirthInteger: 0 }))
    const append = { kind: 'json', operations: [{ op: 'add', path: '/name/-', value: { text: 'x' } }] } as const
    await update(context, refTo('p'), patient({ id: 'p', name: [{ text: 'x' }] }))
    await Promise.all(Array.from({ length: 64 }, () => patch(context, refTo('p'), append)))
    const { name } = await contentOf(context, 'Patient', 'p')
    expect(name).toHaveLength(65)
  })

  test('patches and updates at once all take effect', async () => {
    await update(context, refTo('p'), patient({ id: 'p', name: [{ text: 'x' }] }))
    const append = { kind: 'json', operations: [{ op: 'add', path: '/name/-', value: { text: 'x' } }] } as const
    const puts = Array.from({ length: 8 }, (_, i) =>
      update(context, refTo('p'), patient({ id: 'p', language: `x-${i}`, name: [{ text: 'x' }] })),
    )
    await Promise.all([...puts, ...Array.from({ length: 8 }, () => patch(context, refTo('p'), append))])
    expect(await versions('Patient', 'p')).toHaveLength(17)
  })

  test('keeps the digits of decimals it does not touch', async () => {
    const text =
      '{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.00},"component":[{"code":{"text":"y"},"valueQuantity":{"value":123456789012345678}}]}'
    await update(context, { type: 'Observation', id: 'o' }, parseJson(text) as Resource)
    const { stored } = await patch(context, { type: 'Observation', id: 'o' }, replace('/status', 'amended'))
    expect(stored.body.toString()).toContain('"value":1.00')
    expect(stored.body.toString()).toContain('"value":123456789012345678')
  })

  test('a patch that changes nothing makes no version', async () => {
    await update(context, refTo('p'), patient({ id: 'p', active: true }))
    expect((await patch(context, refTo('p'), replace('/active', true))).outcome).toBe('unchanged')
  })

  test.each([
    ['/id', 'q', 400],
    ['/resourceType', 'Person', 400],
    ['/active', 'perhaps', 400],
    ['/nothing', 'x', 422],
  ])('replacing %s by %s is refused', async (path, value, expected) => {
    await update(context, refTo('p'), patient({ id: 'p', active: true }))
    expect((await failureOf(patch(context, refTo('p'), replace(path, value)))).status).toBe(expected)
    expect(await versions('Patient', 'p')).toEqual([1])
  })

  test('the versionId is the one of the server, whatever the patch says', async () => {
    await update(context, refTo('p'), patient({ id: 'p' }))
    expect((await patch(context, refTo('p'), replace('/meta/versionId', '99'))).stored.version).toBe(1)
  })

  test('what is not there is 404, what was deleted 410', async () => {
    expect((await failureOf(patch(context, refTo('p'), replace('/active', true)))).status).toBe(404)
    await update(context, refTo('p'), patient({ id: 'p' }))
    await remove(context, refTo('p'))
    expect((await failureOf(patch(context, refTo('p'), replace('/active', true)))).status).toBe(410)
  })

  test('If-Match with another version is 412', async () => {
    await update(context, refTo('p'), patient({ id: 'p', active: true }))
    expect((await failureOf(patch(context, refTo('p'), replace('/active', false), { ifMatch: 'W/"2"' }))).status).toBe(
      412,
    )
    expect((await patch(context, refTo('p'), replace('/active', false), { ifMatch: 'W/"1"' })).stored.version).toBe(2)
  })

  test('by criteria: none is 404, one is patched, several are 412', async () => {
    const body = { kind: 'json', operations: [{ op: 'add', path: '/active', value: true }] } as const
    const run = () => conditionalPatch(context, 'Patient', 'identifier=urn:mrn|1', body)
    expect((await failureOf(run())).status).toBe(404)
    await create(context, identified('1'))
    expect((await run()).stored.version).toBe(2)
    await create(context, identified('1'))
    expect((await failureOf(run())).status).toBe(412)
  })
})

describe('delete', () => {
  test('leaves 410 behind, the versions before, and nothing to find', async () => {
    await update(context, refTo('p'), patient({ id: 'p' }))
    expect(await remove(context, refTo('p'))).toMatchObject({ outcome: 'deleted', stored: { version: 2 } })
    expect((await failureOf(read(context, refTo('p')))).status).toBe(410)
    expect((await failureOf(vread(context, refTo('p'), '2'))).status).toBe(410)
    expect((await vread(context, refTo('p'), '1')).version).toBe(1)
    expect(await countOf(context, 'Patient')).toBe(0)
  })

  test('again makes no version, and of what never was is no error', async () => {
    await update(context, refTo('p'), patient({ id: 'p' }))
    await remove(context, refTo('p'))
    expect(await remove(context, refTo('p'))).toMatchObject({ outcome: 'unchanged', stored: { version: 2 } })
    expect(await versions('Patient', 'p')).toEqual([2, 1])
    expect(await remove(context, refTo('never'))).toMatchObject({ outcome: 'unchanged', stored: { version: 0 } })
  })

  test('If-Match with another version is 412', async () => {
    await update(context, refTo('p'), patient({ id: 'p' }))
    expect((await failureOf(remove(context, refTo('p'), { ifMatch: 'W/"7"' }))).status).toBe(412)
    expect((await failureOf(remove(context, refTo('never'), { ifMatch: 'W/"1"' }))).status).toBe(412)
    expect((await remove(context, refTo('p'), { ifMatch: 'W/"1"' })).outcome).toBe('deleted')
  })

  test('of what is referred to is 409 and says by what', async () => {
    await update(context, refTo('p'), patient({ id: 'p' }))
    const observation = {
      resourceType: 'Observation',
      status: 'final',
      code: { text: 'x' },
      subject: { reference: 'Patient/p' },
    }
    const { stored } = await create(context, observation)
    const { status, issues } = await failureOf(remove(context, refTo('p')))
    expect(status).toBe(409)
    expect(issues[0]!.diagnostics).toContain(`Observation/${stored.id}`)
    await remove(context, stored)
    expect((await remove(context, refTo('p'))).outcome).toBe('deleted')
  })

  test('by criteria: one, none, several', async () => {
    const run = (multiple: boolean) => conditionalDelete(context, 'Patient', 'identifier=urn:mrn|1', { multiple })
    expect(await run(false)).toEqual([])
    await create(context, identified('1'))
    await create(context, identified('1'))
    await create(context, identified('2'))
    expect((await failureOf(run(false))).status).toBe(412)
    expect(await run(true)).toHaveLength(2)
    expect(await countOf(context, 'Patient')).toBe(1)
  })

  test('by criteria that match more than the server deletes at once is refused, and nothing is deleted', async () => {
    const small = { ...context, settings: { ...context.settings, includesMax: 2 } }
    for (let i = 0; i < 3; i++) await create(context, identified('1'))
    const { status } = await failureOf(conditionalDelete(small, 'Patient', 'identifier=urn:mrn|1', { multiple: true }))
    expect(status).toBe(400)
    expect(await countOf(context, 'Patient')).toBe(3)
  })

  test('without criteria is refused', async () => {
    expect((await failureOf(conditionalDelete(context, 'Patient', '', { multiple: true }))).status).toBe(400)
  })
})

test('a resource with more search values than others can wait for is refused, and nothing is stored', async () => {
  const small = { ...context, settings: { ...context.settings, searchValuesMax: 100 } }
  const names = Array.from({ length: 101 }, (_, i) => ({ family: `F${i}` }))
  const failure = await failureOf(create(small, patient({ name: names })))
  expect([failure.status, failure.issues[0]?.code]).toEqual([413, 'too-long'])
  expect(await countOf(context, 'Patient')).toBe(0)
})

describe('read and vread', () => {
  test('of what never was are 404, whatever the version looks like', async () => {
    expect((await failureOf(read(context, refTo('p')))).status).toBe(404)
    await update(context, refTo('p'), patient({ id: 'p' }))
    for (const version of ['2', '0', '01', 'x', '', '99999999999999999999', '1.0', '-1'])
      expect((await failureOf(vread(context, refTo('p'), version))).status).toBe(404)
  })
})
