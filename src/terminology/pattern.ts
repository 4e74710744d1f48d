/**
 * Regular expressions of value set filters, matched in time linear in the text.
 *
 * https://hl7.org/fhir/R4/valueset-filter-operator.html
 *
 * They come from outside, and JavaScript's own engine can be made to run for ever. This one follows all ways through
 * the expression at once, so that it knows no look-around and no back-references. The whole text must match.
 */
import { unsupported } from '../fhir/index.js'

type Test = (char: string) => boolean
type Step = { kind: 'char'; test: Test } | { kind: 'split'; to: [number, number] } | { kind: 'end' }
type Node =
  | { kind: 'char'; test: Test }
  | { kind: 'all'; of: Node[] }
  | { kind: 'any'; of: Node[] }
  | { kind: 'repeat'; of: Node; min: number; max: number }

/** Most steps an expression may come to once its repetitions are written out, most nesting, and longest text. */
const stepsMax = 400
const depthMax = 20
const textMax = 1000

/** @throws FhirError for what is not understood or too large */
export function patternOf(source: string): (text: string) => boolean {
  const steps = written(new Parser(source.replace(/^\^/, '').replace(/(?<!\\)\$$/, '')).parse())
  return (text) => text.length <= textMax && runs(steps, text)
}

function runs(steps: Step[], text: string): boolean {
  let now = reachable(steps, [0])
  for (const char of text) {
    if (now.size === 0) return false
    const next: number[] = []
    for (const at of now) {
      const step = steps[at]!
      if (step.kind === 'char' && step.test(char)) next.push(at + 1)
    }
    now = reachable(steps, next)
  }
  return now.has(steps.length - 1)
}

function reachable(steps: Step[], from: number[]): Set<number> {
  const found = new Set(from)
  for (const at of found) {
    const step = steps[at]!
    if (step.kind === 'split') for (const to of step.to) found.add(to)
  }
  return found
}

function written(node: Node): Step[] {
  const steps: Step[] = []
  const add = (step: Step) => {
    if (steps.push(step) > stepsMax) throw unsupported('the regular expression of the filter is too large')
  }
  const write = (part: Node) => {
    switch (part.kind) {
      case 'char':
        add(part)
        return
      case 'all':
        for (const each of part.of) write(each)
        return
      case 'any': {
        const [first, ...others] = part.of
        if (others.length === 0) {
          write(first!)
          return
        }
        const split: Step = { kind: 'split', to: [steps.length + 1, 0] }
        add(split)
        write(first!)
        const jump: Step = { kind: 'split', to: [0, 0] }
        add(jump)
        split.to[1] = steps.length
        write({ kind: 'any', of: others })
        jump.to = [steps.length, steps.length]
        return
      }
      case 'repeat': {
        for (let i = 0; i < part.min; i++) write(part.of)
        if (part.max === Number.POSITIVE_INFINITY) {
          const start = steps.length
          const split: Step = { kind: 'split', to: [start + 1, 0] }
          add(split)
          write(part.of)
          add({ kind: 'split', to: [start, start] })
          split.to[1] = steps.length
          return
        }
        const ways: Extract<Step, { kind: 'split' }>[] = []
        for (let i = part.min; i < part.max; i++) {
          const split: Extract<Step, { kind: 'split' }> = { kind: 'split', to: [steps.length + 1, 0] }
          ways.push(split)
          add(split)
          write(part.of)
        }
        for (const way of ways) way.to[1] = steps.length
      }
    }
  }
  write(node)
  add({ kind: 'end' })
  return steps
}

class Parser {
  private at = 0
  private readonly chars: string[]

  constructor(source: string) {
    this.chars = [...source]
  }

  parse(): Node {
    const node = this.alternatives(0)
    if (this.at < this.chars.length) throw this.refusal()
    return node
  }

  private refusal() {
    return unsupported(
      'the regular expression of the filter is not understood; use literals, classes, groups, | and quantifiers',
    )
  }

  private alternatives(depth: number): Node {
    if (depth > depthMax) throw this.refusal()
    const of = [this.sequence(depth)]
    while (this.chars[this.at] === '|') {
      this.at++
      of.push(this.sequence(depth))
    }
    return { kind: 'any', of }
  }

  private sequence(depth: number): Node {
    const of: Node[] = []
    while (this.at < this.chars.length && this.chars[this.at] !== '|' && this.chars[this.at] !== ')')
      of.push(this.quantified(this.atom(depth)))
    return { kind: 'all', of }
  }

  private quantified(of: Node): Node {
    const rest = this.chars.slice(this.at, this.at + 12).join('')
    const [whole, sign, from, comma, to] = /^(?:([*+?])|\{(\d{1,3})(,(\d{0,3}))?\})\??/.exec(rest) ?? []
    if (whole === undefined) return of
    this.at += whole.length
    if (sign !== undefined)
      return { kind: 'repeat', of, min: sign === '+' ? 1 : 0, max: sign === '?' ? 1 : Number.POSITIVE_INFINITY }
    const min = Number(from)
    const max = comma === undefined ? min : to ? Number(to) : Number.POSITIVE_INFINITY
    if (max < min) throw this.refusal()
    return { kind: 'repeat', of, min, max }
  }

  private atom(depth: number): Node {
    const char = this.chars[this.at++]!
    switch (char) {
      case '(': {
        if (this.chars[this.at] === '?') {
          if (this.chars[this.at + 1] !== ':') throw this.refusal()
          this.at += 2
        }
        const node = this.alternatives(depth + 1)
        if (this.chars[this.at++] !== ')') throw this.refusal()
        return node
      }
      case '[':
        return { kind: 'char', test: this.charClass() }
      case '.':
        return { kind: 'char', test: () => true }
      case '\\':
        return { kind: 'char', test: this.escaped() }
      case '*':
      case '+':
      case '?':
      case '{':
      case '^':
      case '$':
        throw this.refusal()
      default:
        return { kind: 'char', test: (each) => each === char }
    }
  }

  private charClass(): Test {
    const negated = this.chars[this.at] === '^'
    if (negated) this.at++
    const tests: Test[] = []
    for (let first = true; first || this.chars[this.at] !== ']'; first = false) {
      const char = this.chars[this.at++]
      if (char === undefined) throw this.refusal()
      const to = this.chars[this.at + 1]
      if (char === '\\') tests.push(this.escaped())
      else if (this.chars[this.at] === '-' && to !== undefined && to !== ']') {
        if (to === '\\') throw this.refusal()
        this.at += 2
        tests.push((each) => each >= char && each <= to)
      } else tests.push((each) => each === char)
    }
    this.at++
    return (each) => tests.some((test) => test(each)) !== negated
  }

  private escaped(): Test {
    const char = this.chars[this.at++]
    const shorthand = char !== undefined && shorthands[char.toLowerCase()]
    if (shorthand) return char === char.toLowerCase() ? shorthand : (each) => !shorthand(each)
    if (char === undefined || /[a-zA-Z0-9]/.test(char)) throw this.refusal()
    return (each) => each === char
  }
}

const shorthands: Record<string, Test> = {
  d: (char) => /\d/.test(char),
  w: (char) => /\w/.test(char),
  s: (char) => /\s/.test(char),
}
