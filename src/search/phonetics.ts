/**
 * Phonetic search of names: words that sound alike have the same code.
 *
 * https://hl7.org/fhir/R4/patient.html#search
 *
 * We use American Soundex on each word of the folded name. A word in another script stays as it is, so that it is still
 * found by itself.
 */
import { invalid } from '../fhir/index.js'
import type { Emit } from './entries.js'
import { and, type Expression, fold } from './expression.js'
import { eachText } from './strings.js'

const nameParts = ['text', 'family', 'given']

export function phoneticEmitter(param: string, type: string): Emit | undefined {
  const add = (text: string, sink: Parameters<Emit>[1]) => {
    for (const value of soundsOf(text)) sink.entries.push({ kind: 'string', param, value })
  }
  if (type === 'HumanName') return (value, sink) => eachText(value, nameParts, (text) => add(text, sink))
  if (type === 'string')
    return (value, sink) => {
      if (typeof value === 'string') add(value, sink)
    }
  return undefined
}

/** Every word of the value must sound like one of the recorded words. */
export function phoneticTest(param: string, text: string, name: string): Expression {
  const words = soundsOf(text)
  if (words.length === 0) throw invalid(`"${name}" needs a word to compare`, name)
  return and(...words.map((value): Expression => ({ op: 'string', param, how: 'exact', value })))
}

/** What the words of a text sound like, each sound once: a long text repeats itself. */
const soundsOf = (text: string): string[] => [
  ...new Set(
    fold(text)
      .split(' ')
      .filter((word) => word !== '')
      .map(soundex),
  ),
]

const digits: Record<string, string> = Object.fromEntries(
  ['bfpv', 'cgjkqsxz', 'dt', 'l', 'mn', 'r'].flatMap((letters, i) =>
    [...letters].map((letter) => [letter, `${i + 1}`]),
  ),
)

/** https://www.archives.gov/research/census/soundex */
export function soundex(word: string): string {
  if (!/^[a-z]+$/.test(word)) return word
  let code = word[0]!.toUpperCase()
  let last = digits[word[0]!]
  for (let i = 1; i < word.length && code.length < 4; i++) {
    const letter = word[i]!
    // Letters of one group are coded once, also across h and w; a vowel between them separates.
    if (letter === 'h' || letter === 'w') continue
    const digit = digits[letter]
    if (digit !== undefined && digit !== last) code += digit
    last = digit
  }
  return code.padEnd(4, '0')
}
