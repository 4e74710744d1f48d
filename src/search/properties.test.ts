/**
 * What must hold whatever a client sends.
 */
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { FhirError, type Resource, resourceTypes } from '../fhir/index.js'
import { type Expression, fold } from './expression.js'
import { indexed } from './indexed.js'
import { match, type Subject } from './match.js'
import { before, following } from './numbers.js'
import { parse } from './parse.js'
import type { Parsed } from './parsed.js'
import { readParameters, writeParameters } from './query-string.js'
import { context, subjectOf } from './testing.js'

/** Text that has broken searches before. */
const nasty = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom(
    ...[
      '',
      ' ',
      ',',
      '|',
      '||',
      '|||',
      '$',
      '\\',
      '\\,',
      'a\\',
      '%',
      '*',
      '(',
      ')',
      '"',
      "'",
      '--',
      '__proto__',
      'constructor',
    ],
    ...[
      'Ünïcödé',
      'İstanbul',
      'ß',
      'ﬁ',
      '😀',
      '\u0000',
      '\ud800',
      'NaN',
      'null',
      'true',
      '0',
      '-0',
      '1e308',
      '1e-400',
      '9'.repeat(400),
    ],
    ...['gt', 'gt2010', 'ap2010-02-29', '2010-02-30', '0000', '9999-12-31T23:59:60Z', '2010-01-01T00:00:00+14:00'],
    ...['Patient/1', 'Patient/', '/', '#x', 'urn:uuid:x', 'http://x|1', 'http://localhost/fhir/Patient/1', 'a,b,c'],
    ...[
      '5|http://unitsofmeasure.org|mg',
      '5||',
      'gt5.4||mg',
      '5|x|y|z',
      '1$2',
      '$',
      'a$b$c',
      '1|2',
      '90|180|1|km',
      'List/$x',
    ],
    ...[
      '(a)+'.repeat(50),
      'a'.repeat(5000),
      '('.repeat(500),
      `"${'\\'.repeat(500)}`,
      'not '.repeat(100),
      'name co a and '.repeat(50),
    ],
  ),
)

const type = fc.constantFrom('Patient', 'Observation', 'Location', 'RiskAssessment', 'ValueSet', 'Encounter', 'Group')
const modifier = fc.constantFrom(
  '',
  '',
  '',
  ':exact',
  ':contains',
  ':missing',
  ':not',
  ':in',
  ':below',
  ':text',
  ':Patient',
  ':identifier',
  ':of-type',
  ':x',
)
const resultParam = fc.constantFrom(
  '_sort',
  '_count',
  '_include',
  '_revinclude',
  '_total',
  '_summary',
  '_elements',
  '_filter',
  '_list',
  '_id',
  '_text',
  '_content',
  '_type',
  '_lastUpdated',
)

const parameter = (of: string) => {
  const codes = context.searchParams.of(of).map(({ code }) => code)
  const code = fc.constantFrom(...codes)
  const name = fc.oneof(
    fc.tuple(code, modifier).map(([a, b]) => a + b),
    fc
      .tuple(code, modifier, fc.constantFrom('name', '_id', 'code', 'subject.name', 'nonsense'))
      .map(([a, b, c]) => `${a}${b}.${c}`),
    fc.constantFrom(
      '_has:Observation:patient:code',
      '_has:Observation:subject:date',
      '_has:X:y:z',
      '_has:',
      '_has::::',
    ),
    resultParam,
    nasty,
  )
  return fc.tuple(name, nasty)
}

const request = type.chain((of) =>
  fc.record({ types: fc.constant<string[]>([of]), parameters: fc.array(parameter(of), { maxLength: 4 }) }),
)

async function understood(
  asked: Parameters<typeof parse>[0],
  handling: 'strict' | 'lenient',
): Promise<Parsed | undefined> {
  try {
    return await parse(asked, { ...context, handling })
  } catch (error) {
    if (!(error instanceof FhirError)) throw error
    expect(error.status).toBeGreaterThanOrEqual(400)
    expect(error.status).toBeLessThan(500)
    expect(error.issues[0]!.diagnostics.length).toBeLessThan(2000)
    return undefined
  }
}

