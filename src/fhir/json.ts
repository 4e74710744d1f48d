/**
 * Reads and writes JSON without losing what FHIR says must not be lost: the digits of a decimal.
 *
 * https://hl7.org/fhir/R4/json.html#primitive
 *
 * JSON.parse turns 1.00 into 1, keeps the last of two equal keys and gives `__proto__` a meaning. We refuse duplicate
 * and `__proto__` keys, bad UTF-8, lone surrogates, numbers out of range and bombs of depth, each with its place.
 */
import { isUtf8 } from 'node:buffer'

/** A number whose digits say more than a double can: `1.00`, `1.0e2`, 18 digits, `-0`. */
export class Decimal {
  constructor(readonly text: string) {}
  valueOf(): number {
    return Number(this.text)
  }
  toString(): string {
    return this.text
  }
  /** For libraries that call JSON.stringify; our own writer emits the text. */
  toJSON(): number {
    return Number(this.text)
  }
}

export type Json = null | boolean | number | string | Decimal | Json[] | JsonObject
export type JsonObject = { [key: string]: Json }

/** What is wrong, and where: `position` counts UTF-16 units from 0. */
export class JsonError extends Error {
  constructor(
    message: string,
    readonly position: number,
  ) {
    super(`${message} at position ${position}`)
  }
}

export const depthMax = 100

/** Properties of one object: FHIR's types have a few dozen, and half a million names keep everybody waiting. */
export const propertiesMax = 2000

/**
 * A value from its JSON text or UTF-8 bytes.
 *
 * @throws JsonError
 */
export function parseJson(input: string | Uint8Array): Json {
  if (typeof input !== 'string' && !isUtf8(input)) throw new JsonError('the body is not valid UTF-8', 0)
  if (typeof input === 'string' && !input.isWellFormed())
    throw new JsonError('half a surrogate pair is no character', 0)
  const text =
    typeof input === 'string' ? input : Buffer.from(input.buffer, input.byteOffset, input.byteLength).toString()
  return new Reader(text).document()
}

const QUOTE = 34
const COMMA = 44
const MINUS = 45
const COLON = 58
const OPEN_BRACKET = 91
const BACKSLASH = 92
const CLOSE_BRACKET = 93
const OPEN_BRACE = 123
const CLOSE_BRACE = 125

