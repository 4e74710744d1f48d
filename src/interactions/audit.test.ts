import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type Act, anyone, type Caller, server } from '../access/index.js'
import { parseJson, type Resource } from '../fhir/index.js'
import type { AuditEntry, Store } from '../store/index.js'
import { refused } from './audited.js'
import type { Context } from './context.js'
import { create } from './create.js'
import { remove } from './delete.js'
import { history } from './history.js'
import { bundle } from './process-bundle.js'
import { read } from './read.js'
import { search } from './search.js'
import { contentOf, dispatchTo, failureOf, type World, world } from './testing.js'
import { update } from './update.js'

let own: World

beforeAll(async () => {
  own = await world({ audit: true })
})

afterAll(() => own.close())

const acts: ReadonlySet<Act> = new Set<Act>(['create', 'read', 'update', 'delete', 'search'])

const person = (more: Partial<Caller>): Caller => ({
  ...anyone,
  kind: 'person',
  client: 'app',
  scopes: [{ level: 'user', acts }],
  signedIn: { at: Date.now(), methods: ['pwd', 'mfa'] },
  ...more,
})

const patientOf = (id: string): Caller =>
  person({
    id,
    role: 'patient',
    subject: id,
    user: { type: 'Patient', id },
    scopes: [{ level: 'patient', acts }],
    patient: id,
  })

const entriesOf = async ({ store }: Pick<Context, 'store'>): Promise<AuditEntry[]> =>
  (await store.audit.find({ count: 1000, ascending: true })).map(({ id, at, keys, text }) => ({ id, at, keys, text }))

/** What a task left in the log, parsed. */
async function left(context: Context, task: () => Promise<unknown>): Promise<Record<string, unknown>[]> {
  const before = (await entriesOf(context)).length
  await task().catch(() => {})
  return (await entriesOf(context)).slice(before).map(({ text }) => JSON.parse(text))
}

describe('who did it stands in the event', () => {
  const bob = person({
    id: 'bob',
    role: 'doctor',
    subject: 'bob-7',
    user: { type: 'Practitioner', id: 'bob' },
    name: 'Bob Kato',
    organizations: ['ward', 'north'],
    hospitals: ['north'],
    custodian: 'north',
    purpose: 'ETREAT',
    token: { id: 'jti-1', issuer: 'https://issuer', expires: 0 },
  })

  test('with role, organisation, purpose, token, address and request', async () => {
    const context = { ...own, caller: bob, origin: { id: 'request-1', address: '203.0.113.7' } }
    expect(await left(context, () => read(context, { type: 'Patient', id: 'hidden' }))).toEqual([
      {
        what: 'read',
        outcome: 4,
        why: expect.stringMatching(/^40[34] /),
        data: ['Patient/hidden'],
        from: '203.0.113.7',
        request: 'request-1',
        by: {
          kind: 'person',
          role: 'doctor',
          subject: 'bob-7',
          user: 'Practitioner/bob',
          client: 'app',
          name: 'Bob Kato',
          organization: 'ward',
          hospital: 'north',
          purpose: 'ETREAT',
          token: { id: 'jti-1', issuer: 'https://issuer' },
          methods: ['pwd', 'mfa'],
        },
      },
    ])
  })

  test('the server at its own work gives its reason', async () => {
    const context = { ...own, caller: server('default', 'tidying') }
    const [event] = await left(context, () => create(context, { resourceType: 'Basic', code: { text: 'x' } }))
    expect(event).toMatchObject({ what: 'create', by: { kind: 'server', name: 'tidying', purpose: 'HSYSADMIN' } })
  })
})

test('what the server looks up for itself is recorded where it is about a patient', async () => {
  const context = { ...own, caller: server('default', 'affiliation') }
  const { stored } = await create(own, { resourceType: 'Organization', name: 'x' })
  await update(own, { type: 'Patient', id: 'amina' }, { resourceType: 'Patient', id: 'amina' })
  expect(await left(context, () => read(context, { type: 'Organization', id: stored.id }))).toEqual([])
  expect(await left(context, () => read(context, { type: 'Organization', id: 'never-there' }))).toEqual([])
  expect(await left(context, () => read(context, { type: 'Patient', id: 'amina' }))).toHaveLength(1)
})

