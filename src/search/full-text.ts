/**
 * `_text` and `_content`: words of the narrative, and of everything a resource says.
 *
 * https://hl7.org/fhir/R4/search.html#content
 */
import { Decimal, type Json } from '../fhir/index.js'
import { fold, type IndexEntry } from './expression.js'

/** Longer runs of letters are data, not words. */
const wordLengthMax = 64
/** Links, dates and times are found by parameters of their own. */
const notWords = /^(?:https?:|urn:|\d{4}-\d\d(?:-\d\d|$))/

/** The entries of a resource; every word once. */
export function fullTextEntries(resource: { [key: string]: Json }): IndexEntry[] {
  const entries: IndexEntry[] = []
  const words = new Set<string>()
  const narrative = narrativeOf(resource['text'])
  if (narrative !== undefined) addWords(narrative, words)
  if (words.size) entries.push({ kind: 'text', param: '_text', words: [...words].join(' ') })
  const said: string[] = []
  for (const key in resource)
    if (key !== 'id' && key !== 'resourceType' && key !== 'meta' && key !== 'text') gather(resource[key]!, said)
  addWords(said.join(' '), words)
  if (words.size) entries.push({ kind: 'text', param: '_content', words: [...words].join(' ') })
  return entries
}

function narrativeOf(text: Json | undefined): string | undefined {
  const div = typeof text === 'object' && text !== null && 'div' in text ? text.div : undefined
  return typeof div === 'string' ? plainText(div) : undefined
}

/** Strings other than links, dates, references and attached data. */
function gather(value: Json, into: string[]): void {
  if (typeof value === 'string') {
    if (value !== '' && !notWords.test(value)) into.push(value)
  } else if (Array.isArray(value)) for (const item of value) gather(item, into)
  else if (typeof value === 'object' && value !== null && !(value instanceof Decimal)) {
    for (const key in value) {
      const member = value[key]!
      if (key === 'div' && typeof member === 'string') into.push(plainText(member))
      else if (key !== 'reference' && key !== 'data') gather(member, into)
    }
  }
}

const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: ' ' }

/** XHTML without its tags; a tag separates words. */
function plainText(html: string): string {
  let text = ''
  for (let at = 0; at < html.length; ) {
    const open = html.indexOf('<', at)
    text += html.slice(at, open < 0 ? html.length : open)
    const close = open < 0 ? -1 : html.indexOf('>', open)
    at = close < 0 ? html.length : close + 1
    text += ' '
  }
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-fA-F]{1,6})|([a-z]{2,6}));/g, (whole, decimal, hex, name) => {
    if (name !== undefined) return entities[name] ?? whole
    const point = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal)
    return point <= 0x10ffff ? String.fromCodePoint(point) : ' '
  })
}

function addWords(text: string, words: Set<string>): void {
  for (const word of fold(text).split(' ')) if (word !== '' && word.length <= wordLengthMax) words.add(word)
}
