import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import {
  clientTimeoutMs,
  compileFhirPath,
  compileTypedFhirPath,
  expressionMax,
  FhirError,
  type Json,
  locate,
  parseJson,
  writeJson,
} from './index.js'

const observation = parseJson(`{
  "resourceType": "Observation",
  "contained": [{"resourceType": "Patient", "id": "p"}, {"resourceType": "Device", "id": "d"}],
  "text": {"status": "generated", "div": "<div xmlns=\\"http://www.w3.org/1999/xhtml\\">a</div>"},
  "_status": {"extension": [{"url": "urn:x", "valueDecimal": 1.50}]},
  "code": {"coding": [{"system": "http://loinc.org", "code": "25836-8"}, {"code": "vl"}]},
  "subject": {"reference": "#p"},
  "performer": [{"reference": "Practitioner/7"}, {"reference": "https://example.org/fhir/Organization/o"}, {"display": "a"}],
  "effectiveDateTime": "2020-01-02",
  "valueQuantity": {"value": 1.00, "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"},
  "component": [{"valueInteger": 1}, {"valueString": "x"}]
}`)

const evaluate = (expression: string, input: Json = observation) => compileFhirPath(expression)(input)

const refusal = (run: () => unknown): FhirError => {
  try {
    run()
  } catch (error) {
    if (error instanceof FhirError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

describe('what an expression gives', () => {
  test.each<[string, unknown[]]>([
    ['Observation.code.coding.code', ['25836-8', 'vl']],
    ['code.coding.where(system = %loinc).code', ['25836-8']],
    ['Observation.value.value', [1]],
    ['Observation.value is Quantity', [true]],
    ['(Observation.value as Quantity).unit', ['mg']],
    ['value.ofType(Period)', []],
    ["value = 1 'mg'", [true]],
    ["value = 0.001 'g'", [true]],
    ['component.value', [1, 'x']],
    ['status', []],
    ['status.extension.value', [1.5]],
    ['status.exists()', [true]],
    ['effective', ['2020-01-02']],
    ['effective + 1 day', ['2020-01-03']],
    ['effective >= @2020-01-01', [true]],
    ['1 + 1', [2]],
    ["'a' & 'b'", ['ab']],
    ['{}', []],
    ['Patient', []],
    ['code.coding.count()', [2]],
    ["3 'mg'", ["3 'mg'"]],
    ['text.div.exists()', [true]],
    ["'.div' & text.div.substring(0, 4)", ['.div<div']],
    ['Observation.text.`div`.exists()', [true]],
    ['5 div 2', [2]],
    ["code.trace('secret').exists()", [true]],
    ['%sct', ['http://snomed.info/sct']],
    ['%ucum', ['http://unitsofmeasure.org']],
    ['%`vs-observation-status`', ['http://hl7.org/fhir/ValueSet/observation-status']],
    ['%`ext-patient-birthTime`', ['http://hl7.org/fhir/StructureDefinition/patient-birthTime']],
    ['%resource.code.coding.first().code', ['25836-8']],
    ['code.coding.select(%resource.subject.reference)', ['#p', '#p']],
  ])('%s', (expression, expected) => {
    expect(evaluate(expression)).toEqual(expected)
  })

  test('references resolve to what is contained; of others the type and the id are known', () => {
    expect(evaluate('subject.resolve()')).toEqual([{ resourceType: 'Patient', id: 'p' }])
    expect(evaluate('subject.resolve() is Patient')).toEqual([true])
    expect(evaluate('performer.resolve().where($this is Practitioner).id')).toEqual(['7'])
    expect(evaluate('performer.where(resolve() is Organization).reference')).toEqual([
      'https://example.org/fhir/Organization/o',
    ])
    expect(evaluate("'#p'.resolve()")).toEqual([])
    expect(evaluate("'Patient/1'.resolve().id")).toEqual(['1'])
    expect(evaluate('contained.first().resolve()')).toEqual([])
    const inner = parseJson(
      '{"resourceType":"Observation","contained":[{"resourceType":"Patient","id":"p","link":[{"other":{"reference":"#"}}]}]}',
    )
    expect(evaluate('contained.link.other.resolve() is Observation', inner)).toEqual([true])
    expect(
      evaluate('subject.resolve()', parseJson('{"resourceType":"Observation","subject":{"reference":"#nobody"}}')),
    ).toEqual([])
  })

  test('a part of a resource is evaluated with its path', () => {
    const component = parseJson('{"valueQuantity":{"value":2.50}}')
    expect(compileFhirPath('value is Quantity', { base: 'Observation.component' })(component)).toEqual([true])
    expect(
      compileFhirPath('value.exists() and %resource.id = %rootResource.id', { base: 'Observation.component' })(
        component,
        { resource: { id: 'a' }, rootResource: { id: 'a' } },
      ),
    ).toEqual([true])
  })

  test('variables may be trees with decimals', () => {
    expect(compileFhirPath('%limit.value * 2')(observation, { limit: parseJson('{"value":1.50}') })).toEqual([3])
  })

  test('the tree stays as it is', () => {
    const before = writeJson(observation)
    evaluate('descendants()')
    evaluate('Observation')
    expect(writeJson(observation)).toBe(before)
    expect(Object.getOwnPropertyNames(observation)).not.toContain('__path__')
  })

  test('an input of any kind', () => {
    for (const input of [null, true, 1, 'a', [], {}, [observation, observation]] as Json[])
      expect(Array.isArray(evaluate('descendants().count()', input))).toBe(true)
  })
})

test('results with their types, for search parameters', () => {
  const typed = (expression: string) => compileTypedFhirPath(expression)(observation)
  expect(typed('value')).toEqual([
    { value: { value: 1, unit: 'mg', system: 'http://unitsofmeasure.org', code: 'mg' }, type: 'Quantity' },
  ])
  expect(typed('effective | code.coding.code.first() | status')).toEqual([
    { value: '2020-01-02', type: 'dateTime' },
    { value: '25836-8', type: 'code' },
  ])
  expect(typed("'a' | 1 | true")).toEqual([
    { value: 'a', type: 'string' },
    { value: 1, type: 'integer' },
    { value: true, type: 'boolean' },
  ])
  expect(typed('nothing')).toEqual([])
})

describe('places', () => {
  test.each<[string, string[]]>([
    ['Observation', ['']],
    ["Observation.code.coding.where(code = 'vl')", ['code.coding[1]']],
    ['Observation.code.coding[1].code', ['code.coding[1].code']],
    ['value', ['value']],
    ['component.value', ['component[0].value', 'component[1].value']],
    ['status.extension.value', ['status.extension[0].value']],
    ['subject.resolve().id', ['contained[0].id']],
    ['%resource.component.last()', ['component[1]']],
    ['code | code', ['code']],
    ['nothing', []],
    ["'a'", ['none']],
    ['component.count()', ['none']],
    ['performer.resolve()', ['none', 'none']],
  ])('%s', (expression, expected) => {
    const places = locate(expression, observation, clientTimeoutMs).map((steps) =>
      steps
        ? steps.map(({ property, index }) => property + (index === undefined ? '' : `[${index}]`)).join('.')
        : 'none',
    )
    expect(places).toEqual(expected)
  })
})

describe('what is refused', () => {
  test.each([
    '',
    '1 +',
    '(',
    'a..b',
    "'open",
    'a b',
    '@20',
    '%',
    '#',
    '/* open',
    'a[',
    '\u0000',
    '\ud800',
    'a.where(',
    '`',
  ])('%j cannot be read', (expression) => {
    const error = refusal(() => compileFhirPath(expression))
    expect([error.status, error.issues[0]!.code]).toEqual([400, 'invalid'])
  })

  test.each([
    "1 + 'a'",
    'nothing()',
    '%nothing',
    "memberOf('http://example.org/vs')",
    "'a'.matches('(')",
    'component.single()',
    "5.substring('a')",
    "conformsTo('x')",
    "component.toQuantity('x', 'y', 'z')",
    '5.div(2)',
    'iif(true)',
  ])('%s cannot be evaluated', (expression) => {
    const error = refusal(() => evaluate(expression))
    expect([error.status, error.issues[0]!.code]).toEqual([400, 'invalid'])
  })

  test('the message names the place or the function and quotes nothing else', () => {
    expect(refusal(() => compileFhirPath("name.where(family = 'Oduya' +)")).message).toMatch(/line 1, column \d+$/)
    expect(refusal(() => evaluate("secret('Oduya')")).message).toBe('there is no function secret() here')
    expect(refusal(() => evaluate('iif(true)')).message).toBe('the function iif() has another number of arguments')
    const error = refusal(() => evaluate('subject.reference + 1'))
    expect(error.message).not.toContain('#p')
    expect(error.cause).toBeUndefined()
  })

  test('an expression that is too long, or too deep for the reader', () => {
    expect(refusal(() => compileFhirPath(`1${'+1'.repeat(expressionMax)}`)).issues[0]!.code).toBe('too-costly')
    expect(evaluate(`${'('.repeat(500)}1${')'.repeat(500)}`)).toEqual([1])
  })

  test.each([
    '(1).repeat($this + 1)',
    `'${'a'.repeat(40)}!'.matches('^(a+)+$')`,
    `'x'${'.select($this & $this)'.repeat(60)}.matches('y')`,
    `(1 | 2 | 3 | 4 | 5 | 6 | 7 | 8)${'.combine($this)'.repeat(60)}`,
  ])('%s ends within the time it is given', (expression) => {
    const start = performance.now()
    try {
      compileFhirPath(expression, { timeoutMs: 100 })(observation)
    } catch (error) {
      expect(error).toBeInstanceOf(FhirError)
    }
    expect(performance.now() - start).toBeLessThan(2000)
  })

  test('after one that took too long, the next is evaluated', () => {
    expect(
      refusal(() => compileFhirPath('(1).repeat($this + 1)', { timeoutMs: 50 })(observation)).issues[0]!.code,
    ).toBe('too-costly')
    expect(compileFhirPath('1 + 1', { timeoutMs: 5000 })(observation)).toEqual([2])
  })

  test('whatever is written, the answer is a list or a FhirError', () => {
    const fragment = fc.constantFrom(
      'Observation',
      'component',
      'value',
      '.',
      '.where(',
      '.select(',
      '.first()',
      '.resolve()',
      '(',
      ')',
      '[',
      ']',
      '0',
      '-1',
      "'a'",
      '@2020',
      ' = ',
      ' + ',
      ' | ',
      ' and ',
      '%resource',
      '$this',
      '{}',
      ' is ',
      'Quantity',
      '.extension(',
      '.as(',
      '.toString()',
      '.children()',
      '/',
      '*',
    )
    fc.assert(
      fc.property(fc.array(fragment, { minLength: 1, maxLength: 10 }), (fragments) => {
        try {
          expect(Array.isArray(compileFhirPath(fragments.join(''), { timeoutMs: 1000 })(observation))).toBe(true)
        } catch (error) {
          expect(error).toBeInstanceOf(FhirError)
        }
      }),
      { numRuns: 500 },
    )
  })
})

test('the engine is not loaded before it is asked', () => {
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const script =
    "import { createRequire } from 'node:module'; const { cache } = createRequire(import.meta.url);" +
    "const { compileFhirPath } = await import('./src/fhir/index.ts'); const loaded = () => Object.keys(cache).filter((name) => /[/]fhirpath[/]/.test(name)).length;" +
    "const before = loaded(); compileFhirPath('1'); console.log(before, loaded() > 10)"
  const output = execFileSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
    cwd: root,
    encoding: 'utf8',
  })
  expect(output.trim()).toBe('0 true')
})
