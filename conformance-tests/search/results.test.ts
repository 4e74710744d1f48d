/**
 * What a search answers with: pages, order, totals, parts of resources, and the parameters of every type.
 *
 * https://hl7.org/fhir/R4/search.html#return
 */
import { beforeAll, describe, expect, test } from '@jest/globals'
import type { Bundle, Patient } from 'fhir/r4.js'
import {
  allPages,
  baseUrl,
  bundle,
  created,
  entriesOf,
  expectOutcome,
  get,
  idsIn,
  linkOf,
  remove,
  resourceIn,
  send,
  unique,
  uniqueSystem,
} from '../server.js'
import { type World, world } from './world.js'

let w: World

const person = (family: string | undefined, birthDate?: string, gender?: Patient['gender']): Patient => ({
  resourceType: 'Patient',
  ...(family !== undefined && { name: [{ family }] }),
  ...(birthDate && { birthDate }),
  ...(gender && { gender }),
})

beforeAll(async () => {
  w = await world({
    a: person('Alpha', '1990-01-01', 'female'),
    b: person('beta', '1980-01-01', 'male'),
    c: person('Ålpha', '1970-01-01', 'male'),
    d: person('Delta', '1980-01-01', 'female'),
    e: person(undefined, undefined, 'female'),
  })
})

const found = async (type: string, query: string) => (await w.find(type, query)).join(' ')

describe('search-type', () => {
  test('a searchset has fullUrls, modes and a self link that can be followed', async () => {
    const answer = await bundle(`Patient?${w.tag}&gender=female`)
    expect(answer.type).toBe('searchset')
    for (const { fullUrl, resource, search } of entriesOf(answer)) {
      expect(fullUrl).toBe(`${baseUrl()}/Patient/${resource?.id}`)
      expect(search?.mode).toBe('match')
    }
    expect(idsIn(await bundle(linkOf(answer, 'self')!))).toEqual(idsIn(answer))
  })

  test('nothing found is an empty searchset', async () => {
    const answer = await bundle(`Patient?family=${unique()}`)
    expect(answer).toMatchObject({ resourceType: 'Bundle', type: 'searchset' })
    expect(answer.entry ?? []).toEqual([])
  })

  test('POST _search takes a form, alone or with parameters in the URL', async () => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    for (const [path, body] of [
      ['Patient/_search', `${w.tag}&gender=male`],
      [`Patient/_search?${w.tag}`, 'gender=male'],
    ] as const) {
      const answer = await send('POST', path, { body, headers })
      expect(answer.status).toBe(200)
      expect(w.names(JSON.parse(answer.text)).sort()).toEqual(['b', 'c'])
    }
  })

  test('what was just written is found at once, and what was changed is not found by what it was', async () => {
    const [before, after] = [unique('Before'), unique('After')]
    const { id } = await created(person(before))
    expect(idsIn(await bundle(`Patient?family=${before}`))).toEqual([id])
    await send('PUT', `Patient/${id}`, { body: { ...person(after), id } })
    expect(idsIn(await bundle(`Patient?family=${before}`))).toEqual([])
    expect(idsIn(await bundle(`Patient?family=${after}`))).toEqual([id])
  })

  test.each([
    'unknown=1',
    'family:nonsense=1',
    'birthdate:contains=1',
    'gender:missing=maybe',
    '_sort=nothing',
    '_summary=some',
    '_total=exactly',
    '_count=many',
    '_count=-1',
    'unknown:missing=true',
    '_page=tampered',
  ])('Patient?%s is 400', async (query) => {
    expectOutcome(await get(`Patient?${query}`), 400)
  })
})

describe('search-system', () => {
  test('finds resources of several types', async () => {
    const many = await world({
      one: person('One'),
      two: { resourceType: 'Practitioner', name: [{ family: 'Two' }] },
      three: { resourceType: 'Basic', code: { text: 'three' } },
    })
    expect(many.names(await bundle(`?${many.tag}&_type=Patient,Practitioner`)).sort()).toEqual(['one', 'two'])
    expect(many.names(await bundle(`?${many.tag}`)).sort()).toEqual(['one', 'three', 'two'])
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const answer = await send('POST', '_search', { body: `${many.tag}&_type=Basic`, headers })
    expect(many.names(JSON.parse(answer.text))).toEqual(['three'])
  })

  test('a parameter that not all types have is refused', async () => {
    expectOutcome(await get('?_type=Patient,Observation&birthdate=2000'), 400)
    expectOutcome(await get('?_type=Nothing'), 400)
  })
})

