/**
 * Search values as short texts: `code#1234-5`, `>Patient/1`, `code|http://loinc.org|1234-5`.
 *
 * https://www.mongodb.com/docs/manual/core/indexes/index-types/index-multikey/
 *
 * What an index must hold and what makes an answer exact are kept apart, because each entry of an index costs a write:
 * the index finds a code whatever its system and a target whatever refers to it, which is nearly always what was asked;
 * the list beside it, in no index, has system and parameter. What a parameter is called and the system of a token are
 * escaped, so that two values never share a text.
 */
import { custodianParam, fold, type IndexEntry } from '../../search/index.js'

const special = /[%|#~=>@^"<* ]/g
const escaped = (text: string): string =>
  text.replace(special, (char) => `%${char.charCodeAt(0).toString(16).padStart(2, '0')}`)

/** Beginnings that most systems share. What is escaped has two digits of hexadecimal here. */
const beginnings: readonly (readonly [short: string, long: string])[] = [
  ['%t', 'http://terminology.hl7.org/CodeSystem/'],
  ['%s', 'http://snomed.info/sct'],
  ['%u', 'http://unitsofmeasure.org'],
  ['%l', 'http://loinc.org'],
  ['%h', 'http://hl7.org/fhir/'],
]

export function systemText(system: string): string {
  for (const [short, long] of beginnings) if (system.startsWith(long)) return short + escaped(system.slice(long.length))
  return escaped(system)
}

/** Those that have a token for each word. */
const words = [
  ['_text', '%v'],
  ['_content', '%w'],
] as const

const names = new Map<string, string>(words)
const namesMax = 5000

/** A parameter as tokens begin with it; alone it says that the parameter has a value. */
export function named(param: string): string {
  let name = names.get(param)
  if (name === undefined) {
    if (names.size >= namesMax) {
      names.clear()
      for (const [each, short] of words) names.set(each, short)
    }
    name = escaped(param)
    names.set(param, name)
  }
  return name
}

export const token = {
  code: (param: string, code: string) => `${named(param)}#${code}`,
  coded: (param: string, system: string, code: string) => `${named(param)}|${systemText(system)}|${code}`,
  system: (param: string, system: string) => `${named(param)}@${systemText(system)}`,
  folded: (param: string, text: string) => `${named(param)}~${text}`,
  exact: (param: string, text: string) => `${named(param)}=${text}`,
  uri: (param: string, uri: string) => `${named(param)}<${uri}`,
  url: (param: string, url: string) => `${named(param)}^${url}`,
  reference: (param: string, target: string) => `${named(param)}>${target}`,
  /** Whatever refers to it. */
  link: (target: string) => `>${target}`,
  word: (param: string, word: string) => `${named(param)} ${word}`,
}

export const targetOf = ({ type, id, version }: { type: string; id: string; version?: string }): string =>
  version === undefined ? `${type}/${id}` : `${type}/${id}/_history/${version}`

/** The parameter and the target of a token of a reference (without version); undefined for other tokens. */
export function referenceOf(text: string): { param: string; type: string; id: string } | undefined {
  // What is escaped holds none of the separators: the first that is found says what kind of token it is.
  const at = text.search(/[|#~=>@^"<* ]/)
  if (at <= 0 || text[at] !== '>') return undefined
  const [type, id, ...version] = text.slice(at + 1).split('/')
  return version.length || !type || !id ? undefined : { param: text.slice(0, at), type, id }
}

/** Parameters whose codes mean nothing without their system: many hospitals have a patient number 1. */
export const isIdentifying = (param: string): boolean => param === 'identifier' || param.includes('identifier')

/** Parameters that are asked for a system alone. */
export const isListedBySystem = (param: string): boolean => isIdentifying(param) || param.startsWith('_')

/** Types whose resources many others refer to. */
const widelyReferred = /^>(?:Practitioner|PractitionerRole|Organization|Location)\//

/** Whether so many may have a token that they are kept in the order of date and change too. */
export function isBroad(text: string): boolean {
  if (text.startsWith('>')) return widelyReferred.test(text)
  return text[text.search(/[|#~=>@^"<* ]/)] === '#'
}

export const isPatient = (text: string): boolean => text.startsWith('>Patient/')

/**
 * A number for a text, for indexes that need not tell every two texts apart: what is found by it is tested by the text
 * itself. 53 bits, which a double holds.
 */
export function numberOf(text: string): number {
  let a = 0xdeadbeef
  let b = 0x41c6ce57
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    a = Math.imul(a ^ unit, 2654435761)
    b = Math.imul(b ^ unit, 1597334677)
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909)
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909)
  return 4294967296 * (2097151 & b) + (a >>> 0)
}

/** A patient with a broad token, with any, or as one of more patients than are combined with tokens. */
export const ofPatient = (patient: string, text: string | undefined): number =>
  numberOf(text === undefined ? patient : `${patient} ${text}`)
export const amongMany = (patient: string): number => numberOf(`${patient} *`)
const patientsMax = 3

/** Series of intervals: which of a parameter's bounds compare with each other. */
export const series = {
  interval: (param: string) => named(param),
  any: (param: string) => `${named(param)}#`,
  canonical: (param: string, code: string) => `${named(param)}~${code}`,
  text: (param: string, text: string) => `${named(param)}"${text}`,
}

/** `s` is the system of the unit, where the series is of its code. */
export type Interval = { p: string; lo: number; hi: number; s?: string }

/** No custodian in particular. */
export const mixed = '*'

/** The values of one resource, or of one component of a composite. */
export class Tokens {
  /** In an index, in the order of creation. */
  readonly k = new Set<string>()
  /** In an index, in no order: asked seldom. */
  readonly x = new Set<string>()
  /** In no index. */
  readonly q = new Set<string>()
  readonly d = new Map<string, Interval>()
  readonly custodians = new Set<string>()

  add(entry: IndexEntry): void {
    const { k, x, q } = this
    switch (entry.kind) {
      case 'token': {
        const { param, system = '', code } = entry
        if (param === custodianParam && code !== undefined) {
          // It is in every index, as the class.
          this.custodians.add(code)
          q.add(token.code(param, code))
          q.add(token.coded(param, system, code))
          break
        }
        // Elsewhere the system is the beginning of the token with the code.
        if (isListedBySystem(param)) x.add(token.system(param, system))
        else if (code === undefined) q.add(token.system(param, system))
        if (code === undefined) break
        if (isIdentifying(param)) {
          k.add(token.coded(param, system, code))
          x.add(token.code(param, code))
        } else {
          k.add(token.code(param, code))
          q.add(token.coded(param, system, code))
        }
        break
      }
      case 'string':
        k.add(token.folded(entry.param, fold(entry.value)))
        q.add(token.exact(entry.param, entry.value))
        break
      case 'uri':
        k.add(token.uri(entry.param, entry.value))
        break
      case 'reference-url':
        k.add(token.url(entry.param, entry.url))
        break
      case 'reference': {
        const target = `${entry.type}/${entry.id}`
        k.add(token.link(target))
        q.add(token.reference(entry.param, target))
        if (entry.version !== undefined) q.add(token.reference(entry.param, targetOf(entry)))
        break
      }
      case 'interval':
        this.interval(series.interval(entry.param), entry)
        break
      case 'quantity': {
        const { param, system, code, unit, canonical } = entry
        this.interval(series.any(param), entry)
        if (canonical) this.interval(series.canonical(param, canonical.code), canonical)
        if (code !== undefined) this.interval(series.text(param, code), entry, system && systemText(system))
        if (unit !== undefined && unit !== code) this.interval(series.text(param, unit), entry)
        break
      }
      case 'text':
        for (const word of entry.words.split(' ')) x.add(token.word(entry.param, word))
        break
      case 'composite':
      case 'position':
        // What narrows them where their values do not.
        x.add(named(entry.param))
        break
    }
  }

  private interval(p: string, { lo, hi }: { lo: number; hi: number }, s?: string): void {
    this.d.set(`${lo} ${hi} ${s ?? ''} ${p}`, { p, lo, hi, ...(s !== undefined && { s }) })
  }

  /** The numbers of what many may have, and of that with each patient. */
  numbers(): { n: number[]; pt: number[] } {
    const broad: string[] = []
    const patients: string[] = []
    for (const text of this.k)
      if (isPatient(text)) patients.push(text)
      else if (isBroad(text)) broad.push(text)
    const pt = patients.flatMap((patient) =>
      patients.length > patientsMax
        ? [amongMany(patient)]
        : [ofPatient(patient, undefined), ...broad.map((text) => ofPatient(patient, text))],
    )
    return { n: [...new Set(broad.map(numberOf))], pt: [...new Set(pt)] }
  }
}

/** The resources that are referred to, by the lists of tokens. */
export const linksOf = (...lists: readonly string[][]): { type: string; id: string }[] =>
  lists.flat().flatMap((text) => {
    if (!text.startsWith('>')) return []
    const at = text.indexOf('/')
    return [{ type: text.slice(1, at), id: text.slice(at + 1) }]
  })
