import { describe, expect, test } from '@jest/globals'
import { FhirError } from '../fhir/index.js'
import { searchParams } from './params.js'
import { chainDepthMax } from './scope.js'
import { ask, context } from './testing.js'

const where = async (url: string) => (await ask(url)).query.where

/** The outcome of a request that is refused. */
async function refusal(url: string, changes = {}): Promise<{ status: number; code: string; text: string }> {
  try {
    await ask(url, changes)
  } catch (error) {
    if (error instanceof FhirError)
      return { status: error.status, code: error.issues[0]!.code, text: error.issues[0]!.diagnostics }
    throw error
  }
  throw new Error(`${url} was not refused`)
}

describe('what is asked becomes an expression', () => {
  test.each<[string, object]>([
    ['Patient', { op: 'everything' }],
    ['Patient?_id=a,b,a', { op: 'ids', ids: ['a', 'b'] }],
    ['Patient?name=%C3%89va', { op: 'string', param: 'name', how: 'starts', value: 'eva' }],
    ['Patient?name:exact=%C3%89va', { op: 'string', param: 'name', how: 'exact', value: 'Éva' }],
    ['Patient?gender=|male', { op: 'token', param: 'gender', system: '', code: 'male' }],
    ['Patient?gender=http://x|', { op: 'token', param: 'gender', system: 'http://x' }],
    ['Patient?identifier=a%5C|b|c', { op: 'token', param: 'identifier', system: 'a|b', code: 'c' }],
    ['Patient?active:not=true', { op: 'not', of: { op: 'token', param: 'active', code: 'true' } }],
    ['Patient?birthdate:missing=true', { op: 'missing', param: 'birthdate' }],
    ['Patient?birthdate:missing=false', { op: 'not', of: { op: 'missing', param: 'birthdate' } }],
    ['Patient?_id:missing=false', { op: 'everything' }],
    ['Patient?_id:missing=true', { op: 'nothing' }],
    ['Patient?_id:not=a', { op: 'not', of: { op: 'ids', ids: ['a'] } }],
    ['Observation?subject:identifier=s|v', { op: 'token', param: 'subject:identifier', system: 's', code: 'v' }],
    ['Observation?code:text=head', { op: 'string', param: 'code:text', how: 'starts', value: 'head' }],
    [
      'Observation?subject:Patient.organization.name=x',
      {
        op: 'chain',
        param: 'subject',
        types: ['Patient'],
        of: {
          op: 'chain',
          param: 'organization',
          types: ['Organization'],
          of: { op: 'string', param: 'name', how: 'starts', value: 'x' },
        },
      },
    ],
    ['Patient?_list=List/1,2', { op: 'has', type: 'List', param: 'item', of: { op: 'ids', ids: ['1', '2'] } }],
    [
      'Observation?code-value-quantity=1$gt2,3$4',
      {
        op: 'or',
        of: [
          {
            op: 'composite',
            param: 'code-value-quantity',
            of: [
              { op: 'token', param: '$0', code: '1' },
              { op: 'quantity', param: '$1', prefix: 'gt', lo: 2, hi: 2, unit: { kind: 'any' } },
            ],
          },
          {
            op: 'composite',
            param: 'code-value-quantity',
            of: [
              { op: 'token', param: '$0', code: '3' },
              { op: 'quantity', param: '$1', prefix: 'eq', lo: 3.5, hi: 4.499999999999999, unit: { kind: 'any' } },
            ],
          },
        ],
      },
    ],
    [
      'Patient/1/Observation?',
      {
        op: 'or',
        of: [
          { op: 'reference', param: 'subject', target: { type: 'Patient', id: '1' } },
          { op: 'reference', param: 'performer', target: { type: 'Patient', id: '1' } },
        ],
      },
    ],
    [
      'Patient/1/Patient?',
      {
        op: 'or',
        of: [
          { op: 'ids', ids: ['1'] },
          { op: 'reference', param: 'link', target: { type: 'Patient', id: '1' } },
        ],
      },
    ],
  ])('%s', async (url, expression) => expect(await where(url)).toEqual(expression))

  test('types that read a parameter differently have an expression each', async () => {
    const { query } = await ask('?_type=MolecularSequence,Observation&patient=1')
    expect(query.types).toEqual(['MolecularSequence', 'Observation'])
    expect(query.where).toEqual({
      op: 'typed',
      of: {
        MolecularSequence: { op: 'reference', param: 'patient', target: { type: 'Patient', id: '1' } },
        Observation: {
          op: 'or',
          of: [
            { op: 'reference', param: 'patient', target: { type: 'Patient', id: '1' } },
            { op: 'reference', param: 'patient', target: { type: 'Group', id: '1' } },
          ],
        },
      },
    })
  })

  test('a search of everything has no types, one of a compartment those of its members', async () => {
    expect((await ask('?_lastUpdated=gt2010')).query.types).toBeUndefined()
    const { query } = await ask('Patient/1/*?')
    expect(query.types).toContain('Observation')
    expect(query.types).toContain('Patient')
    expect(query.types).not.toContain('Organization')
    expect(query.where.op).toBe('typed')
  })

  test('a chain leads to every target that has the parameter', async () =>
    expect(await where('Observation?subject.name=x')).toMatchObject({ op: 'chain', types: ['Patient', 'Location'] }))
})