describe('what a patient finds in the log is about that patient', () => {
  const ids = ['amina', 'baraka']
  const about: Record<string, string[]> = { amina: [], baraka: [] }

  beforeAll(async () => {
    for (const id of ids) {
      await update(own, { type: 'Patient', id }, { resourceType: 'Patient', id, name: [{ family: id }] })
      await read(own, { type: 'Patient', id })
    }
    for (const { id, keys } of await entriesOf(own))
      for (const each of ids) if (keys.includes(`Patient/${each}`)) about[each]!.push(id)
  })

  test.each(ids)('%s', async (id) => {
    const context = { ...own, caller: patientOf(id) }
    const { found } = await search(context, { types: ['AuditEvent'], parameters: [['_count', '1000']] })
    const seen = found.matches.map(({ stored }) => stored.id)
    expect(seen.sort()).toEqual(about[id]!.sort())
    for (const each of about[id]!) expect((await read(context, { type: 'AuditEvent', id: each })).id).toBe(each)
  })

  test('what is about others is answered like what was never there', async () => {
    const context = { ...own, caller: patientOf('amina') }
    const hidden = await failureOf(read(context, { type: 'AuditEvent', id: about['baraka']![0]! }))
    expect(hidden).toEqual(await failureOf(read(context, { type: 'AuditEvent', id: 'never-there' })))
    expect(hidden.status).toBe(404)
    const old = await failureOf(history(context, { type: 'AuditEvent', id: about['baraka']![0]!, parameters: [] }))
    expect(old.status).toBe(404)
  })

  test.each<[string, string]>([
    ['patient', 'Patient/baraka'],
    ['entity', 'Patient/baraka'],
    ['patient.family', 'baraka'],
  ])('nor is it found by %s=%s', async (name, value) => {
    const context = { ...own, caller: patientOf('amina') }
    const { found } = await search(context, { types: ['AuditEvent'], parameters: [[name, value]] })
    // What she asked herself names whom she asked for.
    const others = found.matches.filter(({ stored }) => !stored.body.includes('"reference":"Patient/amina"'))
    expect(others).toEqual([])
  })

  test('nor counted', async () => {
    const context = { ...own, caller: patientOf('newcomer') }
    const { found } = await search(context, { types: ['AuditEvent'], parameters: [['_total', 'accurate']] })
    expect(found.total).toBe(0)
  })

  test('an event of a search that found several tells each of herself only', async () => {
    const [event] = await left(own, () => search(own, { types: ['Patient'], parameters: [] }))
    expect(event).toMatchObject({ patients: expect.arrayContaining(ids) })
    for (const [id, other] of [ids, [...ids].reverse()] as [string, string][]) {
      const context = { ...own, caller: patientOf(id) }
      const { found } = await search(context, {
        types: ['AuditEvent'],
        parameters: [['subtype', 'search-type']],
      })
      const events = found.matches.map(({ stored }) => parseJson(stored.body) as Resource)
      const byOthers = events.filter(({ agent }) => !JSON.stringify(agent).includes(`"value":"${id}"`))
      expect(byOthers.length).toBeGreaterThan(0)
      for (const { entity } of byOthers) {
        expect(JSON.stringify(entity)).not.toContain(other)
        expect(JSON.stringify(entity)).toContain('(not shown)')
      }
    }
  })

  test('pages of one yield every part of an event once', async () => {
    const all = async (count: string) => {
      const seen: string[] = []
      let page: string | undefined
      do {
        const asked = {
          types: ['AuditEvent'],
          parameters: [
            ['subtype', 'search-type'],
            ['_count', count],
          ] as [string, string][],
        }
        const { found, next } = await search(
          { ...own, settings: { ...own.settings, audit: false } },
          { ...asked, ...(page && { page }) },
        )
        seen.push(...found.matches.map(({ stored }) => stored.id))
        page = next
      } while (page !== undefined)
      return seen
    }
    const one = await all('1')
    expect(one).toEqual(await all('100'))
    expect(one.filter((id) => id.endsWith('.2')).length).toBeGreaterThan(0)
    expect(new Set(one).size).toBe(one.length)
  })

  test('who may see nothing of it is refused', async () => {
    const context = { ...own, caller: person({ id: 'carol', role: 'pharmacist', subject: 'carol' }) }
    expect((await failureOf(search(context, { types: ['AuditEvent'], parameters: [] }))).status).toBe(403)
  })
})

