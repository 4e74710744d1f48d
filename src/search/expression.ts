/**
 * A search as a value: what a resource must be to be found, and what permission adds to it.
 *
 * https://hl7.org/fhir/R4/search.html
 *
 * URL parameters parse to an Expression; the caller's reach is another; the two are and-ed before a store sees them.
 * Stores plan it, `match` evaluates it on one resource, and both read the same IndexEntries. "Everything" and "nothing"
 * are constructors of their own and never an empty list; `of` is never empty.
 *
 * Search values are normalised when parsed, index values when extracted, by the same functions, so that neither a
 * store nor `match` needs to know FHIR: comparing is all they do.
 */

/**
 * `param` is the code of a parameter of the type at hand. Some modifiers are parameters of their own, because they read
 * other index entries: `subject:identifier` (token), `identifier:of-type` (token), `code:text` (string).
 */
export type Expression =
  | { op: 'everything' }
  | { op: 'nothing' }
  | { op: 'and' | 'or'; of: Expression[] }
  | { op: 'not'; of: Expression }
  /** Another expression for each type; a type that is not named finds nothing (compartments of several types). */
  | { op: 'typed'; of: Record<string, Expression> }
  /** The resource's logical id is one of these. */
  | { op: 'ids'; ids: string[] }
  /** No index entry for the parameter. */
  | { op: 'missing'; param: string }
  | TokenTest
  | StringTest
  | IntervalTest
  | QuantityTest
  | ReferenceTest
  | UriTest
  | CompositeTest
  | NearTest
  | TextTest
  /** A resource of one of `types` that the parameter refers to satisfies `of`. */
  | { op: 'chain'; param: string; types: string[]; of: Expression }
  /** A resource of `type` that refers to this one by `param` satisfies `of`. */
  | { op: 'has'; type: string; param: string; of: Expression }

/** Case-sensitive. `system` absent: any; '' : none. `code` absent: any code of the system. One of the two is there. */
export type TokenTest = { op: 'token'; param: string; system?: string; code?: string }

/**
 * `value` is folded (`fold`) and so is what it is compared with, except for `exact`: as it was written. `equals` (the
 * whole folded value) and `ends` come from `_filter` alone.
 */
export type StringTest = {
  op: 'string'
  param: string
  how: 'starts' | 'contains' | 'exact' | 'equals' | 'ends'
  value: string
}

/**
 * Closed intervals: dates in milliseconds since 1970, numbers as themselves. With [lo, hi] what was searched and
 * [l, h] what is recorded:
 *
 * eq  lo <= l and h <= hi · ne  not eq · gt  h > hi · lt  l < lo · ge  gt or eq · le  lt or eq ·
 * sa  l > hi · eb  h < lo · ap  l <= hi and lo <= h
 *
 * For `ap` the parser has widened the interval already; for gt, lt, ge, le, sa, eb of numbers lo = hi = the number as
 * written (R4 ignores implicit precision there), except that ge and le take eq with that exact value.
 * `_lastUpdated` is a parameter like the others (the store has it as a column, not as an entry).
 */
export type IntervalTest = { op: 'interval'; param: string; prefix: Prefix; lo: number; hi: number }

export type Prefix = 'eq' | 'ne' | 'gt' | 'lt' | 'ge' | 'le' | 'sa' | 'eb' | 'ap'

/**
 * An interval of a quantity. `unit` says which entries compare, and in which numbers: 'any' and the others the number
 * as recorded, 'canonical' the number in UCUM base units.
 */
export type QuantityTest = Omit<IntervalTest, 'op'> & {
  op: 'quantity'
  unit:
    | { kind: 'any' }
    | { kind: 'canonical'; code: string }
    | { kind: 'coded'; system: string; code: string }
    | { kind: 'text'; text: string }
}

/** A reference to one of our own resources (`version` only if asked for), or to anything else by its exact URL. */
export type ReferenceTest = {
  op: 'reference'
  param: string
  target: { type: string; id: string; version?: string } | { url: string }
}

/** `below`: equal, or the value plus '/' begins the recorded; `above`: equal, or the recorded plus '/' begins the value. */
export type UriTest = { op: 'uri'; param: string; how: 'exact' | 'below' | 'above'; value: string }

/** All components hold in one and the same element. Each of `of` is a leaf test whose param is `$0`, `$1`, … */
export type CompositeTest = { op: 'composite'; param: string; of: Expression[] }

/** Within `km` kilometres on the sphere. */
export type NearTest = { op: 'near'; param: string; latitude: number; longitude: number; km: number }

/** `_text` (narrative) or `_content` (all strings): every word is there, each folded; `prefix` words end in `*`. */
export type TextTest = { op: 'text'; param: '_text' | '_content'; words: string[] }

/**
 * What search knows of one resource. Made by `indexed`, stored by stores, read by `match`.
 * `param` as in Expression; one resource may have many entries for one parameter.
 */
