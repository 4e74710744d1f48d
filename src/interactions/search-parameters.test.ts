import { setTimeout } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { reach } from '../access/index.js'
import { isObject, parseJson, type Resource } from '../fhir/index.js'
import { searchParams } from '../search/index.js'
import type { Context } from './context.js'
import { create } from './create.js'
import { customParameter } from './custom-parameter.js'
import { remove } from './delete.js'
import { prepare } from './prepare.js'
import { read } from './read.js'
import { search } from './search.js'
import { Definitions } from './search-parameters.js'
import { failureOf, type World, world } from './testing.js'
import { update } from './update.js'

const parameter = (more: Record<string, unknown> = {}): Resource =>
  ({
    resourceType: 'SearchParameter',
    url: 'http://acme.org/SearchParameter/marital',
    name: 'marital',
    status: 'active',
    description: 'x',
    code: 'marital',
    base: ['Patient'],
    type: 'string',
    expression: 'Patient.maritalStatus.text',
    ...more,
  }) as Resource

const married: Resource = { resourceType: 'Patient', maritalStatus: { text: 'married' } }

let base: World
let definitions: Definitions

/** A context as server.ts makes it. */
const context = (): Context => ({
  ...base,
  store: definitions.store,
  rules: [definitions.rule],
  searchParams: definitions.current,
})

const idsBy = async (code: string, value: string) => {
  const { found } = await search(context(), {
    types: ['Patient'],
    parameters: [
      [code, value],
      ['_count', '1000'],
    ],
  })
  return found.matches.filter(({ mode }) => mode === 'match').map(({ stored }) => stored.id)
}

const state = () => definitions.current.find('Patient', 'marital')?.state

async function tasks(): Promise<Resource[]> {
  const query = {
    types: ['Task'],
    where: { op: 'everything' as const },
    sort: [],
    include: [],
    count: 10,
    total: false,
  }
  const { matches } = await base.store.search(query, reach(base.caller, 'search'))
  return matches.map(({ stored }) => parseJson(stored.body) as Resource)
}

const visited = (task: Resource | undefined) =>
  (Array.isArray(task?.['output']) ? task['output'] : []).find((each) => isObject(each) && 'valueInteger' in each)

beforeEach(async () => {
  base = await world()
  definitions = await Definitions.open(base)
})

afterEach(async () => {
  await definitions.close()
  await base.close()
})

describe('an uploaded parameter', () => {
  test('finds what was stored before and after, and its Task tells how much was visited', async () => {
    const { stored: old } = await create(context(), married)
    await create(context(), parameter())
    expect(state()).toBe('indexing')
    await definitions.settled()
    expect(state()).toBe('active')
    const { stored: young } = await create(context(), married)
    expect(await idsBy('marital', 'married')).toEqual([old.id, young.id])
    const [task, ...others] = await tasks()
    expect(others).toEqual([])
    expect(task).toMatchObject({
      status: 'completed',
      focus: { identifier: { value: 'http://acme.org/SearchParameter/marital' } },
    })
    expect(visited(task)).toMatchObject({ valueInteger: 1 })
  })

  test('is visited again when a visit fails, which is reported', async () => {
    const { stored } = await create(context(), married)
    const reported: unknown[] = []
    let failures = 0
    const { maintenance } = base.store
    const reindex: typeof maintenance.reindex = (...given) => {
      if (failures++ === 0) return Promise.reject(new Error('the disk is full'))
      return maintenance.reindex(...given)
    }
    const failing = Object.create(base.store, {
      maintenance: { value: Object.create(maintenance, { reindex: { value: reindex } }) },
    })
    await definitions.close()
    definitions = await Definitions.open({
      ...base,
      store: failing,
      report: (error) => reported.push(error),
    })
    await create(context(), parameter())
    await definitions.settled()
    expect(reported).toEqual([
      expect.objectContaining({ cause: expect.objectContaining({ message: 'the disk is full' }) }),
    ])
    expect(state()).toBe('indexing')
    while (state() !== 'active') await setTimeout(50)
    expect(await idsBy('marital', 'married')).toEqual([stored.id])
    expect(failures).toBeGreaterThan(1)
  })

  test('is visited to the end after a restart, from where it was', async () => {
    for (let i = 0; i < 250; i++) await create(context(), married)
    await create(context(), parameter())
    await definitions.close()
    expect(state()).toBe('indexing')
    expect((await tasks())[0]?.['status']).toBe('in-progress')
    definitions = await Definitions.open(base)
    expect(state()).toBe('indexing')
    await definitions.settled()
    expect(await idsBy('marital', 'married')).toHaveLength(250)
    expect(visited((await tasks())[0])).toMatchObject({ valueInteger: 250 })
    definitions = await Definitions.open(base)
    expect(state()).toBe('active')
  })

  test.each(['retired', 'deleted'])(
    'that is %s is unknown; when it comes back everything is visited again',
    async (how) => {
      const { stored } = await create(context(), parameter())
      await definitions.settled()
      const ref = { type: 'SearchParameter', id: stored.id }
      if (how === 'deleted') await remove(context(), ref)
      else await update(context(), ref, { ...parameter({ status: 'retired' }), id: stored.id })
      expect((await failureOf(idsBy('marital', 'married'))).status).toBe(400)
      expect((await tasks())[0]?.['status']).toBe('cancelled')
      const { stored: meanwhile } = await create(context(), married)
      await update(context(), ref, { ...parameter(), id: stored.id })
      expect(state()).toBe('indexing')
      await definitions.settled()
      expect(await idsBy('marital', 'married')).toEqual([meanwhile.id])
    },
  )

  test('with another expression finds by the new one', async () => {
    const { stored } = await create(context(), parameter())
    const { stored: patient } = await create(context(), { ...married, language: 'sw' })
    await definitions.settled()
    await update(
      context(),
      { type: 'SearchParameter', id: stored.id },
      { ...parameter({ expression: 'Patient.language' }), id: stored.id },
    )
    await definitions.settled()
    expect(await idsBy('marital', 'sw')).toEqual([patient.id])
    expect(await idsBy('marital', 'married')).toEqual([])
  })

  test('finds what was prepared before it came and was committed after', async () => {
    const put = prepare(context(), married, { id: 'late', method: 'POST' })
    const { store } = context()
    await create(context(), parameter())
    await definitions.settled()
    await store.commit({ changes: [put], integrity: true })
    expect(await idsBy('marital', 'married')).toEqual(['late'])
  })

  test('may be a composite, a reference, or of every type', async () => {
    const component = [
      { definition: 'http://hl7.org/fhir/SearchParameter/individual-family', expression: 'family' },
      { definition: 'http://hl7.org/fhir/SearchParameter/individual-given', expression: 'given' },
    ]
    await create(
      context(),
      parameter({ url: 'http://acme.org/1', code: 'full', type: 'composite', expression: 'Patient.name', component }),
    )
    await create(
      context(),
      parameter({
        url: 'http://acme.org/2',
        code: 'said',
        base: ['Resource'],
        expression: 'Resource.language',
        type: 'token',
      }),
    )
    const { stored } = await create(context(), {
      resourceType: 'Patient',
      language: 'lg',
      name: [{ family: 'Nakato', given: ['Amina'] }],
    })
    await definitions.settled()
    expect(await idsBy('full', 'nakato$amina')).toEqual([stored.id])
    expect(await idsBy('full', 'nakato$peter')).toEqual([])
    expect(await idsBy('said', 'lg')).toEqual([stored.id])
  })
})