describe('_sort', () => {
  test.each([
    ['_sort=birthdate', 'c b d a e'],
    ['_sort=-birthdate', 'a b d c e'],
    ['_sort=birthdate,-family', 'c d b a e'],
    ['_sort=-birthdate,-family', 'a d b c e'],
    ['_sort=gender,birthdate', 'd a e c b'],
    ['_sort=_lastUpdated', 'a b c d e'],
    ['_sort=-_lastUpdated', 'e d c b a'],
  ])('%s: %s', async (query, expected) => {
    expect(await found('Patient', query)).toBe(expected)
  })

  test('missing values stand last, pages keep the order', async () => {
    const pages = await allPages(`Patient?${w.tag}&_sort=family&_count=2`)
    const names = pages.flatMap((page) => w.names(page, 'match'))
    expect(names.at(-1)).toBe('e')
    expect(new Set(names.slice(0, 2))).toEqual(new Set(['a', 'c']))
    expect(names.slice(2, 4)).toEqual(['b', 'd'])
    const back = await allPages(`Patient?${w.tag}&_sort=-family&_count=2`)
    expect(back.flatMap((page) => w.names(page, 'match')).slice(0, 2)).toEqual(['d', 'b'])
    expect(back.flatMap((page) => w.names(page, 'match')).at(-1)).toBe('e')
  })
})

describe('_count and paging', () => {
  test('pages have at most _count matches and together all of them, once', async () => {
    const pages = await allPages(`Patient?${w.tag}&_count=2`)
    expect(pages.map((page) => entriesOf(page, 'match').length)).toEqual([2, 2, 1])
    expect(pages.flatMap((page) => w.names(page)).sort()).toEqual(['a', 'b', 'c', 'd', 'e'])
    expect(linkOf(pages[2]!, 'next')).toBeUndefined()
  })

  test.each(['', '&_sort=family', '&_sort=-birthdate', '&_sort=-_lastUpdated'])(
    'paging%s neither repeats nor loses while others write',
    async (order) => {
      const system = uniqueSystem()
      const tagged = (family: string): Patient => ({
        ...person(family, '2000-01-01'),
        meta: { tag: [{ system, code: 'x' }] },
      })
      const there: string[] = []
      for (let i = 0; i < 12; i++) there.push((await created(tagged(`F${(i * 7) % 12}`))).id)
      const deleted = new Set<string | undefined>()
      const pages = await allPages(
        `Patient?_tag=${encodeURIComponent(`${system}|x`)}&_count=3${order}`,
        async (page) => {
          await created(tagged(`F${page}`))
          const victim = there.find((id) => !deleted.has(id) && page === 2)
          if (victim !== undefined) {
            deleted.add(victim)
            await remove(`Patient/${victim}`)
          }
        },
      )
      const seen = pages.flatMap(idsIn)
      expect(new Set(seen).size).toBe(seen.length)
      for (const id of there) if (!deleted.has(id)) expect(seen).toContain(id)
    },
  )

  test('_count=0 answers the number alone', async () => {
    const answer = await bundle(`Patient?${w.tag}&_count=0`)
    expect(answer.total).toBe(5)
    expect(answer.entry ?? []).toEqual([])
  })

  test('a next link works for the search it belongs to and cannot be forged', async () => {
    const next = linkOf(await bundle(`Patient?${w.tag}&_count=2`), 'next')!
    expect(decodeURIComponent(next)).not.toContain('Alpha')
    const forged = next.replace(/(_page=.{20})./, (_all, kept: string) => `${kept}!`)
    expectOutcome(await get(forged), [400, 410])
  })
})

