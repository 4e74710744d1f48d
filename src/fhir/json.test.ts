import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Decimal, depthMax, type Json, JsonError, parseJson, propertiesMax, writeJson } from './index.js'

/** Texts of numbers as JSON writes them, above all those that a double would change. */
const numberText = fc
  .tuple(
    fc.constantFrom('', '-'),
    fc.oneof(fc.bigInt({ min: 0n, max: 10n ** 18n }).map(String), fc.constantFrom('0', '1', '10', '9007199254740993')),
    fc.oneof(fc.constant(''), fc.stringMatching(/^\.[0-9]{1,20}$/)),
    fc.oneof(fc.constant(''), fc.stringMatching(/^[eE][+-]?[0-9]{1,2}$/)),
  )
  .map((parts) => parts.join(''))

const string = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.string({ unit: 'binary' }),
  fc.constantFrom(
    '',
    '__proto',
    'constructor',
    'toString',
    '$',
    'a.b',
    '\u0000',
    '\u2028',
    '😀',
    '"\\/\b\f\n\r\t',
    'hasOwnProperty',
  ),
)

const tree: fc.Arbitrary<Json> = fc.letrec<{ value: Json; list: Json[]; object: Json }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom<Json>(null, true, false),
    string,
    numberText.map((text) => parseJson(text)),
    tie('list'),
    tie('object'),
  ),
  list: fc.array(tie('value'), { maxLength: 4 }),
  object: fc
    .uniqueArray(fc.tuple(string, tie('value')), { maxLength: 4, selector: ([key]) => key })
    .map((entries) => Object.fromEntries(entries.filter(([key]) => key !== '__proto__')) as Json),
})).value

const refusal = (text: string | Uint8Array): JsonError => {
  try {
    parseJson(text)
  } catch (error) {
    if (error instanceof JsonError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

describe('numbers', () => {
  test.each([
    '1.00',
    '1.0e2',
    '1E5',
    '-0',
    '0.0',
    '-0.0',
    '123456789012345678',
    '0.1234567890123456789',
    '1.0e-7',
    '100e-2',
  ])('the digits of %s come back', (text) => {
    expect(parseJson(text)).toEqual(new Decimal(text))
    expect(writeJson(parseJson(`{"a":[${text}]}`))).toBe(`{"a":[${text}]}`)
  })

  test.each(['0', '1', '-1', '1.5', '-273.15', '1e+21', '5e-324', '1.7976931348623157e+308', '9007199254740991'])(
    '%s is a plain number',
    (text) => expect(parseJson(text)).toBe(Number(text)),
  )

  test('a decimal is a number to whatever calculates with it', () => {
    const decimal = parseJson('1.50') as Decimal
    expect(decimal.valueOf() * 2).toBe(3)
    expect(JSON.stringify({ decimal })).toBe('{"decimal":1.5}')
    expect(`${decimal}`).toBe('1.50')
  })
})

describe('texts that are refused, with the place', () => {
  test.each<[string, number]>([
    ['', 0],
    ['  ', 2],
    ['{', 1],
    ['[1,]', 3],
    ['{"a":1,}', 7],
    ['{a:1}', 1],
    ["{'a':1}", 1],
    ['{"a" 1}', 5],
    ['{"a":1 "b":2}', 7],
    ['[1 2]', 3],
    ['[1', 2],
    ['1 2', 2],
    ['{} x', 3],
    ['nul', 0],
    ['True', 0],
    ['NaN', 0],
    ['Infinity', 0],
    ['undefined', 0],
    ['01', 0],
    ['1.', 0],
    ['.5', 0],
    ['+1', 0],
    ['-', 0],
    ['1.2.3', 0],
    ['1e400', 0],
    ['-1e999', 0],
    ['"a', 0],
    ['"a\nb"', 2],
    ['"\t"', 1],
    ['"\\x"', 1],
    ['"\\u12g4"', 1],
    ['"\\u12', 1],
    ['"\\ud800"', 1],
    ['"\\udc00\\ud800"', 1],
    ['"\\', 1],
    ['{"a":1,"a":2}', 7],
    ['{"\\u0061":1,"a":2}', 12],
    ['{"__proto__":{}}', 1],
    ['{"\\u005f_proto__":{}}', 1],
    ['// comment\n1', 0],
    ['\u00a01', 0],
  ])('%j', (text, position) => {
    expect(refusal(text).position).toBe(position)
    expect(refusal(text).message).toContain(`at position ${position}`)
  })

  test('bytes that are not UTF-8, and half a surrogate pair in a string', () => {
    expect(refusal(Buffer.from([0x22, 0xff, 0x22])).message).toContain('UTF-8')
    expect(refusal(Buffer.from('\ufeff"a"', 'utf16le')).message).toContain('UTF-8')
    expect(refusal(Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])).message).toContain('UTF-8')
    expect(refusal('"\ud800"').message).toContain('surrogate')
  })

  test('has no more properties than any type of FHIR could need', () => {
    const wide = (count: number) => `{${Array.from({ length: count }, (_, i) => `"p${i}":1`).join()}}`
    expect(Object.keys(parseJson(wide(propertiesMax)) as object)).toHaveLength(propertiesMax)
    expect(refusal(wide(propertiesMax + 1)).message).toContain('properties in one object')
  })

  test('more than a hundred levels, in the time the text takes', () => {
    const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)
    expect(writeJson(parseJson(nested(depthMax)))).toBe(nested(depthMax))
    expect(refusal(nested(depthMax + 1)).position).toBe(depthMax)
    expect(refusal('{"a":'.repeat(1_000_000)).message).toContain('levels')
  })
})

