/**
 * What makes a resource sensitive, as data: the rules of capability/label-rules.json, ready to be asked.
 *
 * https://hl7.org/fhir/R4/security-labels.html
 */
import { readFileSync } from 'node:fs'
import { Ajv } from 'ajv'
import { detached } from '../fhir/index.js'
import type { Level } from './confidentiality.js'
import { Terms } from './label-words.js'

/** Which label, and the rule that says so. */
export type Sign = { label: string; rule: string }

/** The codes of one code system. */
type Codes = { exact: Map<string, Sign[]>; prefixes: Map<string, Sign[]>; lengths: Set<number>; dotless: boolean }

export type LabelRules = {
  version: string
  levelOf: ReadonlyMap<string, Level>
  /** Sensitivities no client takes off. */
  kept: ReadonlySet<string>
  /** `system` undefined: a code of which nobody says whose it is. */
  signsOfCode(system: string | undefined, code: string): readonly Sign[]
  signsOfText(text: string): readonly Sign[]
  signsOfUri(uri: string): readonly Sign[]
  signsOfIdentifier(system: string): readonly Sign[]
  signsOfReference(reference: string): readonly Sign[]
}

type Written = {
  version: string
  kept: string[]
  labels: {
    label: string
    confidentiality: Level
    codes: { id: string; systems: string[]; codes?: string[]; prefixes?: string[]; dotless?: boolean }[]
    words?: { id: string; terms: string[]; cased?: boolean; unless?: string[] }[]
    notWords?: string[]
    systems?: string[]
    identifierSystems?: string[]
    services?: string[]
    programmes?: string[]
  }[]
}

/** @throws Error where the rules do not follow their schema */
export function readLabelRules(rules: unknown, schema: object): LabelRules {
  const validate = new Ajv({ allErrors: true }).compile<Written>(schema)
  if (!validate(rules))
    throw new Error(
      `the label rules: ${validate.errors!.map(({ instancePath, message }) => `${instancePath} ${message}`).join('; ')}`,
    )
  const { version, kept, labels } = rules
  const bySystem = new Map<string, Codes>()
  const bare: Codes = emptyCodes(true)
  const starts: [string, Sign[]][] = []
  const identifiers = new Map<string, Sign[]>()
  const services = new Map<string, Sign[]>()
  const programmes: [RegExp, Sign[]][] = []
  for (const row of labels) {
    const { label } = row
    for (const { id: rule, systems, codes = [], prefixes = [], dotless = false } of row.codes) {
      const sign = { label, rule }
      for (const system of systems) {
        const own = bySystem.get(system) ?? emptyCodes(dotless)
        bySystem.set(system, own)
        fill(own, sign, codes, prefixes)
      }
      fill(
        bare,
        sign,
        codes.filter(isTelling),
        prefixes.filter((prefix) => prefix.length > 2 && isTelling(prefix)),
      )
    }
    for (const start of row.systems ?? []) starts.push([start, [{ label, rule: 'code-system' }]])
    for (const system of row.identifierSystems ?? []) add(identifiers, system, { label, rule: 'identifier' })
    for (const reference of row.services ?? []) add(services, reference, { label, rule: 'service' })
    for (const name of row.programmes ?? []) programmes.push([namedIn(name), [{ label, rule: 'programme' }]])
  }
  const terms = new Terms(labels)
  const codesOf = remembered((system) => bySystem.get(system) ?? bySystem.get(plain(system)))
  const ofUri = remembered(
    (uri) => (programmes.find(([name]) => name.test(uri)) ?? starts.find(([start]) => uri.startsWith(start)))?.[1],
  )
  return {
    version,
    kept: new Set(kept),
    levelOf: new Map(labels.map(({ label, confidentiality }) => [label, confidentiality])),
    signsOfCode: (system, code) => {
      const known = system === undefined ? bare : codesOf(system)
      return known ? lookUp(known, code) : none
    },
    signsOfText: (text) => terms.signsIn(text),
    signsOfUri: (uri) => ofUri(uri) ?? none,
    signsOfIdentifier: (system) => identifiers.get(system) ?? none,
    signsOfReference: (reference) => services.get(reference) ?? none,
  }
}

const none: readonly Sign[] = []

const emptyCodes = (dotless: boolean): Codes => ({ exact: new Map(), prefixes: new Map(), lengths: new Set(), dotless })

function fill(into: Codes, sign: Sign, codes: readonly string[], prefixes: readonly string[]): void {
  for (const code of codes) add(into.exact, written(code, into.dotless), sign)
  for (const prefix of prefixes) {
    const text = written(prefix, into.dotless)
    add(into.prefixes, text, sign)
    into.lengths.add(text.length)
  }
}

function lookUp({ exact, prefixes, lengths, dotless }: Codes, given: string): readonly Sign[] {
  if (given.length > codeMax) return none
  const code = written(given, dotless)
  const found = exact.get(code)
  let all: readonly Sign[] = found ?? none
  for (const length of lengths) {
    const more = prefixes.get(code.slice(0, length))
    if (more) all = [...all, ...more]
  }
  return all
}

const codeMax = 64

/** Codes are compared as people write them: in either case, ICD's with and without the dot. */
const written = (code: string, dotless: boolean): string => {
  const trimmed = code.trim().toUpperCase()
  return dotless ? trimmed.replaceAll('.', '') : trimmed
}

/** A code that says what it is although nobody says whose it is; `042` could be anything. */
const isTelling = (code: string): boolean => code.length >= 5 || /^[A-Z]\d\d/.test(code)

/** URIs of code systems, profiles and extensions are few and asked again and again. */
function remembered<T>(answer: (uri: string) => T | undefined): (uri: string) => T | undefined {
  const known = new Map<string, T | undefined>()
  return (uri) => {
    if (uri.length > uriMax || uri.startsWith('urn:uuid:')) return answer(uri)
    const before = known.get(uri)
    if (before !== undefined || known.has(uri)) return before
    if (known.size === knownMax) known.clear()
    const now = answer(uri)
    known.set(detached(uri), now)
    return now
  }
}

const uriMax = 200
const knownMax = 2000

/** As others write the URI of a code system: https, a slash at the end, a version of SNOMED CT, a bare OID. */
function plain(system: string): string {
  const text = system
    .trim()
    .toLowerCase()
    .replace(/^https:/, 'http:')
    .replace(/\/+$/, '')
  if (text.startsWith('http://snomed.info/sct/')) return 'http://snomed.info/sct'
  return /^[0-2](\.\d+)+$/.test(text) ? `urn:oid:${text}` : text
}

/** The name as a word of its own within a URI, also in camel case: `hiv-visit`, `HIVPatient`; not `archive`. */
function namedIn(name: string): RegExp {
  const upper = name.toUpperCase()
  const title = upper[0] + name.slice(1)
  return new RegExp(`(?<![A-Za-z])${name}(?![a-z])|(?<![A-Z])${upper}|(?<![A-Z])${title}(?![a-z])`)
}

function add<T>(lists: Map<string, T[]>, key: string, value: T): void {
  const list = lists.get(key)
  if (list) list.push(value)
  else lists.set(key, [value])
}

const file = (name: string): object =>
  JSON.parse(readFileSync(new URL(`../../capability/${name}`, import.meta.url), 'utf8')) as object

export const labelRules: LabelRules = readLabelRules(file('label-rules.json'), file('label-rules.schema.json'))