describe('what is answered, and how', () => {
  test.each<[string, object]>([
    ['Patient', { sort: [], include: [], count: 20, total: false }],
    ['Patient?_count=5', { count: 5 }],
    ['Patient?_count=5000', { count: 1000 }],
    ['Patient?_count=0', { count: 0, total: true }],
    ['Patient?_summary=count', { count: 0, total: true }],
    ['Patient?_total=accurate', { total: true }],
    ['Patient?_total=estimate', { total: true }],
    ['Patient?_total=none', { total: false }],
    [
      'Patient?_sort=family,-birthdate,_id',
      {
        sort: [
          { param: 'family', descending: false },
          { param: 'birthdate', descending: true },
          { param: '_id', descending: false },
        ],
      },
    ],
    [
      'Observation?_include=Observation:subject:Patient&_include:iterate=Patient:organization',
      {
        include: [
          { reverse: false, iterate: false, type: 'Observation', param: 'subject', target: 'Patient' },
          { reverse: false, iterate: true, type: 'Patient', param: 'organization' },
        ],
      },
    ],
    ['Observation?_include=*', { include: [{ reverse: false, iterate: false, type: 'Observation', param: '*' }] }],
    ['Observation?_include:iterate=*', { include: [{ reverse: false, iterate: true, type: '*', param: '*' }] }],
    ['Patient?_revinclude=*', { include: [{ reverse: true, iterate: false, type: '*', param: '*' }] }],
    [
      'Patient?_revinclude=Observation:*',
      { include: [{ reverse: true, iterate: false, type: 'Observation', param: '*' }] },
    ],
    [
      'Patient?_include:recurse=Patient:link',
      { include: [{ reverse: false, iterate: true, type: 'Patient', param: 'link' }] },
    ],
  ])('%s', async (url, query) => expect((await ask(url)).query).toMatchObject(query))

  test('summary, elements and explain are passed on', async () => {
    expect(await ask('Patient?_summary=text')).toMatchObject({ summary: 'text' })
    expect(await ask('Patient?_count=0')).toMatchObject({ summary: 'count' })
    expect(await ask('Patient?_elements=name,birthDate&_elements=name')).toMatchObject({
      elements: ['name', 'birthDate'],
    })
    expect(await ask('Patient?_explain=true')).toMatchObject({ explain: true })
    expect(await ask('Patient?_format=json&_pretty=true&_contained=false')).toMatchObject({
      applied: [],
      explain: false,
    })
  })
})

describe('the self link', () => {
  test.each([
    ['Patient?name=b&birthdate=2010&name=a', 'birthdate=2010 name=b name=a'],
    ['Patient?_count=5000&name=a&name=a', '_count=1000 name=a'],
    ['?_type=Patient,Observation', '_type=Observation,Patient'],
    ['Patient?_include:recurse=Patient:link', '_include:iterate=Patient:link'],
  ])('%s has %s', async (url, applied) =>
    expect((await ask(url)).applied.map((each) => each.join('=')).join(' ')).toBe(applied),
  )

  test('with lenient handling holds only what was applied, and the rest is named', async () => {
    const parsed = await ask('Patient?nmae=x&name:like=y&gender=male&_sort=photo', { handling: 'lenient' })
    expect(parsed.applied).toEqual([['gender', 'male']])
    expect(parsed.ignored.map(({ severity, expression }) => `${severity} ${expression}`)).toEqual([
      'warning _sort',
      'warning name:like',
      'warning nmae',
    ])
    expect(parsed.query.where).toEqual({ op: 'token', param: 'gender', code: 'male' })
  })
})

