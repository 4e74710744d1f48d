/**
 * Search values as short texts that one array index answers: `code|http://loinc.org|1234-5`, `subject>Patient/1`.
 *
 * https://www.mongodb.com/docs/manual/core/indexes/index-types/index-multikey/
 *
 * Two arrays: `k` for what is asked often (its index is kept in several orders), `x` for what is asked seldom. What a
 * parameter is called and the system of a token are escaped, so that two values never share a text.
 */
import { fold, type IndexEntry } from '../../search/index.js'

/** Every resource that is there has it; one that was deleted has no token at all. */
export const alive = '*'

const special = /[%|#~=>@^"<* ]/g
const escaped = (text: string): string =>
  text.replace(special, (char) => `%${char.charCodeAt(0).toString(16).padStart(2, '0')}`)

const names = new Map<string, string>()
const namesMax = 5000

/** A parameter as tokens begin with it; alone it says that the parameter has a value. */
export function named(param: string): string {
  let name = names.get(param)
  if (name === undefined) {
    if (names.size >= namesMax) names.clear()
    name = escaped(param)
    names.set(param, name)
  }
  return name
}

export const token = {
  code: (param: string, code: string) => `${named(param)}#${code}`,
  coded: (param: string, system: string, code: string) => `${named(param)}|${escaped(system)}|${code}`,
  system: (param: string, system: string) => `${named(param)}@${system}`,
  folded: (param: string, text: string) => `${named(param)}~${text}`,
  exact: (param: string, text: string) => `${named(param)}=${text}`,
  uri: (param: string, uri: string) => `${named(param)}<${uri}`,
  url: (param: string, url: string) => `${named(param)}^${url}`,
  reference: (param: string, target: string) => `${named(param)}>${target}`,
  /** Whatever parameter refers to it. */
  anyReference: (target: string) => `*>${target}`,
  /** Whatever element refers to it, searched or not: what a delete asks. */
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

/** Series of intervals: which of a parameter's bounds compare with each other. */
export const series = {
  interval: (param: string) => named(param),
  any: (param: string) => `${named(param)}#`,
  canonical: (param: string, code: string) => `${named(param)}~${code}`,
  coded: (param: string, system: string, code: string) => `${named(param)}|${escaped(system)}|${code}`,
  text: (param: string, text: string) => `${named(param)}"${text}`,
}

export type Interval = { p: string; lo: number; hi: number }

/** The values of one resource, or of one component of a composite. */
export class Tokens {
  readonly k = new Set<string>()
  readonly x = new Set<string>()
  readonly d = new Map<string, Interval>()

  add(entry: IndexEntry): void {
    const { k, x } = this
    switch (entry.kind) {
      case 'token': {
        const { param, system = '', code } = entry
        x.add(token.system(param, system))
        if (code === undefined) break
        k.add(token.code(param, code))
        k.add(token.coded(param, system, code))
        break
      }
      case 'string':
        k.add(token.folded(entry.param, fold(entry.value)))
        x.add(token.exact(entry.param, entry.value))
        break
      case 'uri':
        k.add(token.uri(entry.param, entry.value))
        break
      case 'reference-url':
        k.add(token.url(entry.param, entry.url))
        break
      case 'reference':
        k.add(token.reference(entry.param, `${entry.type}/${entry.id}`))
        x.add(token.anyReference(`${entry.type}/${entry.id}`))
        if (entry.version !== undefined) k.add(token.reference(entry.param, targetOf(entry)))
        break
      case 'interval':
        this.interval(series.interval(entry.param), entry)
        break
      case 'quantity': {
        const { param, system, code, unit, canonical } = entry
        this.interval(series.any(param), entry)
        if (canonical) this.interval(series.canonical(param, canonical.code), canonical)
        if (system !== undefined && code !== undefined) this.interval(series.coded(param, system, code), entry)
        if (code !== undefined) this.interval(series.text(param, code), entry)
        if (unit !== undefined) this.interval(series.text(param, unit), entry)
        break
      }
      case 'text':
        for (const word of entry.words.split(' ')) x.add(token.word(entry.param, word))
        break
      case 'composite':
      case 'position':
        break
    }
  }

  private interval(p: string, { lo, hi }: { lo: number; hi: number }): void {
    this.d.set(`${lo} ${hi} ${p}`, { p, lo, hi })
  }
}

/** The resources that the tokens of links name. */
export const linksOf = (x: readonly string[]): { type: string; id: string }[] =>
  x.flatMap((text) => {
    if (!text.startsWith('>')) return []
    const at = text.indexOf('/')
    return [{ type: text.slice(1, at), id: text.slice(at + 1) }]
  })
