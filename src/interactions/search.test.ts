import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import type { Resource } from '../fhir/index.js'
import type { SearchResult } from './context.js'
import { create } from './create.js'
import { remove } from './delete.js'
import { history } from './history.js'
import { search } from './search.js'
import { failureOf, type World, world } from './testing.js'
import { update } from './update.js'

let context: World
beforeEach(async () => {
  context = await world()
})
afterEach(() => context.close())

const patient = (members: object = {}): Resource => ({ resourceType: 'Patient', ...members })
const idsIn = ({ found }: Pick<SearchResult, 'found'>) => found.matches.map(({ stored }) => stored.id)

describe('search', () => {
  test('pages neither repeat nor lose an entry while others write', async () => {
    for (let i = 0; i < 25; i++) await create(context, patient({ name: [{ family: `f${i % 3}` }] }))
    const parameters: [string, string][] = [
      ['_count', '4'],
      ['_sort', 'family'],
    ]
    const whole = idsIn(await search(context, { types: ['Patient'], parameters: [['_sort', 'family']] }))
    let page = await search(context, { types: ['Patient'], parameters })
    const seen = idsIn(page)
    while (page.next !== undefined) {
      await create(context, patient({ name: [{ family: 'a' }] }))
      page = await search(context, { parameters: [], page: page.next })
      seen.push(...idsIn(page))
    }
    expect(seen.slice(0, 20)).toEqual(whole)
    expect(new Set(seen).size).toBe(seen.length)
  })

  test('the page link says nothing of what was searched, and is bound to the caller', async () => {
    for (let i = 0; i < 3; i++) await create(context, patient({ name: [{ family: 'Secret' }] }))
    const { next } = await search(context, {
      types: ['Patient'],
      parameters: [
        ['family', 'Secret'],
        ['_count', '1'],
      ],
    })
    expect(next).not.toMatch(/secret/i)
    const other = { ...context, caller: { ...context.caller, id: 'somebody else' } }
    expect((await failureOf(search(other, { parameters: [], page: next! }))).status).toBe(400)
    expect((await failureOf(search(context, { parameters: [], page: `${next!.slice(0, -2)}xx` }))).status).toBe(400)
    expect((await failureOf(history(context, { parameters: [], page: next! }))).status).toBe(400)
    expect(idsIn(await search(context, { parameters: [], page: next! }))).toHaveLength(1)
  })

  test('a page keeps its type, count and compartment', async () => {
    await update(context, { type: 'Patient', id: 'p' }, patient({ id: 'p' }))
    for (let i = 0; i < 5; i++)
      await create(context, {
        resourceType: 'Observation',
        status: 'final',
        code: { text: 'x' },
        subject: { reference: 'Patient/p' },
      })
    await create(context, { resourceType: 'Observation', status: 'final', code: { text: 'x' } })
    const first = await search(context, {
      types: ['Observation'],
      compartment: { type: 'Patient', id: 'p' },
      parameters: [['_count', '2']],
    })
    const second = await search(context, { parameters: [], page: first.next! })
    const third = await search(context, { parameters: [], page: second.next! })
    expect([first, second, third].map((page) => idsIn(page).length)).toEqual([2, 2, 1])
    expect(third.next).toBeUndefined()
  })

  test('a search too long for a link is paged all the same', async () => {
    const ids = []
    for (let i = 0; i < 3; i++) ids.push((await create(context, patient())).stored.id)
    const noise = Array.from({ length: 990 }, () => Math.random().toString(36).slice(2))
    const parameters: [string, string][] = [
      ['_id', [...ids, ...noise].join(',')],
      ['_count', '2'],
    ]
    const first = await search(context, { types: ['Patient'], parameters })
    expect(first.next!.length).toBeLessThan(1000)
    const second = await search(context, { parameters: [], page: first.next! })
    expect([...idsIn(first), ...idsIn(second)]).toEqual(ids)
  })

  test('unknown parameters are refused, or with lenient handling told and left out of what was applied', async () => {
    const request = {
      types: ['Patient'],
      parameters: [
        ['colour', 'red'],
        ['active', 'true'],
      ] as [string, string][],
    }
    expect((await failureOf(search(context, request))).status).toBe(400)
    const lenient = { ...context, settings: { ...context.settings, handling: 'lenient' as const } }
    const { parsed } = await search(lenient, request)
    expect(parsed.ignored).toHaveLength(1)
    expect(parsed.applied.map(([name]) => name)).not.toContain('colour')
  })

  test('more includes than the server gives at once are refused', async () => {
    await update(context, { type: 'Patient', id: 'p' }, patient({ id: 'p' }))
    for (let i = 0; i < 4; i++)
      await create(context, {
        resourceType: 'Observation',
        status: 'final',
        code: { text: 'x' },
        subject: { reference: 'Patient/p' },
      })
    const small = { ...context, settings: { ...context.settings, includesMax: 3 } }
    const request = { types: ['Patient'], parameters: [['_revinclude', 'Observation:subject']] as [string, string][] }
    expect((await failureOf(search(small, request))).status).toBe(400)
    expect((await search(context, request)).found.matches).toHaveLength(5)
  })
})

