/**
 * The text of a `_filter` as a tree.
 *
 * https://hl7.org/fhir/R4/search_filter.html
 *
 * "Logical expressions are evaluated left to right, with no precedence between and and or."
 */
import { invalid, tooCostly } from '../fhir/index.js'

export type Filter =
  | { kind: 'and'; of: Filter[] }
  | { kind: 'or'; of: Filter[] }
  | { kind: 'not'; of: Filter }
  | { kind: 'test'; path: PathStep[]; operator: Operator; value: string }

/** `subject[birthdate gt 2000].name`: a name, a filter on what it leads to, and what follows the dot. */
export type PathStep = { name: string; where?: Filter }

const operators = [
  ...['eq', 'ne', 'co', 'sw', 'ew', 'gt', 'lt', 'ge', 'le', 'ap', 'sa', 'eb'],
  ...['pr', 'po', 'ss', 'sb', 'in', 'ni', 're'],
] as const
export type Operator =
  | ('eq' | 'ne' | 'co' | 'sw' | 'ew' | 'gt' | 'lt' | 'ge' | 'le' | 'ap' | 'sa' | 'eb')
  | ('pr' | 'po' | 'ss' | 'sb' | 'in' | 'ni' | 're')

const isOperator = (word: string): word is Operator => (operators as readonly string[]).includes(word)

const lengthMax = 10_000
const depthMax = 20
const testsMax = 200

/** @throws FhirError */
export function readFilter(text: string): Filter {
  let at = 0
  let depth = 0
  let tests = 0

  if (text.length > lengthMax) throw tooCostly(`"_filter" takes at most ${lengthMax} characters`, '_filter')
  const whole = filter()
  if (at < text.length) fail('the end was expected')
  return whole

  function fail(what: string): never {
    throw invalid(`"_filter" cannot be read at character ${at + 1}: ${what}`, '_filter')
  }

  function space(): void {
    while (text[at] === ' ' || text[at] === '\t' || text[at] === '\n' || text[at] === '\r') at++
  }

  /** The text the pattern (sticky) matches here, consumed. */
  function read(pattern: RegExp): string {
    pattern.lastIndex = at
    const found = pattern.exec(text)?.[0] ?? ''
    at += found.length
    return found
  }

  function peekWord(): string {
    const from = at
    const word = read(/[a-z]+(?![\w:.[-])/y)
    at = from
    return word
  }

  function filter(): Filter {
    if (++depth > depthMax) throw tooCostly(`"_filter" is nested more than ${depthMax} deep`, '_filter')
    let left = term()
    for (;;) {
      space()
      const kind = peekWord()
      if (kind !== 'and' && kind !== 'or') break
      at += kind.length
      const right = term()
      left = left.kind === kind ? { kind, of: [...left.of, right] } : { kind, of: [left, right] }
    }
    depth--
    return left
  }

  function term(): Filter {
    space()
    const from = at
    if (read(/not(?=\s*\()/y) !== '') {
      space()
      return { kind: 'not', of: bracketed('(', ')') }
    }
    if (text[at] === '(') return bracketed('(', ')')
    at = from
    return test()
  }

  function bracketed(open: '(' | '[', close: ')' | ']'): Filter {
    if (text[at] !== open) fail(`"${open}" was expected`)
    at++
    const inner = filter()
    space()
    if (text[at] !== close) fail(`"${close}" was expected`)
    at++
    return inner
  }

  function test(): Filter {
    if (++tests > testsMax) throw tooCostly(`"_filter" has more than ${testsMax} comparisons`, '_filter')
    const path: PathStep[] = []
    do {
      const name = read(/[A-Za-z_-][\w:-]*/y)
      if (name === '') fail('the name of a search parameter was expected')
      path.push(text[at] === '[' ? { name, where: bracketed('[', ']') } : { name })
    } while (read(/\./y) !== '')
    if (read(/\s+/y) === '') fail('a space was expected')
    const operator = read(/[A-Za-z]+/y)
    if (!isOperator(operator)) fail(`one of ${operators.join(', ')} was expected`)
    if (read(/\s+/y) === '') fail('a space was expected')
    return { kind: 'test', path, operator, value: value() }
  }

  function value(): string {
    if (text[at] !== '"') {
      const token = read(/[^\s)\]]+/y)
      if (token === '') fail('a value was expected')
      return token
    }
    const literal = read(/"(?:[^"\\]|\\.)*"/y)
    let parsed: unknown
    try {
      parsed = JSON.parse(literal)
    } catch {
      fail('a string in double quotes was expected')
    }
    if (typeof parsed !== 'string' || parsed === '') fail('a string that is not empty was expected')
    return parsed
  }
}