describe('whatever is asked', () => {
  test('is understood or refused with 4xx, and what was applied asks the same again', () =>
    fc.assert(
      fc.asyncProperty(request, fc.constantFrom('strict' as const, 'lenient' as const), async (asked, handling) => {
        const parsed = await understood(asked, handling)
        if (!parsed) return
        const again = await parse({ ...asked, parameters: parsed.applied }, context)
        expect(again.query).toEqual(parsed.query)
        expect(again.applied).toEqual(parsed.applied)
        expect(again.ignored).toEqual([])
        const link = parsed.applied.filter(
          (each) => !/[\ud800-\udfff]/.test(each.join('').replace(/[\ud800-\udbff][\udc00-\udfff]/g, '')),
        )
        expect(readParameters(writeParameters(link))).toEqual(link)
      }),
      { numRuns: 600 },
    ))

  test('the order of the parameters does not matter', () =>
    fc.assert(
      fc.asyncProperty(request, async (asked) => {
        const names = asked.parameters.map(([name]) => name)
        fc.pre(new Set(names).size === names.length)
        const [one, other] = await Promise.all([
          understood(asked, 'lenient'),
          understood({ ...asked, parameters: [...asked.parameters].reverse() }, 'lenient'),
        ])
        expect(other?.query).toEqual(one?.query)
      }),
    ))
})

const value = fc.letrec((tie) => ({
  json: fc.oneof(
    { maxDepth: 3 },
    nasty,
    fc.constantFrom(null, true, 5, -1.5),
    fc.array(tie('json'), { maxLength: 2 }),
    fc.dictionary(
      fc.constantFrom('coding', 'code', 'system', 'value', 'reference', 'text', 'start', 'low', 'display', 'data'),
      tie('json'),
      { maxKeys: 3 },
    ),
  ),
})).json

test('any tree can be indexed, and every expression is decided on it', () =>
  fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...resourceTypes).chain((of) => {
        const names = context.searchParams
          .of(of)
          .flatMap(({ expression = '' }) => expression.match(/(?<=\.)[a-z]\w+/g) ?? ['x'])
        return fc.tuple(fc.constant(of), fc.dictionary(fc.constantFrom(...new Set(names)), value, { maxKeys: 5 }))
      }),
      request,
      async ([of, properties], asked) => {
        const resource = { ...properties, resourceType: of } as Resource
        const entries = indexed(resource, context)
        for (const entry of entries) expect(JSON.parse(JSON.stringify(entry))).toEqual(entry)
        const parsed = await understood(asked, 'lenient')
        if (parsed) expect(typeof match(subjectOf(resource), parsed.query.where)).toBe('boolean')
      },
    ),
    { numRuns: 500 },
  ))

test('not finds exactly what is not found, and or what either finds', () =>
  fc.assert(
    fc.asyncProperty(request, request, async (one, other) => {
      const [a, b] = await Promise.all([understood(one, 'lenient'), understood(other, 'lenient')])
      if (!a || !b) return
      const subject: Subject = subjectOf({ resourceType: 'Patient', id: '1', name: [{ text: 'a' }], gender: 'male' })
      const holds = (expression: Expression) => match(subject, expression)
      const [x, y] = [a.query.where, b.query.where]
      expect(holds({ op: 'not', of: x })).toBe(!holds(x))
      expect(holds({ op: 'or', of: [x, y] })).toBe(holds(x) || holds(y))
      expect(holds({ op: 'and', of: [x, y] })).toBe(holds(x) && holds(y))
    }),
    { numRuns: 300 },
  ))

test('folded text is folded already', () =>
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 50 }), (text) => {
      expect(fold(fold(text))).toBe(fold(text))
    }),
  ))

test('nothing lies between a number and the one before it', () =>
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (number) => {
      fc.pre(Math.abs(number) < Number.MAX_VALUE)
      expect(before(number)).toBeLessThan(number)
      expect(following(before(number)) + 0).toBe(number + 0)
      const middle = before(number) + (number - before(number)) / 2
      expect(middle === before(number) || middle === number).toBe(true)
    }),
  ))

test('long values take time in proportion to their length', async () => {
  const started = performance.now()
  const long = [
    'T'.repeat(100_000),
    `${'T'.repeat(50_000)} 00:00`,
    '1'.repeat(100_000),
    '\\'.repeat(100_000),
    '|'.repeat(100_000),
    'é '.repeat(50_000),
    '"'.repeat(99_999),
    `${'a'.repeat(9_000)}.`,
    `"${'\\"'.repeat(4_000)}`,
  ]
  for (const text of long)
    for (const name of [
      'birthdate',
      'name',
      'identifier',
      'general-practitioner',
      '_text',
      '_filter',
      '_sort',
      '_id',
      '_profile:below',
    ])
      await understood({ types: ['Patient'], parameters: [[name, text]] }, 'strict')
  expect(performance.now() - started).toBeLessThan(5000)
})