describe('history', () => {
  const versions = async (request: Parameters<typeof history>[1]) =>
    (await history(context, request)).found.matches.map(({ stored }) => `${stored.type}/${stored.id}/${stored.version}`)

  beforeEach(async () => {
    await update(context, { type: 'Patient', id: 'p' }, patient({ id: 'p' }))
    await update(context, { type: 'Group', id: 'g' }, { resourceType: 'Group', id: 'g', type: 'person', actual: true })
    await update(context, { type: 'Patient', id: 'p' }, patient({ id: 'p', active: true }))
    await remove(context, { type: 'Patient', id: 'p' })
  })

  test('of an instance, a type and the system has the newest versions first, deletions included', async () => {
    expect(await versions({ type: 'Patient', id: 'p', parameters: [] })).toEqual([
      'Patient/p/3',
      'Patient/p/2',
      'Patient/p/1',
    ])
    expect(await versions({ type: 'Group', parameters: [] })).toEqual(['Group/g/1'])
    expect(await versions({ parameters: [] })).toEqual(['Patient/p/3', 'Patient/p/2', 'Group/g/1', 'Patient/p/1'])
  })

  test('is paged without repetition while others write', async () => {
    const seen: string[] = []
    let page = await history(context, { parameters: [['_count', '1']] })
    for (;;) {
      seen.push(...page.found.matches.map(({ stored }) => `${stored.type}/${stored.id}/${stored.version}`))
      if (page.next === undefined) break
      await create(context, patient())
      page = await history(context, { parameters: [], page: page.next })
    }
    expect(seen).toEqual(['Patient/p/3', 'Patient/p/2', 'Group/g/1', 'Patient/p/1'])
  })

  test('_since leaves out what is older, _at gives what was current then', async () => {
    const all = (await history(context, { type: 'Patient', id: 'p', parameters: [] })).found.matches
    const [, second, first] = all.map(({ stored }) => new Date(stored.updated).toISOString())
    const later = new Date(Date.now() + 60_000).toISOString()
    expect(await versions({ type: 'Patient', id: 'p', parameters: [['_since', later]] })).toEqual([])
    expect(
      (await versions({ type: 'Patient', id: 'p', parameters: [['_since', second!]] })).length,
    ).toBeLessThanOrEqual(3)
    expect(await versions({ type: 'Patient', id: 'p', parameters: [['_at', first!]] })).toContain('Patient/p/1')
    expect(await versions({ type: 'Patient', id: 'p', parameters: [['_at', later]] })).toEqual(['Patient/p/3'])
    expect(await versions({ type: 'Patient', id: 'p', parameters: [['_at', '2001']] })).toEqual([])
  })

  test('of an instance that never was is 404', async () => {
    expect((await failureOf(history(context, { type: 'Patient', id: 'never', parameters: [] }))).status).toBe(404)
  })

  test.each<[string, string]>([
    ['_since', 'yesterday'],
    ['_at', '2021-02-30'],
    ['_count', '-1'],
    ['_count', 'x'],
    ['name', 'x'],
    ['_sort', 'name'],
  ])('%s=%s is refused', async (name, value) => {
    expect((await failureOf(history(context, { parameters: [[name, value]] }))).status).toBe(400)
  })

  test('_count is bounded, and stated as it was applied', async () => {
    const small = { ...context, settings: { ...context.settings, pageSizeMax: 2 } }
    const { found, applied } = await history(small, { parameters: [['_count', '100']] })
    expect(found.matches).toHaveLength(2)
    expect(applied).toEqual([['_count', '2']])
  })
})
