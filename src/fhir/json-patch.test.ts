import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { applyJsonPatch, FhirError, type Json, type JsonObject, parseJson, type Resource, writeJson } from './index.js'

const patient = parseJson(
  '{"resourceType":"Patient","id":"1","active":true,"name":[{"family":"Oduya","given":["a","b"]},{"text":"x"}],"a/b":1,"m~n":2,"":3,"n":[1.50,0]}',
) as Resource

const patch = (operations: string, resource = patient) => writeJson(applyJsonPatch(resource, parseJson(operations)))
const refusal = (operations: unknown, resource = patient): FhirError => {
  try {
    applyJsonPatch(resource, operations)
  } catch (error) {
    if (error instanceof FhirError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

// https://www.rfc-editor.org/rfc/rfc6902#section-4, https://www.rfc-editor.org/rfc/rfc6901
describe('operations', () => {
  const resource = parseJson('{"resourceType":"Basic","o":{"a":1},"l":[1,2]}') as Resource
  test.each([
    ['add a member', '[{"op":"add","path":"/o/b","value":2.0}]', '"o":{"a":1,"b":2.0},"l":[1,2]'],
    ['add replaces a member that is there', '[{"op":"add","path":"/o/a","value":null}]', '"o":{"a":null},"l":[1,2]'],
    ['add before an index', '[{"op":"add","path":"/l/1","value":9}]', '"o":{"a":1},"l":[1,9,2]'],
    ['add after the last', '[{"op":"add","path":"/l/2","value":9}]', '"o":{"a":1},"l":[1,2,9]'],
    ['add at the end', '[{"op":"add","path":"/l/-","value":9}]', '"o":{"a":1},"l":[1,2,9]'],
    ['remove a member', '[{"op":"remove","path":"/o/a"}]', '"o":{},"l":[1,2]'],
    ['remove from a list', '[{"op":"remove","path":"/l/0"}]', '"o":{"a":1},"l":[2]'],
    ['replace keeps the order of members', '[{"op":"replace","path":"/o","value":3}]', '"o":3,"l":[1,2]'],
    ['replace in a list', '[{"op":"replace","path":"/l/1","value":"é"}]', '"o":{"a":1},"l":[1,"é"]'],
    ['move a member', '[{"op":"move","from":"/o/a","path":"/b"}]', '"o":{},"l":[1,2],"b":1'],
    ['move within a list', '[{"op":"move","from":"/l/0","path":"/l/1"}]', '"o":{"a":1},"l":[2,1]'],
    ['move to where it is', '[{"op":"move","from":"/l","path":"/l"}]', '"o":{"a":1},"l":[1,2]'],
    ['move into what holds it', '[{"op":"move","from":"/o/a","path":"/o"}]', '"o":1,"l":[1,2]'],
    [
      'copy is a copy',
      '[{"op":"copy","from":"/o","path":"/p"},{"op":"add","path":"/p/b","value":2}]',
      '"o":{"a":1},"l":[1,2],"p":{"a":1,"b":2}',
    ],
    [
      'the added value is not shared',
      '[{"op":"add","path":"/p","value":[]},{"op":"copy","from":"/p","path":"/q"},{"op":"add","path":"/q/-","value":1}]',
      '"o":{"a":1},"l":[1,2],"p":[],"q":[1]',
    ],
    [
      'members of an operation that are not known are ignored',
      '[{"op":"test","path":"/l/0","value":1,"x":1,"from":2}]',
      '"o":{"a":1},"l":[1,2]',
    ],
    ['no operations', '[]', '"o":{"a":1},"l":[1,2]'],
  ])('%s', (_, operations, expected) => {
    const before = writeJson(resource)
    expect(patch(operations, resource)).toBe(`{"resourceType":"Basic",${expected}}`)
    expect(writeJson(resource)).toBe(before)
  })

  test('the whole resource can be replaced by another', () => {
    expect(patch('[{"op":"replace","path":"","value":{"resourceType":"Basic"}}]')).toBe('{"resourceType":"Basic"}')
    expect(patch('[{"op":"add","path":"","value":{"resourceType":"Basic"}}]')).toBe('{"resourceType":"Basic"}')
  })

  test('what the patch does not touch keeps its digits and its order', () => {
    expect(patch('[{"op":"replace","path":"/name/0/given/1","value":"c"}]')).toBe(
      writeJson(patient).replace('"b"', '"c"'),
    )
  })

  test('an operation sees what those before it did', () => {
    expect(
      patch(
        '[{"op":"add","path":"/c","value":{}},{"op":"add","path":"/c/d","value":[]},{"op":"add","path":"/c/d/0","value":1}]',
      ),
    ).toContain('"c":{"d":[1]}')
  })
})

describe('pointers', () => {
  test.each([
    ['/a~1b', 1],
    ['/m~0n', 2],
    ['/', 3],
    ['/name/1/text', 'x'],
    ['/n/1', 0],
  ])('%s', (path, value) => {
    expect(applyJsonPatch(patient, [{ op: 'test', path, value }])).toBe(patient)
  })

  test.each([
    '/nothing',
    '/name/2',
    '/name/-',
    '/name/00',
    '/name/1e0',
    '/name/-1',
    '/name/+1',
    '/name/0x0',
    '/name/text',
    '/name/length',
    '/active/x',
    '/n/0/text',
    '/id/0',
    '/constructor',
    '/__proto__',
    '/toString',
    '/name/constructor',
    '/name/99999999999999999999',
    '/a',
  ])('%s leads nowhere', (path) => {
    for (const op of ['remove', 'replace', 'test', 'move', 'copy']) {
      const error = refusal([
        { op, ...(op === 'move' || op === 'copy' ? { from: path, path: '/x' } : { path, value: 1 }) },
      ])
      expect([op, error.status, error.issues[0]!.code, error.issues[0]!.expression]).toEqual([
        op,
        422,
        'processing',
        ['operations[0]'],
      ])
    }
  })

  test.each(['/nothing/x', '/name/3', '/name/x', '/active/x', '/n/0/text', '/constructor/x', '/__proto__/x'])(
    'nothing is added at %s',
    (path) => {
      expect(refusal([{ op: 'add', path, value: 1 }]).status).toBe(422)
    },
  )

  test('no property is called __proto__', () => {
    expect(refusal([{ op: 'add', path: '/__proto__', value: {} }]).status).toBe(400)
    expect(refusal([{ op: 'copy', from: '/name', path: '/name/0/__proto__' }]).status).toBe(400)
    expect(({} as JsonObject)['family']).toBeUndefined()
  })
})

describe('test compares values', () => {
  test.each<[string, string, boolean]>([
    ['1.50', '1.5', true],
    ['1.50', '15e-1', true],
    ['1.50', '0.15E+1', true],
    ['100', '1e2', true],
    ['0', '-0', true],
    ['0.00', '0', true],
    ['0e5', '0', true],
    ['-1.0', '-1', true],
    ['-1', '1', false],
    ['1', '"1"', false],
    ['1', 'true', false],
    ['0', 'null', false],
    ['123456789012345678', '123456789012345679', false],
    ['123456789012345678', '123456789012345678.0', true],
    ['1e-400', '0', false],
    ['1e21', '1000000000000000000000', true],
    ['1.0', '{}', false],
    ['{"a":1,"b":[1.0,{"c":null}]}', '{"b":[1,{"c":null}],"a":1.00}', true],
    ['{"a":1}', '{"a":1,"b":2}', false],
    ['{"a":1,"b":2}', '{"a":1}', false],
    ['{"a":1}', '{"b":1}', false],
    ['{"toString":1}', '{"a":1}', false],
    ['{}', '[]', false],
    ['[1,2]', '[2,1]', false],
    ['[1]', '[1,2]', false],
    ['null', 'null', true],
    ['"\u00e9"', '"e\\u0301"', false],
  ])('%s and %s: %s', (left, right, expected) => {
    const resource = { resourceType: 'Basic', v: parseJson(left) } as Resource
    const run = () => applyJsonPatch(resource, [{ op: 'test', path: '/v', value: parseJson(right) }])
    if (expected) expect(run()).toEqual(resource)
    else expect(run).toThrow('not the one the test expects')
  })
})

describe('what is refused', () => {
  test.each<[string, unknown]>([
    ['an object', {}],
    ['null', null],
    ['undefined', undefined],
    ['a string', '[]'],
  ])('%s is no list of operations', (_, operations) => expect(refusal(operations).status).toBe(400))

  test.each<[string, Json]>([
    ['no object', 'add'],
    ['null', null],
    ['a list', []],
    ['no op', { path: '/a', value: 1 }],
    ['an unknown op', { op: 'Add', path: '/a', value: 1 }],
    ['an op of Object.prototype', { op: 'constructor', path: '/a', value: 1 }],
    ['an op that is no string', { op: 1, path: '/a', value: 1 }],
    ['no path', { op: 'add', value: 1 }],
    ['a path that is no string', { op: 'add', path: ['a'], value: 1 }],
    ['a path without "/"', { op: 'add', path: 'a', value: 1 }],
    ['a path with a bad escape', { op: 'add', path: '/a~2', value: 1 }],
    ['a path that ends in an escape', { op: 'add', path: '/a~', value: 1 }],
    ['no value to add', { op: 'add', path: '/a' }],
    ['no value to replace', { op: 'replace', path: '/active' }],
    ['no value to test', { op: 'test', path: '/active' }],
    ['no from to move', { op: 'move', path: '/a' }],
    ['a bad from to copy', { op: 'copy', path: '/a', from: 'active' }],
    ['a move into itself', { op: 'move', from: '/name', path: '/name/0/x' }],
  ])('an operation with %s', (_, operation) => {
    const error = refusal([{ op: 'test', path: '/active', value: true }, operation])
    expect([error.status, error.issues[0]!.code, error.issues[0]!.expression]).toEqual([
      400,
      'invalid',
      ['operations[1]'],
    ])
  })

  test('what leaves no resource', () => {
    for (const operations of [
      [{ op: 'remove', path: '' }],
      [{ op: 'replace', path: '', value: [] }],
      [{ op: 'replace', path: '', value: null }],
      [{ op: 'replace', path: '', value: 'a' }],
      [{ op: 'remove', path: '/resourceType' }],
      [{ op: 'replace', path: '/resourceType', value: 1 }],
    ])
      expect(refusal(operations).status).toBe(422)
  })

  test('nothing is done when one operation fails', () => {
    const before = writeJson(patient)
    refusal([
      { op: 'remove', path: '/name' },
      { op: 'test', path: '/active', value: false },
    ])
    expect(writeJson(patient)).toBe(before)
  })

  test('more than what one patch may do', () => {
    expect(refusal(Array.from({ length: 1001 }, () => ({ op: 'test', path: '/active', value: true }))).status).toBe(400)
    const doubling = Array.from({ length: 60 }, () => ({ op: 'copy', from: '/l', path: '/l/-' }))
    const grown = { resourceType: 'Basic', l: ['x'] } as Resource
    expect(refusal(doubling, grown).issues[0]!.code).toMatch(/too-costly|processing/)
    const long = { resourceType: 'Basic', a: 'x'.repeat(1_000_000) } as Resource
    expect(
      refusal(
        Array.from({ length: 20 }, (_, i) => ({ op: 'copy', from: '/a', path: `/b${i}` })),
        long,
      ).issues[0]!.code,
    ).toBe('too-costly')
  })

  test('what would become deeper than a resource may be', () => {
    const deep = parseJson('['.repeat(60) + ']'.repeat(60))
    expect(applyJsonPatch(patient, [{ op: 'add', path: '/x', value: deep }])).toHaveProperty('x')
    const to = `/x${'/0'.repeat(59)}`
    expect(
      refusal([
        { op: 'add', path: '/x', value: deep },
        { op: 'add', path: `${to}/-`, value: deep },
      ]).status,
    ).toBe(422)
    expect(
      refusal([
        { op: 'add', path: '/x', value: deep },
        { op: 'copy', from: '/x', path: `${to}/-` },
      ]).status,
    ).toBe(422)
    expect(refusal([{ op: 'add', path: '/a'.repeat(100_000), value: 1 }]).status).toBe(422)
  })

  test('whatever is sent, the answer is a resource or a FhirError', () => {
    const pointer = fc.constantFrom(
      '',
      '/',
      '/name',
      '/name/0',
      '/name/0/given',
      '/name/-',
      '/x',
      '/resourceType',
      '/~',
      'x',
      '/n/0',
    )
    const operation = fc.record(
      {
        op: fc.oneof(fc.constantFrom('add', 'remove', 'replace', 'move', 'copy', 'test'), fc.jsonValue()),
        path: fc.oneof({ weight: 5, arbitrary: pointer }, { weight: 1, arbitrary: fc.jsonValue() }),
        from: fc.oneof({ weight: 5, arbitrary: pointer }, { weight: 1, arbitrary: fc.jsonValue() }),
        value: fc.jsonValue().map((value) => parseJson(JSON.stringify(value).replaceAll('__proto__', 'proto'))),
      },
      { requiredKeys: [], noNullPrototype: true },
    )
    fc.assert(
      fc.property(
        fc.array(fc.oneof({ weight: 9, arbitrary: operation }, { weight: 1, arbitrary: fc.jsonValue() }), {
          maxLength: 6,
        }),
        (operations) => {
          const before = writeJson(patient)
          try {
            expect(typeof applyJsonPatch(patient, operations).resourceType).toBe('string')
          } catch (error) {
            expect(error).toBeInstanceOf(FhirError)
          }
          expect(writeJson(patient)).toBe(before)
        },
      ),
      { numRuns: 2000 },
    )
  })
})
