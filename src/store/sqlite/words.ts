/**
 * Folded words as the full-text index takes them.
 *
 * https://www.sqlite.org/fts5.html#ascii_tokenizer
 *
 * The tokenizer splits at every ASCII character that is neither letter nor digit. Folding has turned nearly all of
 * them into spaces; what is left (control characters) is moved out of its sight, so that words stay whole.
 */
import { fold } from '../../search/index.js'

const separators = /[^ 0-9a-z\u0080-\u{10ffff}]/gu

export const searchableWords = (text: string): string =>
  fold(text).replace(separators, (char) => String.fromCodePoint(0xf000 + char.charCodeAt(0)))

/** A full-text query for all of the words; one that ends in * stands for every word that begins so. */
export function wordsQuery(words: readonly string[]): string {
  return words
    .map((word) => {
      const prefix = word.endsWith('*')
      const searched = searchableWords(prefix ? word.slice(0, -1) : word)
      return searched
        .split(' ')
        .map((part, i, parts) => `"${part}"${prefix && i === parts.length - 1 ? '*' : ''}`)
        .join(' ')
    })
    .join(' ')
}