describe('_total and _summary', () => {
  test.each([
    ['_total=accurate&_count=1', 5],
    ['_summary=count', 5],
    ['_total=accurate&gender=male', 2],
  ])('%s says %i', async (query, total) => {
    expect((await bundle(`Patient?${w.tag}&${query}`)).total).toBe(total)
  })

  test('_summary=count has no entries', async () => {
    expect((await bundle(`Patient?${w.tag}&_summary=count`)).entry ?? []).toEqual([])
  })

  const one = async (query: string): Promise<Patient> => {
    const system = uniqueSystem()
    await created<Patient>({
      resourceType: 'Patient',
      meta: { tag: [{ system, code: 'x' }] },
      text: { status: 'generated', div: '<div xmlns="http://www.w3.org/1999/xhtml">x</div>' },
      name: [{ family: 'X' }],
      maritalStatus: { text: 'single' },
      gender: 'other',
    })
    const [entry] = entriesOf(await bundle(`Patient?_tag=${encodeURIComponent(`${system}|x`)}&${query}`))
    return entry!.resource as Patient
  }

  test.each<[string, (keyof Patient)[], (keyof Patient)[]]>([
    ['_summary=true', ['id', 'meta', 'name', 'gender'], ['text', 'maritalStatus']],
    ['_summary=text', ['id', 'meta', 'text'], ['name', 'gender', 'maritalStatus']],
    ['_summary=data', ['id', 'meta', 'name', 'gender', 'maritalStatus'], ['text']],
    ['_summary=false', ['id', 'meta', 'text', 'name', 'gender', 'maritalStatus'], []],
    ['_elements=name,maritalStatus', ['id', 'meta', 'name', 'maritalStatus'], ['text', 'gender']],
  ])('%s keeps %j and leaves out %j', async (query, kept, left) => {
    const patient = await one(query)
    for (const name of kept) expect([name, patient[name]]).not.toEqual([name, undefined])
    for (const name of left) expect([name, patient[name]]).toEqual([name, undefined])
    const subsetted = patient.meta?.tag?.some(({ code }) => code === 'SUBSETTED') ?? false
    expect(subsetted).toBe(query !== '_summary=false')
  })
})

describe('parameters of every type', () => {
  let v: World
  let lastUpdated: string
  const profile = `http://acme.org/profile/${unique()}`
  const word = unique('word')
  beforeAll(async () => {
    v = await world({
      labelled: {
        resourceType: 'Basic',
        code: { text: 'x' },
        meta: {
          profile: [profile],
          security: [{ system: 'http://acme.org/security', code: word }],
          source: `http://acme.org/${word}`,
        },
        text: {
          status: 'generated',
          div: `<div xmlns="http://www.w3.org/1999/xhtml">bone <b>${word}</b> metastases</div>`,
        },
      },
      plain: { resourceType: 'Basic', code: { text: `about ${word}` } },
    })
    const { resource } = entriesOf(await bundle(`Basic?_id=${v.refs['plain']!.split('/')[1]}`))[0]!
    lastUpdated = resource!.meta!.lastUpdated!
  })

  test.each([
    ['_id=LABELLED', 'labelled'],
    ['_id=LABELLED,PLAIN', 'labelled plain'],
    ['_id=nothing', ''],
    [`_profile=${profile}`, 'labelled'],
    [`_security=http://acme.org/security%7C${word}`, 'labelled'],
    [`_source=http://acme.org/${word}`, 'labelled'],
    [`_text=${word}`, 'labelled'],
    [`_content=${word}`, 'labelled plain'],
    [`_content=about`, 'plain'],
    ['_lastUpdated=LAST', 'plain'],
    ['_lastUpdated=gt2000-01-01', 'labelled plain'],
    ['_lastUpdated=lt2000-01-01', ''],
  ])('%s finds %s', async (query, expected) => {
    const filled = query
      .replace('LABELLED', v.refs['labelled']!.split('/')[1]!)
      .replace('PLAIN', v.refs['plain']!.split('/')[1]!)
      .replace('LAST', encodeURIComponent(lastUpdated))
    const names = (await v.find('Basic', filled)).sort().join(' ')
    if (query.includes('LAST')) expect(names).toContain(expected)
    else expect(names).toBe(expected)
  })
})

describe('_filter', () => {
  test.each([
    ['gender eq male', 'b c'],
    ['gender eq male and birthdate gt 1975', 'b'],
    ['birthdate lt 1975-01-01 or family eq "Alpha"', 'a c'],
    ['not (gender eq male)', 'a d e'],
    ['family sw "be" or (gender eq female and birthdate ge 1985)', 'a b'],
    ['family co "elt"', 'd'],
    ['family pr true', 'a b c d'],
    ['birthdate pr false', 'e'],
  ])('%s finds %s', async (filter, expected) => {
    expect((await w.find('Patient', `_filter=${encodeURIComponent(filter)}`)).sort().join(' ')).toBe(expected)
  })

  test.each(['gender eq', 'gender is male', '(gender eq male', 'nothing eq 1', 'gender eq male and', ''])(
    '"%s" is 400',
    async (filter) => {
      expectOutcome(await get(`Patient?_filter=${encodeURIComponent(filter)}`), 400)
    },
  )
})