describe('refused with 400 and what to do', () => {
  test.each([
    ['Patient?nmae=x', 'not-supported', 'did you mean "name"'],
    ['Observation?cod=x', 'not-supported', 'did you mean "code"'],
    ['Patient?age=5', 'not-supported', 'no expression'],
    ['Patient?_query=x', 'not-supported', 'no expression'],
    ['Patient?name:like=x', 'not-supported', 'it has missing, exact, contains'],
    ['Patient?birthdate:exact=2010', 'not-supported', 'no modifier'],
    ['Patient?name:exact:contains=x', 'not-supported', 'more than one modifier'],
    ['Patient?phonetic:exact=x', 'not-supported', 'no modifier'],
    ['Patient?name=', 'invalid', 'no value'],
    ['Patient?name=a,,b', 'invalid', 'empty value'],
    ['Patient?name=%F0%9F%98%80', 'invalid', 'letter or digit'],
    ['Patient?gender=|', 'invalid', 'system|code'],
    ['Patient?gender:missing=maybe', 'invalid', 'true or false'],
    ['Patient?birthdate=2010-13', 'invalid', '"birthdate" takes a date'],
    ['Patient?birthdate=2021-02-30', 'invalid', 'takes a date'],
    ['Patient?birthdate=xx2010', 'invalid', 'takes a date'],
    ['Patient?birthdate=gt', 'invalid', 'takes a date'],
    ['RiskAssessment?probability=1,x', 'invalid', 'takes a number'],
    ['RiskAssessment?probability=0x10', 'invalid', 'takes a number'],
    ['RiskAssessment?probability=1e999', 'invalid', 'takes a number'],
    ['RiskAssessment?probability=Infinity', 'invalid', 'takes a number'],
    ['Observation?value-quantity=5|mg', 'invalid', 'number|system|code'],
    ['Observation?value-quantity=5|http://x|', 'invalid', 'without a code'],
    ['Observation?code-value-quantity=1', 'invalid', '2 values joined by $'],
    ['Observation?code-value-quantity=1$2$3', 'invalid', '2 values joined by $'],
    ['Observation?code:below=x', 'invalid', 'system|code'],
    ['Observation?subject:Practitioner=1', 'invalid', 'does not refer to a Practitioner'],
    ['Observation?subject:Patient=Group/1', 'invalid', 'asks for a Patient'],
    ['Observation?subject=Patient/', 'invalid', 'Type/id'],
    ['Observation?subject:below=x', 'not-supported', 'hierarchies'],
    ['Observation?subject.nmae=x', 'not-supported', 'no search parameter "nmae"'],
    ['Observation?subject:Practitioner.name=x', 'not-supported', 'does not lead to'],
    ['Observation?code.name=x', 'not-supported', 'no reference'],
    ['Patient?_has:Observation:patient=x', 'invalid', '_has:Type:reference:parameter'],
    ['Patient?_has:Observaton:patient:code=x', 'not-supported', 'did you mean "Observation"'],
    ['Patient?_has:Observation:encounter:code=x', 'not-supported', 'does not refer to a Patient'],
    ['Patient?_has:Observation:code:code=x', 'not-supported', 'no reference'],
    ['Patient?_list=$current-allergies', 'not-supported', 'functional lists'],
    ['Patient?_sort=photo', 'not-supported', 'no search parameter'],
    ['Location?_sort=near', 'not-supported', 'cannot be sorted'],
    ['Observation?_sort=code-value-quantity', 'not-supported', 'cannot be sorted'],
    ['Patient?_sort=', 'invalid', '_sort'],
    ['Patient?_count=-1', 'invalid', 'not negative'],
    ['Patient?_count=1.5', 'invalid', 'not negative'],
    ['Patient?_count=1&_count=2', 'invalid', 'more than once'],
    ['Patient?_total=maybe', 'invalid', 'none, estimate or accurate'],
    ['Patient?_summary=yes', 'invalid', '_summary'],
    ['Patient?_elements=a b', 'invalid', '_elements'],
    ['Patient?_contained=true', 'not-supported', 'contained'],
    ['Patient?_include=subject', 'invalid', 'Type:parameter'],
    ['Patient?_include=Observation:code', 'not-supported', 'no reference'],
    ['Patient?_include=Observation:subject:Practitioner', 'not-supported', 'does not refer'],
    ['Patient?_include:often=*', 'not-supported', 'iterate'],
    ['Patient?_type=Observation', 'invalid', '_type'],
    ['?_type=Patiant', 'not-supported', 'did you mean "Patient"'],
    ['?_type=Patient,Observation&name=x', 'not-supported', 'Observation has no search parameter "name"'],
    ['?name=x', 'not-supported', 'all types together'],
    ['Nonsense?', 'not-supported', 'no resource type'],
    ['Patient/1/Organization?', 'not-supported', 'not part of the Patient compartment'],
    ['Organization/1/Patient?', 'not-supported', 'no Organization compartment'],
    ['Location?near=100|0', 'invalid', 'latitude'],
    ['Location?near=1', 'invalid', 'latitude|longitude'],
    ['Location?near=1|1|5|kg', 'invalid', 'unit of length'],
    ['Patient?_text=(a', 'invalid', 'parenthesis'],
    ['Patient?_text=a)', 'invalid', 'parenthesis'],
    ['Patient?_text=and', 'invalid', 'word is missing'],
    ['Patient?constructor=x', 'not-supported', 'no search parameter'],
    ['Patient?__proto__=x', 'not-supported', 'no search parameter'],
  ])('%s', async (url, code, text) => {
    const refused = await refusal(url)
    expect(refused).toMatchObject({ status: 400, code })
    expect(refused.text).toContain(text)
  })

  test('an invalid value is refused with lenient handling too', async () =>
    expect(await refusal('Patient?birthdate=x', { handling: 'lenient' })).toMatchObject({ status: 400 }))

  test.each([
    `Observation?${'focus.'.repeat(chainDepthMax + 1)}code=x`,
    `Patient?${'_has:Observation:patient:'.repeat(1)}${'_has:Provenance:target:_has:Provenance:target:'.repeat(4)}recorded=2010`,
    `Patient?_id=${Array(1001).fill('a').join(',')}`,
    `Patient?_sort=${Array(11).fill('name').join(',')}`,
    `Patient?${Array(201).fill('name=a').join('&')}`,
    `Patient?${'x'.repeat(501)}=1`,
    `Patient?${Array.from({ length: 51 }, (_, i) => `_include=Patient:link&_include=Observation:subject&_revinclude=Encounter:patient&x${i}=`).join('&')}`,
    `Patient?_text=${Array(101).fill('a').join('+')}`,
  ])('too costly: %#', async (url) => expect(await refusal(url)).toMatchObject({ status: 400, code: 'too-costly' }))

  test('a parameter that is still being indexed is not answered yet', async () => {
    const params = searchParams([
      {
        url: 'http://x',
        code: 'mine',
        base: ['Patient'],
        type: 'string',
        expression: 'Patient.name.text',
        state: 'indexing',
      },
    ])
    expect((await refusal('Patient?mine=x', { searchParams: params })).text).toContain('still being indexed')
    expect((await refusal('Patient?_sort=mine', { searchParams: params })).text).toContain('still being indexed')
    const lenient = await ask('Patient?mine=x', { searchParams: params, handling: 'lenient' })
    expect(lenient.ignored[0]?.diagnostics).toContain('still being indexed')
  })

  test('an unknown value set is the fault of the search', async () => {
    const terminology = {
      ...context.terminology,
      expand: async () => {
        throw new FhirError(404, [{ severity: 'error' as const, code: 'not-found' as const, diagnostics: 'no' }])
      },
    }
    expect(await refusal('Observation?code:in=http://x', { terminology })).toMatchObject({ status: 400 })
  })
})

describe('dates', () => {
  test('without a zone are in the hospital’s', async () => {
    const { query } = await ask('Observation?date=2013-07-14', { zone: 'Africa/Nairobi' })
    expect(query.where).toMatchObject({ lo: Date.UTC(2013, 6, 13, 21), hi: Date.UTC(2013, 6, 14, 21) - 1 })
  })

  test('ap reaches a tenth of the time that has passed', async () => {
    const { query } = await ask('Observation?date=ap2010-01-01', { now: Date.UTC(2020, 0, 1) })
    const tenth = (Date.UTC(2020, 0, 1) - Date.UTC(2010, 0, 1, 12)) / 10
    expect(query.where).toMatchObject({ op: 'interval', prefix: 'ap' })
    const { lo } = query.where as { lo: number }
    expect(Math.abs(Date.UTC(2010, 0, 1) - lo - tenth)).toBeLessThan(2)
  })
})

test('a chain over all types that may follow one another is understood quickly', async () => {
  const started = performance.now()
  await ask(`Observation?${'focus.'.repeat(7)}code=x`)
  expect(performance.now() - started).toBeLessThan(500)
})
