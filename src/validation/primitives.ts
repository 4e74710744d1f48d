/**
 * The primitive types: which JSON value each is written as, and which of those values are of the type.
 *
 * https://hl7.org/fhir/R4/datatypes.html#primitive
 *
 * Patterns come from the definitions, except where the text says more (days that exist, control characters, ranges) or
 * where the pattern could be made to run for long (base64Binary).
 */
import { Decimal, type Json, typeDefinition } from '../fhir/index.js'
import { narrativeProblem } from './narrative.js'

export type Primitive = {
  json: 'string' | 'number' | 'boolean'
  /** What is wrong with a value of the right JSON type, as a sentence that does not quote it. */
  problem(value: Json): string | undefined
}

/** "Strings SHALL NOT exceed 1MB (1024*1024 characters) in size"; base64Binary and xhtml are not strings. */
export const stringLengthMax = 1024 * 1024

const int32Min = -2_147_483_648
const int32Max = 2_147_483_647

/** Characters below 32 other than tab, line feed and carriage return. */
const control = /[\u0000-\u0008\u000b\u000c\u000e-\u001f]/
/** White space is what XML calls so, as in the patterns of the definitions: a no-break space is none. */
const visible = /[^ \t\r\n]/
const notInUri = /[\u0000-\u0020]/
const codePattern = /^[^ \t\r\n]+(?:[ \t\r\n][^ \t\r\n]+)*$/

const text = (pattern: RegExp | undefined, expected: string, further?: (value: string) => boolean): Primitive => ({
  json: 'string',
  problem(value) {
    if (typeof value !== 'string' || value === '') return 'an empty string is not allowed; leave the element out'
    if (value.length > stringLengthMax) return `longer than ${stringLengthMax} characters; shorten it`
    if (control.test(value)) return 'control characters other than tab, line feed and carriage return are not allowed'
    return (pattern && !pattern.test(value)) || further?.(value) === false ? expected : undefined
  },
})

const whole = (min: number, expected: string): Primitive => ({
  json: 'number',
  problem: (value) =>
    (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= int32Max) ||
    // JSON's -0 is an integer by R4's pattern; our reader keeps it as a Decimal so that its sign is not lost.
    (min < 0 && value instanceof Decimal && value.text === '-0')
      ? undefined
      : expected,
})

const defined = (name: string): RegExp => new RegExp(`^(?:${typeDefinition(name)!.regex})$`)

const uri = (what: string): Primitive => text(undefined, `${what} has no white space`, (value) => !notInUri.test(value))

const primitives: Record<string, Primitive> = {
  boolean: { json: 'boolean', problem: () => undefined },
  decimal: {
    json: 'number',
    problem: (value) =>
      value instanceof Decimal || (typeof value === 'number' && Number.isFinite(value))
        ? undefined
        : 'a decimal is a finite number',
  },
  integer: whole(
    int32Min,
    'an integer is a whole number from -2147483648 to 2147483647 without decimal point or exponent',
  ),
  unsignedInt: whole(0, 'an unsignedInt is a whole number from 0 to 2147483647 without decimal point or exponent'),
  positiveInt: whole(1, 'a positiveInt is a whole number from 1 to 2147483647 without decimal point or exponent'),
  string: text(visible, 'a string of white space only is not allowed; leave the element out'),
  markdown: text(visible, 'markdown of white space only is not allowed; leave the element out'),
  code: text(codePattern, 'a code has no white space at its ends and only single spaces inside'),
  id: text(defined('id'), 'an id has 1 to 64 of the characters A-Z a-z 0-9 - .'),
  uri: uri('a uri'),
  url: uri('a url'),
  canonical: uri('a canonical'),
  oid: text(defined('oid'), 'an oid is written as urn:oid:1.2.3'),
  uuid: text(defined('uuid'), 'a uuid is written as urn:uuid: and 8-4-4-4-12 lowercase hexadecimal digits'),
  date: text(defined('date'), 'a date is an existing YYYY, YYYY-MM or YYYY-MM-DD', dayExists),
  dateTime: text(
    defined('dateTime'),
    'a dateTime is an existing YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with a zone (Z or +hh:mm)',
    dayExists,
  ),
  instant: text(
    defined('instant'),
    'an instant is an existing YYYY-MM-DDThh:mm:ss with a zone (Z or +hh:mm)',
    dayExists,
  ),
  time: text(defined('time'), 'a time is hh:mm:ss, without a zone and before 24:00:00'),
  base64Binary: {
    json: 'string',
    problem: (value) =>
      typeof value === 'string' && isBase64(value)
        ? undefined
        : 'base64Binary is text in base64 (RFC 4648), padded with =',
  },
  xhtml: { json: 'string', problem: (value) => narrativeProblem(value as string) },
}

/** The rules of a primitive type by its name. */
export const primitive = (name: string): Primitive | undefined =>
  Object.hasOwn(primitives, name) ? primitives[name] : undefined

/** Whether the day is in the month; the pattern has seen to everything else. */
function dayExists(value: string): boolean {
  if (value.length < 10) return true
  const day = Number(value.slice(8, 10))
  if (day <= 28) return true
  const year = Number(value.slice(0, 4))
  const month = Number(value.slice(5, 7))
  if (month === 2) return day === 29 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
  return day <= 30 || ![4, 6, 9, 11].includes(month)
}

const DIGIT = 1
const PADDING = 2
const SPACE = 3
const base64Class = new Uint8Array(128)
for (const letter of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/')
  base64Class[letter.charCodeAt(0)] = DIGIT
base64Class[0x3d] = PADDING
for (const space of ' \t\r\n') base64Class[space.charCodeAt(0)] = SPACE

/** One pass over the text: R4's pattern repeats white space inside a repetition and takes exponential time. */
function isBase64(value: string): boolean {
  let digits = 0
  let padding = 0
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i)
    const kind = code < 128 ? base64Class[code] : 0
    if (kind === DIGIT && padding === 0) digits++
    else if (kind === PADDING) padding++
    else if (kind !== SPACE) return false
  }
  return digits > 0 && padding <= 2 && (digits + padding) % 4 === 0
}
