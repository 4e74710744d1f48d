/**
 * Reads the part of FHIRPath that invariants are mostly written in.
 *
 * https://hl7.org/fhirpath/N1/grammar.html
 */

export type OperatorName =
  | 'implies'
  | 'or'
  | 'xor'
  | 'and'
  | 'in'
  | 'contains'
  | '='
  | '!='
  | '<'
  | '>'
  | '<='
  | '>='
  | '|'
  | '+'

export type Expression =
  | { kind: 'literal'; value: string | number | boolean }
  | { kind: 'empty' | 'this' }
  | { kind: 'variable' | 'member'; name: string }
  | { kind: 'call'; name: string; args: Expression[] }
  | { kind: 'path'; left: Expression; right: Expression }
  | { kind: 'index'; left: Expression; index: number }
  | { kind: 'is' | 'as'; left: Expression; type: string }
  | { kind: 'operator'; operator: OperatorName; left: Expression; right: Expression }

/** undefined for what is beyond this reader. */
export function parseExpression(text: string): Expression | undefined {
  try {
    const reader = new Reader(tokensOf(text))
    const expression = reader.operators(0)
    return reader.ended ? expression : undefined
  } catch (error) {
    if (error !== beyond) throw error
    return undefined
  }
}

const beyond = Symbol('beyond')

const token =
  /\s*(?:(?<string>'(?:\\.|[^'\\])*')|(?<number>\d+(?:\.\d+)?)|(?<name>[A-Za-z_]\w*)|(?<delimited>`[^`\\]*`)|(?<variable>%\w+)|(?<special>\$\w+)|(?<sign><=|>=|!=|[=<>|+.,()[\]{}]))/y

type Token = { kind: string; text: string }

function tokensOf(text: string): Token[] {
  const tokens: Token[] = []
  const end = text.trimEnd().length
  token.lastIndex = 0
  for (let at = 0; at < end; at = token.lastIndex) {
    token.lastIndex = at
    const groups = token.exec(text)?.groups
    if (!groups) throw beyond
    const [kind, found] = Object.entries(groups).find(([, each]) => each !== undefined)!
    tokens.push({ kind, text: found! })
  }
  return tokens
}

/** From what binds least to what binds most; `is` and `as` bind more than any. */
const levels: readonly (readonly string[])[] = [
  ['implies'],
  ['or', 'xor'],
  ['and'],
  ['in', 'contains'],
  ['=', '!='],
  ['<', '>', '<=', '>='],
  ['|'],
  ['+'],
]

const escapes: Record<string, string> = { n: '\n', r: '\r', t: '\t', f: '\f' }

class Reader {
  private at = 0

  constructor(private readonly tokens: readonly Token[]) {}

  get ended(): boolean {
    return this.at === this.tokens.length
  }

  operators(level: number): Expression {
    const names = levels[level]
    if (!names) return this.typed()
    let left = this.operators(level + 1)
    for (let next = this.next; next && isOperator(next) && names.includes(next.text); next = this.next) {
      this.at++
      const operator = next.text as OperatorName
      left = { kind: 'operator', operator, left, right: this.operators(level + 1) }
    }
    return left
  }

  private get next(): Token | undefined {
    return this.tokens[this.at]
  }

  private take(): Token {
    const next = this.next
    if (!next) throw beyond
    this.at++
    return next
  }

  private accept(sign: string): boolean {
    if (this.next?.kind !== 'sign' || this.next.text !== sign) return false
    this.at++
    return true
  }

  private expect(sign: string): void {
    if (!this.accept(sign)) throw beyond
  }

  private typed(): Expression {
    let left = this.invocations()
    for (let next = this.next; next?.kind === 'name' && (next.text === 'is' || next.text === 'as'); next = this.next) {
      this.at++
      let type = this.take()
      if (type.text === 'FHIR' && this.accept('.')) type = this.take()
      if (type.kind !== 'name' || this.next?.text === '.') throw beyond
      left = { kind: next.text as 'is', left, type: type.text }
    }
    return left
  }

  private invocations(): Expression {
    let left = this.term()
    for (;;) {
      if (this.accept('.')) left = { kind: 'path', left, right: this.invocation(this.take()) }
      else if (this.accept('[')) {
        const { kind, text } = this.take()
        if (kind !== 'number') throw beyond
        this.expect(']')
        left = { kind: 'index', left, index: Number(text) }
      } else return left
    }
  }

  private term(): Expression {
    const next = this.take()
    switch (next.kind) {
      case 'string':
        return { kind: 'literal', value: unescaped(next.text.slice(1, -1)) }
      case 'number':
        return { kind: 'literal', value: Number(next.text) }
      case 'variable':
        return { kind: 'variable', name: next.text.slice(1) }
      case 'sign': {
        if (next.text === '{') {
          this.expect('}')
          return { kind: 'empty' }
        }
        if (next.text !== '(') throw beyond
        const inside = this.operators(0)
        this.expect(')')
        return inside
      }
      default:
        if (next.text === 'true' || next.text === 'false') return { kind: 'literal', value: next.text === 'true' }
        return this.invocation(next)
    }
  }

  private invocation({ kind, text }: Token): Expression {
    if (kind === 'special') {
      if (text !== '$this') throw beyond
      return { kind: 'this' }
    }
    if (kind === 'delimited') return { kind: 'member', name: text.slice(1, -1) }
    if (kind !== 'name') throw beyond
    if (!this.accept('(')) return { kind: 'member', name: text }
    const args: Expression[] = []
    while (!this.accept(')')) {
      if (args.length > 0) this.expect(',')
      args.push(this.operators(0))
    }
    return { kind: 'call', name: text, args }
  }
}

const isOperator = ({ kind }: Token): boolean => kind === 'name' || kind === 'sign'

function unescaped(text: string): string {
  if (text.includes('\\u')) throw beyond
  return text.replace(/\\(.)/g, (_all, letter: string) => escapes[letter] ?? letter)
}
