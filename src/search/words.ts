/**
 * `_text` and `_content` as they are searched: words joined by AND and OR, in parentheses where wanted.
 *
 * https://hl7.org/fhir/R4/search.html#content
 *
 * Words beside each other must all be there; `metasta*` is any word that begins so. `"one phrase"` means all its words.
 */
import { invalid, tooCostly } from '../fhir/index.js'
import { and, type Expression, fold, or, type TextTest } from './expression.js'

const wordsMax = 100

export function wordsTest(param: TextTest['param'], text: string, name: string): Expression {
  const tokens = text.match(/[()]|"[^"]*"|[^\s()"]+/g) ?? []
  if (tokens.length > wordsMax) throw tooCostly(`"${name}" takes at most ${wordsMax} words`, name)
  let at = 0
  const is = (word: string) => tokens[at]?.toLowerCase() === word
  const either = (): Expression => {
    const of = [both()]
    while (is('or')) {
      at++
      of.push(both())
    }
    return or(...of)
  }
  const both = (): Expression => {
    const of = [term()]
    while (at < tokens.length && !is('or') && !is(')')) {
      if (is('and')) at++
      of.push(term())
    }
    return joined(param, of)
  }
  const term = (): Expression => {
    const token = tokens[at++]
    if (token === undefined || token === ')' || /^(?:and|or)$/i.test(token))
      throw invalid(`"${name}" takes words, AND, OR and parentheses; a word is missing`, name)
    if (token !== '(') return words(token)
    const inner = either()
    if (!is(')')) throw invalid(`"${name}" has a parenthesis that is not closed`, name)
    at++
    return inner
  }
  const words = (token: string): Expression => {
    const folded = fold(token)
      .split(' ')
      .filter((word) => word !== '')
    if (folded.length === 0) throw invalid(`"${name}" needs a letter or digit to look for`, name)
    if (token.endsWith('*')) folded.push(`${folded.pop()}*`)
    return { op: 'text', param, words: folded }
  }
  const whole = either()
  if (at < tokens.length) throw invalid(`"${name}" has a parenthesis that is not opened`, name)
  return whole
}

/** Words that must all be there become one test. */
function joined(param: TextTest['param'], of: Expression[]): Expression {
  const words = of.flatMap((each) => (each.op === 'text' ? each.words : []))
  const others = of.filter((each) => each.op !== 'text')
  return and(...(words.length ? [{ op: 'text' as const, param, words: [...new Set(words)] }] : []), ...others)
}
