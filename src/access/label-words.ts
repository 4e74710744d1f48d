/**
 * Words in free text that make a resource sensitive.
 *
 * https://hl7.org/fhir/R4/security-labels.html
 *
 * Nearly all text has none: one pass looks at the first three letters of each word, and only where a term begins so are
 * the terms themselves tried.
 */
import { fold } from '../search/index.js'
import type { Sign } from './label-rules.js'

type Words = { id: string; terms: string[]; cased?: boolean; unless?: string[] }
type Row = { label: string; words?: Words[]; notWords?: string[] }
type Group = { sign: Sign; pattern: RegExp; cased: boolean; unless: readonly string[] }

export class Terms {
  private readonly groups: Group[]
  /** A place for each three letters that a term begins with. */
  private readonly beginnings = new Uint8Array(1 << 15)
  private readonly starts = new Map<number, string[]>()
  private readonly notWords: RegExp | undefined

  constructor(rows: readonly Row[]) {
    this.groups = rows.flatMap(({ label, words = [] }) =>
      words.map(({ id, terms, cased = false, unless = [] }) => ({
        sign: { label, rule: id },
        pattern: anyOf(cased ? terms : terms.map(foldedTerm), ''),
        cased,
        unless: unless.map(fold),
      })),
    )
    for (const { words = [] } of rows)
      for (const { terms } of words)
        for (const term of terms) for (const text of [term.toLowerCase(), fold(term)]) this.begin(text)
    const notWords = rows.flatMap(({ notWords: phrases = [] }) => phrases)
    if (notWords.length) this.notWords = anyOf(notWords, 'gi')
  }

  signsIn(text: string): readonly Sign[] {
    switch (this.look(text)) {
      case 'nothing':
        return none
      case 'foreign':
        // Accents and typographic signs hide where words begin.
        return this.look(spaced(fold(text))) === 'maybe' ? this.tried(text) : none
      default:
        return this.tried(text)
    }
  }

  private begin(text: string): void {
    const key = keyAt(text, 0)
    const [start] = /^[^\s\-*]{3,6}/.exec(text) ?? [text.slice(0, 3)]
    this.beginnings[key] = 1
    this.starts.set(key, [...(this.starts.get(key) ?? []), start])
  }

  /** Whether a term begins with the word at a place, as far as its first letters tell. */
  private begins(text: string, at: number): boolean {
    const key = keyAt(text, at)
    if (this.beginnings[key] !== 1) return false
    const word = text.slice(at, at + 6).toLowerCase()
    return this.starts.get(key)!.some((start) => word.startsWith(start))
  }

  private look(text: string): 'nothing' | 'maybe' | 'foreign' {
    let inWord = false
    let foreign = false
    for (let i = 0; i < text.length; i++) {
      const c = text.charCodeAt(i)
      const isLetter = c >= 128 || (c >= 97 && c <= 122) || (c >= 65 && c <= 90) || (c >= 48 && c <= 57)
      if (c >= 128) foreign = true
      if (isLetter && !inWord && this.begins(text, i)) return 'maybe'
      inWord = isLetter
    }
    return foreign ? 'foreign' : 'nothing'
  }

  private tried(text: string): readonly Sign[] {
    const raw = spaced(this.notWords ? text.replace(this.notWords, ' ') : text)
    const folded = fold(raw)
    return this.groups
      .filter(
        ({ pattern, cased, unless }) =>
          pattern.test(cased ? raw : folded) && !unless.some((other) => folded.includes(other)),
      )
      .map(({ sign }) => sign)
  }
}

const none: readonly Sign[] = []

const foldedTerm = (term: string): string => fold(term) + (term.endsWith('*') ? '*' : '')

const keyAt = (text: string, at: number): number =>
  ((text.charCodeAt(at) & 31) << 10) | ((text.charCodeAt(at + 1) & 31) << 5) | (text.charCodeAt(at + 2) & 31)

/** Typographic quotes, dashes and spaces end a word like their plain siblings; accents are a part of it. */
const spaced = (text: string): string => text.replace(/[^\p{L}\p{N}\p{M}\x20-\x7e]/gu, ' ')

/** Whole words; words of a phrase are apart by spaces or hyphens, and a `*` stands for any ending. */
function anyOf(terms: readonly string[], flags: string): RegExp {
  const patterns = terms.map((term) =>
    term
      .replace(/[.+?^${}()|[\]\\]/g, '\\$&')
      .replace(/[\s-]+/g, '[\\s\\-]+')
      .replace(/\*$/, '[\\p{L}\\p{N}]*'),
  )
  return new RegExp(`(?<![\\p{L}\\p{N}])(?:${patterns.join('|')})(?![\\p{L}\\p{N}])`, `${flags}u`)
}