describe('a SearchParameter', () => {
  test('that is a draft is stored and has no effect', async () => {
    await create(context(), parameter({ status: 'draft', expression: 'Patient.name[' }))
    expect(state()).toBeUndefined()
  })

  test('of R4 itself may be stored and changes nothing', async () => {
    const own = parameter({
      url: 'http://hl7.org/fhir/SearchParameter/Observation-status',
      code: 'status',
      base: ['Observation'],
      type: 'token',
      expression: 'Observation.status',
    })
    await create(context(), own)
    await definitions.settled()
    expect(await tasks()).toEqual([])
  })

  test('with the url of another active one is refused', async () => {
    await create(context(), parameter())
    expect((await failureOf(create(context(), parameter({ code: 'other' })))).status).toBe(422)
  })

  test('that is refused leaves nothing behind', async () => {
    await failureOf(create(context(), parameter({ expression: 'Patient.name[' })))
    expect((await failureOf(read(base, { type: 'SearchParameter', id: 'n1' }))).status).toBe(404)
  })

  test.each<[string, Record<string, unknown>, string]>([
    ['a code that would be read as a modifier or a chain', { code: 'a:b.c' }, 'code'],
    ['a code that begins like the parameters of every type', { code: '_id' }, 'code'],
    ['a type that cannot be evaluated', { type: 'special' }, 'type'],
    ['a base that is no type', { base: ['Pacient'] }, 'base'],
    ['no base', { base: [] }, 'base'],
    ['no expression', { expression: undefined }, 'expression'],
    ['an expression that cannot be read', { expression: 'Patient.name[' }, 'expression'],
    ['an expression with an unknown function', { expression: 'Patient.name.explode()' }, 'expression'],
    ['an expression without end', { expression: '1.repeat($this + 1)' }, 'expression'],
    ['an expression that is too long', { expression: `Patient.name${'.given'.repeat(1000)}` }, 'expression'],
    ['the code of another parameter', { code: 'family' }, 'code'],
    ['the code some type has, for all types', { base: ['Resource'], code: 'vaccine-code' }, 'code'],
    ['the url of a parameter of R4', { url: 'http://hl7.org/fhir/SearchParameter/individual-family' }, 'url'],
    ['a composite of nothing', { type: 'composite' }, 'component'],
    [
      'a composite of what is not known',
      { type: 'composite', component: [{ definition: 'x', expression: 'a' }, {}] },
      'component[0].definition',
    ],
  ])('with %s is refused', (_name, more, place) => {
    try {
      customParameter(parameter(more), searchParams())
      throw new Error('it was accepted')
    } catch (error) {
      expect(error).toMatchObject({ status: 422, issues: [{ expression: [`SearchParameter.${place}`] }] })
    }
  })
})