describe('value sets', () => {
  test(':in and :not-in look into a stored ValueSet', async () => {
    const url = `http://acme.org/ValueSet/${unique()}`
    const made = await world({
      set: {
        resourceType: 'ValueSet',
        status: 'active',
        url,
        compose: { include: [{ system: 'http://loinc.org', concept: [{ code: '20447-9' }, { code: '25836-8' }] }] },
      },
      load: {
        resourceType: 'Observation',
        status: 'final',
        code: { coding: [{ system: 'http://loinc.org', code: '20447-9' }] },
      },
      cd4: {
        resourceType: 'Observation',
        status: 'final',
        code: { coding: [{ system: 'http://loinc.org', code: '24467-3' }] },
      },
    })
    expect(await made.find('Observation', `code:in=${encodeURIComponent(url)}`)).toEqual(['load'])
    expect(await made.find('Observation', `code:in=${made.refs['set']}`)).toEqual(['load'])
    expect(await made.find('Observation', `code:not-in=${encodeURIComponent(url)}`)).toEqual(['cd4'])
    expectOutcome(await get('Observation?code:in=http://nowhere.example/ValueSet/none'), [400, 404])
  })

  test(':below and :above follow a stored CodeSystem', async () => {
    const system = `http://acme.org/CodeSystem/${unique()}`
    const coded = (code: string) => ({
      resourceType: 'Observation' as const,
      status: 'final' as const,
      code: { coding: [{ system, code }] },
    })
    const made = await world({
      tree: {
        resourceType: 'CodeSystem',
        status: 'active',
        content: 'complete',
        url: system,
        hierarchyMeaning: 'is-a',
        concept: [{ code: 'art', concept: [{ code: 'nrti', concept: [{ code: 'tdf' }] }] }],
      },
      art: coded('art'),
      nrti: coded('nrti'),
      tdf: coded('tdf'),
    })
    const ask = async (modifier: string) =>
      (await made.find('Observation', `code:${modifier}=${encodeURIComponent(`${system}|nrti`)}`)).sort()
    expect(await ask('below')).toEqual(['nrti', 'tdf'])
    expect(await ask('above')).toEqual(['art', 'nrti'])
  })
})

describe('uploaded search parameters', () => {
  test('become searchable, say so while they are indexed, and can be retired', async () => {
    const code = unique('custom').slice(0, 40)
    const before = await world({ old: { resourceType: 'Patient', maritalStatus: { text: code } } })
    const parameter = await created({
      resourceType: 'SearchParameter',
      url: `http://acme.org/SearchParameter/${code}`,
      name: code,
      status: 'active',
      description: 'x',
      code,
      base: ['Patient'],
      type: 'string',
      expression: 'Patient.maritalStatus.text',
    })
    const after = await created<Patient>({ resourceType: 'Patient', maritalStatus: { text: code } })
    let answer = await get(`Patient?${code}=${code}`)
    for (const began = Date.now(); answer.status !== 200 && Date.now() - began < 10_000; ) {
      // Until all is indexed an answer would be incomplete, and the server says so.
      expectOutcome(answer, 400)
      answer = await get(`Patient?${code}=${code}`)
    }
    expect(idsIn(resourceIn<Bundle>(answer)).sort()).toEqual([before.refs['old']!.split('/')[1], after.id].sort())
    const statement = JSON.parse((await get('metadata')).text)
    const { searchParam } = statement.rest[0].resource.find(({ type }: { type: string }) => type === 'Patient')
    expect(searchParam.map(({ name }: { name: string }) => name)).toContain(code)
    expect([200, 204]).toContain((await remove(`SearchParameter/${parameter.id}`)).status)
    expectOutcome(await get(`Patient?${code}=${code}`), 400)
  })

  const wrong = (more: Record<string, unknown>) => ({
    resourceType: 'SearchParameter',
    url: `http://acme.org/SearchParameter/${unique()}`,
    name: 'x',
    status: 'active',
    description: 'x',
    code: unique('c').slice(0, 30),
    base: ['Patient'],
    type: 'string',
    expression: 'Patient.name.family',
    ...more,
  })

  test.each<[string, Record<string, unknown>]>([
    ['an expression that cannot be read', { expression: 'Patient.name[' }],
    ['an expression with an unknown function', { expression: 'Patient.name.explode()' }],
    ['no expression', { expression: undefined }],
    ['a code that R4 has for another meaning', { code: 'family', expression: 'Patient.name.text' }],
    ['the url of a parameter of R4', { url: 'http://hl7.org/fhir/SearchParameter/individual-family' }],
    ['a base that is no resource type', { base: ['Pacient'] }],
    ['a code that cannot stand in a URL', { code: 'a:b.c' }],
    ['a composite without parts', { type: 'composite' }],
  ])('%s is 422', async (_name, more) => {
    expectOutcome(await send('POST', 'SearchParameter', { body: wrong(more) }), [400, 422])
  })
})