export type IndexEntry =
  | { kind: 'token'; param: string; system?: string; code?: string }
  /** `value` as recorded; stores and `match` fold it where the test asks. */
  | { kind: 'string'; param: string; value: string }
  | { kind: 'interval'; param: string; lo: number; hi: number }
  | {
      kind: 'quantity'
      param: string
      lo: number
      hi: number
      system?: string
      code?: string
      unit?: string
      canonical?: { code: string; lo: number; hi: number }
    }
  | { kind: 'reference'; param: string; type: string; id: string; version?: string }
  | { kind: 'reference-url'; param: string; url: string }
  | { kind: 'uri'; param: string; value: string }
  /** One occurrence of the composite; each component has its own entries, whose params are `$0`, `$1`, … */
  | { kind: 'composite'; param: string; components: IndexEntry[][] }
  | { kind: 'position'; param: string; latitude: number; longitude: number }
  | { kind: 'text'; param: '_text' | '_content'; words: string }

/**
 * Sort keys: `_id`, `_lastUpdated` or a parameter of type string, token, date, number, quantity, reference, uri.
 *
 * A resource has one key for each Sort: of the keys of its entries for the parameter (`sortKeyOf`) the smallest when
 * ascending, the largest when descending; null, which comes last in either direction, if no entry has one.
 *
 * `_id` the id · `_lastUpdated` the milliseconds · string the folded value, token the code, uri the value, reference
 * `Type/id` (without version) or the URL, each cut to its first 64 code points · date and number `lo` when ascending,
 * `hi` when descending · quantity the same, of `canonical` where the entry has one, of the number as recorded elsewhere.
 *
 * Numbers compare as numbers, texts by code point (the order of their UTF-8 bytes). Ties fall to the next Sort, then to
 * the order in which resources came into being.
 */
export type Sort = { param: string; descending: boolean }

/**
 * `_include` (`reverse` false) or `_revinclude`: resources of `type` whose `param` refers to, or is referred to by, what
 * was found. `param` '*' is any parameter; `type` '*' (then `param` is '*' too) any type. `target`: only to this type.
 */
export type Include = { reverse: boolean; type: string; param: string; target?: string; iterate: boolean }

/**
 * `types`: one, several (`_type`) or all (undefined). Order: the sort keys (missing values last, in either direction),
 * then the order in which resources came into being. `after` is the place of the last entry already answered.
 */
export type Query = {
  types?: string[]
  where: Expression
  sort: Sort[]
  include: Include[]
  count: number
  after?: Position
  /** Whether to count all that is found. */
  total: boolean
}

/** The values of the sort keys and the order number of the last match; sealed before it reaches a client. */
export type Position = (string | number | null)[]

export const everything: Expression = { op: 'everything' }
export const nothing: Expression = { op: 'nothing' }

/** All of them; simplified, so that `nothing` and `everything` do not hide inside. */
export function and(...of: Expression[]): Expression {
  const flat = of.flatMap((each) => (each.op === 'and' ? each.of : [each])).filter(({ op }) => op !== 'everything')
  if (flat.some(({ op }) => op === 'nothing')) return nothing
  return flat.length === 0 ? everything : flat.length === 1 ? flat[0]! : { op: 'and', of: flat }
}

/** At least one of them. */
export function or(...of: Expression[]): Expression {
  const flat = of.flatMap((each) => (each.op === 'or' ? each.of : [each])).filter(({ op }) => op !== 'nothing')
  if (flat.some(({ op }) => op === 'everything')) return everything
  return flat.length === 0 ? nothing : flat.length === 1 ? flat[0]! : { op: 'or', of: flat }
}

export function not(of: Expression): Expression {
  if (of.op === 'everything') return nothing
  if (of.op === 'nothing') return everything
  return of.op === 'not' ? of.of : { op: 'not', of }
}

/** Whether any part of an expression, itself included, is as the test says. */
export function somePart(expression: Expression, test: (part: Expression) => boolean): boolean {
  if (test(expression)) return true
  switch (expression.op) {
    case 'and':
    case 'or':
      return expression.of.some((each) => somePart(each, test))
    case 'not':
    case 'chain':
    case 'has':
      return somePart(expression.of, test)
    case 'typed':
      return Object.values(expression.of).some((each) => somePart(each, test))
    default:
      return false
  }
}

/**
 * Text as string search compares it: case, accents and punctuation folded, white space collapsed.
 *
 * https://hl7.org/fhir/R4/search.html#string
 */
export function fold(text: string): string {
  // Most text is plain ASCII, where this says the same five times faster.
  if (printableAscii.test(text))
    return text
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, ' ')
      .trim()
  return text
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .toLowerCase()
    .replace(/[ςłøđħŧıæœß]/g, (letter) => plainLetters[letter]!)
    .replace(/[\p{P}\p{S}\s]+/gu, ' ')
    .trim()
}

/** Letters that Unicode does not take apart, as they are written where a keyboard lacks them. */
const plainLetters: Record<string, string> = {
  ς: 'σ',
  ł: 'l',
  ø: 'o',
  đ: 'd',
  ħ: 'h',
  ŧ: 't',
  ı: 'i',
  æ: 'ae',
  œ: 'oe',
  ß: 'ss',
}

const printableAscii = /^[\x20-\x7e]*$/
