/**
 * Folded words as the full-text index takes them.
 *
 * https://www.sqlite.org/fts5.html#ascii_tokenizer
 *
 * The tokenizer splits at every ASCII character that is neither letter nor digit. Folding has turned nearly all of
 * them into spaces; what is left (control characters) is moved out of its sight, so that words stay whole.
 *
 * In the index every word begins with the number of the tenant's type it is a word of: words of others are other words,
 * and cost nothing.
 */
import { type Sql, sql } from './sql.js'

const separators = /[^0-9a-z\u0080-\u{10ffff}]/gu

const searchable = (word: string): string =>
  word.replace(separators, (char) => String.fromCodePoint(0xf000 + char.charCodeAt(0)))

/** Hardly any text has one. */
const separated = /[^ 0-9a-z\u0080-\u{10ffff}]/u

/** Ends the number: no digit, and part of a word for the tokenizer. */
const mark = '·'

export function searchableWords(tid: number, text: string): string {
  const words = separated.test(text) ? text.split(' ').map(searchable) : text.split(' ')
  return words.map((word) => `${tid}${mark}${word}`).join(' ')
}

/** A full-text query for all of the words; one that ends in * stands for every word that begins so. */
export const wordsQuery = (tid: number, words: readonly string[]): string =>
  words
    .map((word) =>
      word.endsWith('*') ? `"${tid}${mark}${searchable(word.slice(0, -1))}"*` : `"${tid}${mark}${searchable(word)}"`,
    )
    .join(' ')

/** A condition on words that wait to be indexed, for one word of a query. NULL says nothing. */
export const says = (word: string): Sql =>
  word.endsWith('*')
    ? sql`instr(' ' || words, ${` ${word.slice(0, -1)}`}) > 0`
    : sql`instr(' ' || words || ' ', ${` ${word} `}) > 0`
