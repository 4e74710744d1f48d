/**
 * The part of FHIRPath that search parameters are written in, as a tree.
 *
 * https://hl7.org/fhirpath/N1/#expressions
 *
 * Whatever lies beyond throws `Beyond`; such an expression is left to fhirpath.js.
 */

export type Node =
  | { kind: 'this' }
  | { kind: 'variable'; name: string }
  | { kind: 'literal'; value: string | boolean | number }
  /** A member of what stands before the dot, or of the focus (then it may also be the name of the root type). */
  | { kind: 'member'; of?: Node; name: string }
  | { kind: 'call'; of?: Node; name: string; arguments: Node[] }
  | { kind: 'index'; of: Node; index: number }
  | { kind: 'as'; of: Node; type: string }
  | { kind: 'is'; of: Node; type: string }
  | { kind: 'union'; of: Node[] }
  | { kind: 'equal'; not: boolean; left: Node; right: Node }
  | { kind: 'and'; left: Node; right: Node }
  | { kind: 'or'; left: Node; right: Node }

/** The expression is not written in our part of FHIRPath. */
export class Beyond extends Error {}

const token =
  /\s*(?:([A-Za-z_][A-Za-z0-9_]*)|`([^`\\]*)`|'((?:[^'\\]|\\.)*)'|([0-9]+(?:\.[0-9]+)?)|(%[A-Za-z_][A-Za-z0-9_-]*)|(\$this)|(!=|[.()[\]|=,]))/y

type Token = { kind: 'name' | 'string' | 'number' | 'variable' | 'this' | 'sign'; text: string }

function tokens(text: string): Token[] {
  const found: Token[] = []
  token.lastIndex = 0
  const end = text.trimEnd().length
  for (let at = 0; at < end; at = token.lastIndex) {
    const match = token.exec(text)
    if (!match) throw new Beyond(`unexpected text at ${at}`)
    const [, name, quoted, string, number, variable, self, sign] = match
    if (name !== undefined || quoted !== undefined) found.push({ kind: 'name', text: name ?? quoted! })
    else if (string !== undefined) found.push({ kind: 'string', text: unescaped(string) })
    else if (number !== undefined) found.push({ kind: 'number', text: number })
    else if (variable !== undefined) found.push({ kind: 'variable', text: variable.slice(1) })
    else if (self !== undefined) found.push({ kind: 'this', text: self })
    else found.push({ kind: 'sign', text: sign! })
  }
  return found
}

const unescaped = (text: string): string =>
  text.replace(/\\(.)/g, (_, letter: string) => {
    if (!`'"\`\\/`.includes(letter)) throw new Beyond(`escape \\${letter}`)
    return letter
  })

/** R4's own expressions have two. */
const depthMax = 50

/** @throws Beyond */
export function parseFhirPath(text: string): Node {
  const list = tokens(text)
  let at = 0
  const peek = (): string => (list[at]?.kind === 'string' ? '' : (list[at]?.text ?? ''))
  const take = (sign: string): void => {
    if (peek() !== sign) throw new Beyond(`"${sign}" was expected`)
    at++
  }
  const name = (): string => {
    const next = list[at++]
    if (next?.kind !== 'name') throw new Beyond('a name was expected')
    return next.text
  }
  const binary = (word: 'and' | 'or', operand: () => Node): Node => {
    let left = operand()
    while (peek() === word) {
      at++
      left = { kind: word, left, right: operand() } as Node
    }
    return left
  }
  let depth = 0
  const either = (): Node => {
    if (++depth > depthMax) throw new Beyond('too deep')
    const node = binary('or', both)
    depth--
    return node
  }
  const both = (): Node => binary('and', equality)
  const equality = (): Node => {
    const left = union()
    const sign = peek()
    if (sign !== '=' && sign !== '!=') return left
    at++
    return { kind: 'equal', not: sign === '!=', left, right: union() }
  }
  const union = (): Node => {
    const of = [typed()]
    while (peek() === '|') {
      at++
      of.push(typed())
    }
    return of.length === 1 ? of[0]! : { kind: 'union', of }
  }
  const typed = (): Node => {
    let of = path()
    for (let word = peek(); word === 'as' || word === 'is'; word = peek()) {
      at++
      of = word === 'as' ? { kind: 'as', of, type: typeName() } : { kind: 'is', of, type: typeName() }
    }
    return of
  }
  const typeName = (): string => {
    let text = name()
    while (peek() === '.') {
      at++
      text += `.${name()}`
    }
    return text
  }
  const path = (): Node => {
    let of = term()
    for (;;) {
      if (peek() === '.') {
        at++
        of = invocation(of)
      } else if (peek() === '[') {
        at++
        const next = list[at++]
        if (next?.kind !== 'number' || !/^\d+$/.test(next.text)) throw new Beyond('an index was expected')
        take(']')
        of = { kind: 'index', of, index: Number(next.text) }
      } else return of
    }
  }
  const term = (): Node => {
    const next = list[at]
    if (!next) throw new Beyond('the expression ends too early')
    if (next.kind === 'sign') {
      take('(')
      const inner = either()
      take(')')
      return inner
    }
    if (next.kind === 'name' && next.text !== 'true' && next.text !== 'false') return invocation()
    at++
    if (next.kind === 'string') return { kind: 'literal', value: next.text }
    if (next.kind === 'number') return { kind: 'literal', value: Number(next.text) }
    if (next.kind === 'variable') return { kind: 'variable', name: next.text }
    return next.kind === 'this' ? { kind: 'this' } : { kind: 'literal', value: next.text === 'true' }
  }
  const invocation = (of?: Node): Node => {
    const called = name()
    if (peek() !== '(') return { kind: 'member', ...(of && { of }), name: called }
    at++
    const given: Node[] = []
    while (peek() !== ')') {
      if (given.length) take(',')
      given.push(either())
    }
    at++
    return { kind: 'call', ...(of && { of }), name: called, arguments: given }
  }
  const whole = either()
  if (at < list.length) throw new Beyond('unexpected text after the expression')
  return whole
}