test('a byte order mark is not part of the document', () => {
  expect(parseJson('\ufeff{"a":1}')).toEqual({ a: 1 })
  expect(parseJson(Buffer.from('\ufeff[]'))).toEqual([])
})

test('properties with names of Object.prototype are properties like others', () => {
  const text = '{"constructor":1,"toString":2,"hasOwnProperty":3,"prototype":4,"valueOf":5}'
  expect(writeJson(parseJson(text))).toBe(text)
})

test('a string of a megabyte with escapes comes back', () => {
  const long = 'a"\\\n😀\u0000'.repeat(150_000)
  expect(parseJson(writeJson(long))).toBe(long)
})

test('written readably, the content is the same', () => {
  expect(writeJson(parseJson('{"a":[],"b":{},"c":[1.0,{"d":"e"}]}'), 2)).toBe(
    '{\n  "a": [],\n  "b": {},\n  "c": [\n    1.0,\n    {\n      "d": "e"\n    }\n  ]\n}',
  )
})

test('what is undefined is not written', () => {
  const object = { a: undefined, b: 1 } as unknown as Json
  expect(writeJson(object)).toBe('{"b":1}')
  expect(writeJson(object, 2)).toBe('{\n  "b": 1\n}')
})

describe('for any tree', () => {
  test('writing and reading gives the tree again', () => {
    fc.assert(
      fc.property(tree, (value) => {
        expect(parseJson(writeJson(value))).toEqual(value)
        expect(parseJson(Buffer.from(writeJson(value)))).toEqual(value)
        expect(parseJson(writeJson(value, 2))).toEqual(value)
      }),
    )
  })

  test('JSON.parse reads what we write as we do, but for the digits', () => {
    fc.assert(
      fc.property(tree, (value) => expect(JSON.stringify(JSON.parse(writeJson(value)))).toBe(JSON.stringify(value))),
    )
  })

  test('we read what JSON.stringify writes as JSON.parse does', () => {
    fc.assert(
      fc.property(fc.json({ stringUnit: 'binary' }), fc.constantFrom(0, 1, '\t'), (text, indent) => {
        fc.pre(!text.includes('__proto__'))
        const indented = JSON.stringify(JSON.parse(text), null, indent)
        expect(JSON.stringify(parseJson(indented))).toBe(JSON.stringify(JSON.parse(text)))
      }),
    )
  })

  test('the text of any number comes back', () => {
    fc.assert(fc.property(numberText, (text) => expect(writeJson(parseJson(text))).toBe(text)))
  })
})

test('any text is read as JSON.parse reads it, or refused with a JsonError where JSON.parse refuses it', () => {
  const fragments = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"',
    '"a"',
    '"b"',
    '1',
    '-',
    '0',
    '.5',
    'e3',
    '+',
    'true',
    'null',
    'f',
    ' ',
    '\n',
    '\\',
    '\\u0041',
    '\\ud83d',
    '\u0000',
    '😀',
  )
  fc.assert(
    fc.property(fc.array(fragments, { maxLength: 12 }), (parts) => {
      const text = parts.join('')
      let expected: { value: unknown } | undefined
      try {
        expected = { value: JSON.parse(text) }
      } catch {
        expected = undefined
      }
      let read: Json
      try {
        read = parseJson(text)
      } catch (error) {
        expect(error).toBeInstanceOf(JsonError)
        // Only these does JSON.parse let pass: two equal names, and escapes of half a surrogate pair.
        if (expected) expect((error as JsonError).message).toMatch(/twice|surrogate/)
        return
      }
      expect(expected).toBeDefined()
      expect(JSON.stringify(read)).toBe(JSON.stringify(expected!.value))
    }),
    { numRuns: 2000 },
  )
})

test('a text with one byte changed is read or refused with a JsonError, never another error', () => {
  const bytes = Buffer.from(
    '{"resourceType":"Patient","name":[{"given":["Ana\\u00e9","😀"]}],"n":[1.00,-2e3,true,null]}',
  )
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 0, max: 255 }), (at, byte) => {
      const changed = Buffer.from(bytes)
      changed[at] = byte
      try {
        parseJson(changed)
      } catch (error) {
        expect(error).toBeInstanceOf(JsonError)
      }
    }),
    { numRuns: 1000 },
  )
})
