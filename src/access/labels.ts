/**
 * The labelling service: finds in a resource what makes it sensitive, and says why.
 *
 * https://hl7.org/fhir/R4/security-labels.html
 *
 * Looked at are all codings, identifiers, references, URIs and strings, those of contained resources, the narrative and
 * attached text included. What merely describes FHIR (types with a publisher) is about nobody and has no label.
 */
import { isObject, type Json, type JsonObject, type Resource } from '../fhir/index.js'
import { type LabelRules, labelRules, type Sign } from './label-rules.js'
import { isDefinitionType } from './roles.js'

/** `path` is where in the resource, as `Condition.code.coding[0]`. */
export type Reason = Sign & { path: string }

export type Labels = { labels: string[]; reasons: Reason[] }

/** The first place for each label and rule. */
export function labelsOf(resource: Resource, rules: LabelRules = labelRules): Labels {
  if (isDefinitionType(resource.resourceType)) return nothing
  const search = new Finder(rules, resource.resourceType)
  search.resource(resource)
  return search.found
    ? { labels: [...new Set(search.found.map(({ label }) => label))], reasons: search.found }
    : nothing
}

const nothing: Labels = { labels: [], reasons: [] }

class Finder {
  found: Reason[] | undefined
  private readonly path: (string | number)[] = []

  constructor(
    private readonly rules: LabelRules,
    private readonly type: string,
  ) {}

  resource(resource: JsonObject): void {
    for (const key in resource) {
      const value = resource[key]!
      this.path.push(key)
      if (key === 'meta' && isObject(value)) this.meta(value)
      else this.value(value, key, resource)
      this.path.pop()
    }
  }

  /** Labels are no reason for labels, and extensions of meta are the server's own. */
  private meta(meta: JsonObject): void {
    for (const key of ['profile', 'tag', 'source']) {
      const value = meta[key]
      if (value === undefined) continue
      this.path.push(key)
      this.value(value, key, meta)
      this.path.pop()
    }
  }

  private value(value: Json, key: string, parent: JsonObject): void {
    if (typeof value === 'string') this.string(value, key, parent)
    else if (Array.isArray(value)) {
      for (let i = 0; i < value.length; i++) {
        this.path.push(i)
        this.value(value[i]!, key, parent)
        this.path.pop()
      }
    } else if (isObject(value)) this.object(value)
  }

  private object(object: JsonObject): void {
    const { code, system, value, reference } = object
    if (typeof code === 'string') this.note(this.rules.signsOfCode(textOf(system), code))
    if (typeof system === 'string' && typeof value === 'string') this.note(this.rules.signsOfIdentifier(system))
    if (typeof reference === 'string') this.note(this.rules.signsOfReference(reference))
    // A contained resource has a meta of its own.
    if (typeof object['resourceType'] === 'string') {
      this.resource(object)
      return
    }
    for (const key in object) {
      this.path.push(key)
      this.value(object[key]!, key, object)
      this.path.pop()
    }
  }

  private string(text: string, key: string, parent: JsonObject): void {
    if (key === 'data') {
      const attached = attachedText(text, parent)
      if (attached !== undefined) this.note(this.rules.signsOfText(attached))
      return
    }
    if (isUri(text)) {
      this.note(this.rules.signsOfUri(text))
      if (!text.includes('|') && !text.includes('?')) return
    }
    if (key === 'div') this.note(this.rules.signsOfText(stripped(text)))
    this.note(this.rules.signsOfText(text))
    if (key.startsWith('value') && text.length <= codeMax) this.note(this.rules.signsOfCode(undefined, text))
    if (text.length <= queryMax && (text.includes('|') || text.includes('='))) this.query(text)
  }

  /** Codes in criteria and queries: `Observation?code=http://loinc.org|20447-9`. */
  private query(text: string): void {
    for (const part of decoded(text).split(/[|=,&?$]/)) this.note(this.rules.signsOfCode(undefined, part))
  }

  private note(signs: readonly Sign[]): void {
    for (const { label, rule } of signs) {
      this.found ??= []
      if (this.found.some((each) => each.label === label && each.rule === rule)) continue
      const steps = this.path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`))
      this.found.push({ label, rule, path: this.type + steps.join('') })
    }
  }
}

const codeMax = 64
const queryMax = 4096
/** Characters of an attachment that are looked at. */
const attachedMax = 1_000_000

const textOf = (value: Json | undefined): string | undefined => (typeof value === 'string' ? value : undefined)

const isUri = (text: string): boolean => /^(?:https?:\/\/|urn:)/.test(text)

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** The text of an Attachment or Binary that is text. */
function attachedText(data: string, { contentType }: JsonObject): string | undefined {
  if (typeof contentType !== 'string' || !/^(text\/|application\/([\w.]+\+)?(json|xml))/i.test(contentType))
    return undefined
  const text = Buffer.from(data.slice(0, attachedMax), 'base64').toString('utf8')
  return /html|xml/i.test(contentType) ? `${text} ${stripped(text)}` : text
}

/** What a person reads of a narrative: marks within a word are no end of it, other tags are. */
const stripped = (div: string): string =>
  div
    .replace(/<\/?(?:a|abbr|b|bdo|big|em|font|i|q|small|span|strong|sub|sup|tt|u)(?:\s[^<>]*)?>/gi, '')
    .replace(/<[^<>]*>/g, ' ')
    .replace(/&#(?:x([0-9a-f]{1,6})|(\d{1,7}));/gi, (whole, hex?: string, decimal?: string) => {
      const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16)
      return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole
    })
    .replace(/&(?:nbsp|amp|quot|apos|lt|gt);/g, ' ')