const escapes: Record<string, string> = { '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }
const numberPattern = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y

class Reader {
  private at = 0
  constructor(private readonly text: string) {}

  document(): Json {
    if (this.text.charCodeAt(0) === 0xfeff) this.at = 1
    const value = this.value(0)
    if (!Number.isNaN(this.next())) this.fail('unexpected text after the end of the document')
    return value
  }

  private fail(message: string, at = this.at): never {
    throw new JsonError(message, at)
  }

  /** The next character that is not white space, not consumed; NaN at the end. */
  private next(): number {
    const { text } = this
    let code = text.charCodeAt(this.at)
    while (code === 32 || code === 10 || code === 13 || code === 9) code = text.charCodeAt(++this.at)
    return code
  }

  private value(depth: number): Json {
    const code = this.next()
    switch (code) {
      case QUOTE:
        return this.string()
      case OPEN_BRACE:
        return this.object(depth + 1)
      case OPEN_BRACKET:
        return this.array(depth + 1)
      case 116:
        return this.word('true', true)
      case 102:
        return this.word('false', false)
      case 110:
        return this.word('null', null)
      default:
        if (code === MINUS || (code >= 48 && code <= 57)) return this.number()
        return this.fail(Number.isNaN(code) ? 'the document ends too early' : 'unexpected character')
    }
  }

  private object(depth: number): JsonObject {
    if (depth > depthMax) this.fail(`more than ${depthMax} levels`)
    const object: JsonObject = {}
    this.at++
    if (this.next() === CLOSE_BRACE) {
      this.at++
      return object
    }
    for (let count = 1; ; count++) {
      if (count > propertiesMax) this.fail(`more than ${propertiesMax} properties in one object`)
      if (this.next() !== QUOTE) this.fail('a property name in double quotes was expected')
      const start = this.at
      const key = this.string()
      if (key === '__proto__') this.fail('a property may not be called __proto__', start)
      if (Object.hasOwn(object, key)) this.fail('the property is there twice in one object', start)
      if (this.next() !== COLON) this.fail('":" was expected')
      this.at++
      object[key] = this.value(depth)
      const code = this.next()
      this.at++
      if (code === CLOSE_BRACE) return object
      if (code !== COMMA) this.fail('"," or "}" was expected', this.at - 1)
    }
  }

  private array(depth: number): Json[] {
    if (depth > depthMax) this.fail(`more than ${depthMax} levels`)
    const array: Json[] = []
    this.at++
    if (this.next() === CLOSE_BRACKET) {
      this.at++
      return array
    }
    for (;;) {
      array.push(this.value(depth))
      const code = this.next()
      this.at++
      if (code === CLOSE_BRACKET) return array
      if (code !== COMMA) this.fail('"," or "]" was expected', this.at - 1)
    }
  }

  private word<T extends Json>(word: string, value: T): T {
    if (!this.text.startsWith(word, this.at)) this.fail('unexpected character')
    this.at += word.length
    return value
  }

  private number(): number | Decimal {
    numberPattern.lastIndex = this.at
    const text = numberPattern.exec(this.text)?.[0]
    if (text === undefined) this.fail('a number was expected')
    const after = this.text.charCodeAt(this.at + text.length)
    if ((after >= 48 && after <= 57) || after === 46) this.fail('the number is not written as JSON writes numbers')
    const value = Number(text)
    if (!Number.isFinite(value)) this.fail('the number is out of range')
    this.at += text.length
    return String(value) === text ? value : new Decimal(text)
  }

  private string(): string {
    const { text } = this
    const start = this.at + 1
    let at = start
    for (;;) {
      const code = text.charCodeAt(at)
      if (code === QUOTE) break
      if (code === BACKSLASH) return this.escapedString(start, at)
      if (code < 32) this.fail('a control character must be written as an escape', at)
      if (Number.isNaN(code)) this.fail('a string is not closed', start - 1)
      at++
    }
    this.at = at + 1
    return text.slice(start, at)
  }

  private escapedString(start: number, firstEscape: number): string {
    const { text } = this
    let value = text.slice(start, firstEscape)
    let at = firstEscape
    for (;;) {
      const code = text.charCodeAt(at)
      if (code === QUOTE) break
      if (Number.isNaN(code)) this.fail('a string is not closed', start - 1)
      if (code < 32) this.fail('a control character must be written as an escape', at)
      if (code !== BACKSLASH) {
        const from = at
        while (
          at < text.length &&
          text.charCodeAt(at) >= 32 &&
          text.charCodeAt(at) !== QUOTE &&
          text.charCodeAt(at) !== BACKSLASH
        )
          at++
        value += text.slice(from, at)
        continue
      }
      const letter = text[at + 1] ?? ''
      if (letter === 'u') {
        const hex = text.slice(at + 2, at + 6)
        if (!/^[0-9a-fA-F]{4}$/.test(hex)) this.fail('four hexadecimal digits were expected', at)
        value += String.fromCharCode(Number.parseInt(hex, 16))
        at += 6
      } else {
        const replaced = escapes[letter]
        if (replaced === undefined) this.fail('an unknown escape', at)
        value += replaced
        at += 2
      }
    }
    if (!value.isWellFormed()) this.fail('half a surrogate pair is no character', start)
    this.at = at + 1
    return value
  }
}

const needsEscape = /["\\\u0000-\u001f\ud800-\udfff]/

/** The compact JSON text of a value; `indent` spaces make it readable. */
export function writeJson(value: Json, indent = 0): string {
  return indent ? writePretty(value, ' '.repeat(indent), '\n') : write(value)
}

/** The JSON text of a string. */
export function writeString(value: string): string {
  return needsEscape.test(value) ? JSON.stringify(value) : `"${value}"`
}

function write(value: Json): string {
  if (typeof value === 'string') return writeString(value)
  if (typeof value !== 'object' || value === null) return String(value)
  if (Array.isArray(value)) {
    let text = '['
    for (let i = 0; i < value.length; i++) text += i ? `,${write(value[i]!)}` : write(value[i]!)
    return `${text}]`
  }
  if (value instanceof Decimal) return value.text
  let text = '{'
  for (const key in value) {
    const member = value[key]
    if (member === undefined) continue
    text += `${text.length > 1 ? ',' : ''}${writeString(key)}:${write(member)}`
  }
  return `${text}}`
}

function writePretty(value: Json, step: string, line: string): string {
  if (typeof value !== 'object' || value === null || value instanceof Decimal) return write(value)
  const inner = line + step
  const items = Array.isArray(value)
    ? value.map((item) => writePretty(item, step, inner))
    : Object.entries(value)
        .filter(([, member]) => member !== undefined)
        .map(([key, member]) => `${writeString(key)}: ${writePretty(member, step, inner)}`)
  const [open, close] = Array.isArray(value) ? '[]' : '{}'
  return items.length ? `${open}${inner}${items.join(`,${inner}`)}${line}${close}` : `${open}${close}`
}