describe('a log that cannot be written', () => {
  const broken = (): Context => {
    const store = Object.create(own.store) as Store
    const audit = { ...own.store.audit, append: () => Promise.reject(new Error('the disk is full')) }
    Object.defineProperty(store, 'audit', { value: audit })
    return { ...own, store }
  }

  test.each<[string, (context: Context) => Promise<unknown>]>([
    ['a read', (context) => read(context, { type: 'Patient', id: 'amina' })],
    ['a refused read', (context) => read(context, { type: 'Patient', id: 'never-there' })],
    ['a search', (context) => search(context, { types: ['Patient'], parameters: [] })],
    ['a history', (context) => history(context, { type: 'Patient', parameters: [] })],
    ['a posted AuditEvent', (context) => create(context, anEvent)],
  ])('refuses %s', async (_, ask) => {
    const { status, issues } = await failureOf(ask(broken()))
    expect([status, issues[0]!.code]).toEqual([503, 'transient'])
    expect(JSON.stringify(issues)).not.toContain('disk')
  })

  test('does not keep definitions from being read', async () => {
    const { stored } = await create(own, { resourceType: 'ValueSet', status: 'draft' })
    expect((await read(broken(), { type: 'ValueSet', id: stored.id })).id).toBe(stored.id)
  })

  test('refuses a whole batch of which one entry cannot be recorded', async () => {
    const context = broken()
    const entry = [{ request: { method: 'GET', url: 'Patient/amina' } }]
    const task = bundle(context, { resourceType: 'Bundle', type: 'batch', entry }, dispatchTo(context))
    expect((await failureOf(task)).status).toBe(503)
  })
})

const anEvent: Resource = {
  resourceType: 'AuditEvent',
  type: { code: 'rest' },
  recorded: '2020-01-01T00:00:00Z',
  agent: [{ requestor: true }],
  source: { observer: { display: 'a pump' } },
}

test('an error that has its event gets no second one', async () => {
  const events = await left(own, async () => {
    const error = await read(own, { type: 'Patient', id: 'never-there' }).catch((each: unknown) => each)
    await refused(own, { what: 'read' }, error)
  })
  expect(events).toHaveLength(1)
})

test('the event of a deletion names the patient of what was deleted', async () => {
  const { stored } = await create(own, {
    resourceType: 'Observation',
    status: 'final',
    code: { text: 'x' },
    subject: { reference: 'Patient/amina' },
  })
  const [event] = await left(own, () => remove(own, { type: 'Observation', id: stored.id }))
  expect(event).toMatchObject({ what: 'delete', patients: ['amina'] })
})

describe('while accesses are not recorded', () => {
  let open: World

  beforeAll(async () => {
    open = await world({ audit: false })
  })

  afterAll(() => open.close())

  test('AuditEvents are added, read and found all the same, and nothing else is in the log', async () => {
    const { stored } = await create(open, anEvent)
    const { found } = await search(open, { types: ['AuditEvent'], parameters: [['type', 'rest']] })
    expect(found.matches.map((match) => match.stored.id)).toEqual([stored.id])
    const { id: _, ...sent } = await contentOf(open, 'AuditEvent', stored.id)
    expect(sent).toEqual(anEvent)
    await failureOf(update(open, { type: 'AuditEvent', id: stored.id }, { ...anEvent, id: stored.id }))
    expect(await entriesOf(open)).toHaveLength(1)
    expect(parseJson(stored.body)).toMatchObject({ meta: { versionId: '1' } })
  })

  test('they are never changed', async () => {
    const { status } = await failureOf(remove(open, { type: 'AuditEvent', id: 'any' }))
    expect(status).toBe(405)
  })
})
