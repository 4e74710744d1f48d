import { describe, expect, test } from '@jest/globals'
import { Decimal, type Json } from '../fhir/index.js'
import { primitive, stringLengthMax } from './primitives.js'

/** The table of https://hl7.org/fhir/R4/datatypes.html#primitive, with its own examples first. */
const rows: [type: string, valid: Json[], invalid: Json[]][] = [
  [
    'integer',
    [0, -1, 2147483647, -2147483648, new Decimal('-0')],
    [1.5, 2147483648, -2147483649, new Decimal('1.0'), new Decimal('1e3')],
  ],
  ['unsignedInt', [0, 2147483647], [-1, 0.5, 2147483648, new Decimal('-0')]],
  ['positiveInt', [1, 2147483647], [0, -1, 2147483648, new Decimal('1.0')]],
  [
    'decimal',
    [1, -1.5, 1e21, new Decimal('1.00'), new Decimal('0.1234567890123456789')],
    [Number.NaN, Number.POSITIVE_INFINITY],
  ],
  [
    'base64Binary',
    ['aGVsbG8=', 'aGVs bG8=', 'aGVs\r\nbG8h', 'TQ=='],
    ['', '=', 'aGVsbG8', 'aGV=bG8=', 'a===', '$aGVs', '    ', 'aGVsbG8=\u00e9', 'A'.repeat(999_997)],
  ],
  [
    'instant',
    ['2015-02-07T13:28:17.239+02:00', '2017-01-01T00:00:00Z', '2016-12-31T23:59:60Z', '2020-02-29T00:00:00-14:00'],
    [
      '2015-02-07T13:28:17.239',
      '2015-02-07',
      '2015-02-07T13:28Z',
      '2015-02-07T24:00:00Z',
      '2021-02-29T00:00:00Z',
      '2021-04-31T00:00:00Z',
      '2015-02-07T13:28:17+14:30',
      '2015-02-07t13:28:17z',
    ],
  ],
  [
    'date',
    ['2018', '1973-06', '1905-08-23', '0001', '2000-02-29'],
    ['18', '1973-6', '1973-13', '2021-02-30', '1900-02-29', '0000', '2018-01-01T00:00:00Z', ' 2018'],
  ],
  [
    'dateTime',
    ['2018', '1973-06', '1905-08-23', '2015-02-07T13:28:17-05:00', '2017-01-01T00:00:00.000Z'],
    [
      '2015-02-07T13:28:17',
      '2015-02-07T13:28-05:00',
      '2015-02-07T25:00:00Z',
      '2015-02-30T00:00:00Z',
      '2015-02-07 13:28:17Z',
    ],
  ],
  ['time', ['13:28:17', '00:00:00.1', '23:59:60'], ['24:00:00', '13:28', '13:28:17Z', '1:28:17']],
  [
    'string',
    ['text', ' spaces ', 'tab\tline\r\n', 'é😀', '\u00a0', 'x'.repeat(stringLengthMax)],
    ['', '   ', '\t\n', 'nul\u0000', 'bell\u0007', 'x'.repeat(stringLengthMax + 1)],
  ],
  ['markdown', ['# title\n* point'], ['', '\n']],
  ['code', ['final', 'a b'], ['', ' final', 'final ', 'a  b', 'a\u0001']],
  ['id', ['1', 'a-b.C', 'x'.repeat(64)], ['', 'x'.repeat(65), 'a_b', 'a/b', 'é']],
  ['uri', ['http://example.org/a?b=c#d', 'urn:uuid:x', 'relative/path', '#'], ['', 'a b', 'a\n', '\u0000']],
  ['url', ['ftp://example.org', 'mailto:a@example.org'], ['', 'http://a b']],
  ['canonical', ['http://hl7.org/fhir/ValueSet/my-valueset|0.8#vs1'], ['', ' x']],
  ['oid', ['urn:oid:1.2.3.4.5', 'urn:oid:2.16.840'], ['1.2.3', 'urn:oid:3.1', 'urn:oid:1.02', 'urn:oid:1.']],
  [
    'uuid',
    ['urn:uuid:c757873d-ec9a-4326-a141-556f43239520'],
    ['c757873d-ec9a-4326-a141-556f43239520', 'urn:uuid:C757873D-EC9A-4326-A141-556F43239520', 'urn:uuid:c757873d'],
  ],
]

describe.each(rows)('%s', (type, valid, invalid) => {
  const { problem } = primitive(type)!
  test.each(valid.map((value) => [short(value), value]))('accepts %s', (_, value) =>
    expect(problem(value)).toBeUndefined(),
  )
  test.each(invalid.map((value) => [short(value), value]))('refuses %s', (_, value) =>
    expect(problem(value)).toEqual(expect.any(String)),
  )
})

test('no problem quotes the value', () => {
  for (const [type, , invalid] of rows)
    for (const value of invalid)
      if (typeof value === 'string' && value.trim().length > 10)
        expect(primitive(type)!.problem(value)).not.toContain(value)
})

test('long values that are almost valid take no longer than their length', () => {
  const start = performance.now()
  for (const [type, text] of [
    ['base64Binary', `${'AAAA    '.repeat(500_000)}!`],
    ['code', `${'a '.repeat(500_000)} `],
    ['oid', `urn:oid:1${'.1'.repeat(500_000)}.`],
    ['dateTime', `2015-02-07T13:28:17.${'1'.repeat(1_000_000)}`],
  ] as const)
    expect(primitive(type)!.problem(text)).toBeDefined()
  expect(performance.now() - start).toBeLessThan(5000)
})

test('names of Object.prototype are no types', () => expect(primitive('constructor')).toBeUndefined())

function short(value: Json): string {
  return JSON.stringify(value instanceof Decimal ? `Decimal ${value.text}` : value).slice(0, 40)
}
