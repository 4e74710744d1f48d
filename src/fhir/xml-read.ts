/**
 * Reads a resource from its XML representation into the tree that its JSON would give.
 *
 * https://hl7.org/fhir/R4/xml.html
 *
 * Elements may come in any order, because nothing is lost by it. What only a document type could bring (entities) is
 * refused, and so is whatever FHIR does not define: text, elements, attributes, namespaces. Comments are dropped.
 */
import { isUtf8 } from 'node:buffer'
import { SaxesParser, type SaxesTagNS } from 'saxes'
import { type ElementDefinition, isResourceType, type TypeDefinition, typeDefinition } from './definitions.js'
import { Decimal, depthMax, type Json, type JsonObject } from './json.js'
import { structure } from './outcome.js'
import type { Resource } from './resource.js'
import { hasForeignPrefix, xhtmlStartTag } from './xml-narrative.js'
import { escapeXml, fhirNamespace, xhtmlNamespace } from './xml-text.js'

/**
 * The resource that an XML document holds.
 *
 * @throws FhirError structure, with the line, the column and the element
 */
export function readXml(input: string | Uint8Array): Resource {
  if (typeof input !== 'string' && !isUtf8(input)) throw structure('the body is not valid UTF-8')
  const text =
    typeof input === 'string' ? input : Buffer.from(input.buffer, input.byteOffset, input.byteLength).toString()
  if (!text.isWellFormed()) throw structure('half a surrogate pair is no character')
  return new XmlReader(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text).resource()
}

/** An open element: a complex value, a primitive with its extensions, or a holder such as Bundle.entry.resource. */
type Frame = {
  kind: 'complex' | 'primitive' | 'holder'
  parent: Frame | undefined
  property: string
  element: ElementDefinition | undefined
  type: TypeDefinition
  object: JsonObject
  value: string | undefined
  /** The levels of JSON this element is deep. */
  depth: number
  /** Lists of primitives with ids or extensions, whose two arrays must become equally long. */
  aligned: string[] | undefined
}

const xmlnsNamespace = 'http://www.w3.org/2000/xmlns/'
const schemaInstanceNamespace = 'http://www.w3.org/2001/XMLSchema-instance'
const elementType = typeDefinition('Element')!
const notSpace = /[^ \t\r\n]/
const integerPattern = /^-?(?:0|[1-9][0-9]*)$/
const decimalPattern = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/

class XmlReader {
  private readonly parser = new SaxesParser({ xmlns: true, defaultXMLVersion: '1.0', forceXMLVersion: true })
  private root: JsonObject | undefined
  private frame: Frame | undefined
  /** The narrative being read: where it starts in the text, how many elements are open, its text if it is rewritten. */
  private narrative: { start: number; depth: number; rewritten: string | undefined } | undefined

  constructor(private readonly text: string) {
    const { parser } = this
    parser.on('error', (error) => this.fail(error.message.replace(/^\d+:\d+: /, '').slice(0, 200)))
    parser.on('xmldecl', ({ encoding }) => {
      if (encoding !== undefined && !/^utf-?8$/i.test(encoding)) this.fail('the encoding must be UTF-8')
    })
    parser.on('doctype', () => this.fail('a document type declaration is not allowed'))
    parser.on('opentag', (tag) => {
      if (this.narrative) this.openInNarrative(tag)
      else this.open(tag)
    })
    parser.on('closetag', (tag) => {
      if (this.narrative) this.closeInNarrative(tag)
      else this.close()
    })
    parser.on('text', (text) => this.characters(text))
    parser.on('cdata', (text) => this.characters(text))
  }

  resource(): Resource {
    this.parser.write(this.text).close()
    return this.root as Resource
  }

  private fail(message: string): never {
    const { line, column } = this.parser
    throw structure(`${message} (line ${line}, column ${column})`, placeOf(this.frame))
  }

  private open(tag: SaxesTagNS): void {
    const { frame } = this
    if (!frame) {
      this.root = this.openResource(tag, undefined, 1)
      return
    }
    if (frame.kind === 'holder') {
      if (frame.object['resource'] !== undefined) this.fail('only one resource may stand here')
      frame.object['resource'] = this.openResource(tag, frame, frame.depth)
      return
    }
    const { local } = tag
    const { properties } = frame.kind === 'primitive' ? elementType : frame.type
    const property = isAttribute(frame.type, local) ? undefined : properties.get(local)
    if (!property) this.fail(`${frame.type.name} has no element "${local.slice(0, 64)}"`)
    const { element } = property
    if (property.type.code === 'xhtml') {
      this.openNarrative(tag)
      return
    }
    if (tag.uri !== fhirNamespace) this.fail(`"${local}" is not in the namespace ${fhirNamespace}`)
    const type = typeDefinition(property.type.code)!
    const depth = frame.depth + (element.many ? 2 : 1)
    if (depth > depthMax) this.fail(`more than ${depthMax} levels`)
    const object: JsonObject = {}
    const kind = type.kind === 'primitive' ? 'primitive' : type.name === 'Resource' ? 'holder' : 'complex'
    if (kind === 'complex') attach(frame.object, local, element, object)
    this.frame = {
      kind,
      parent: frame,
      property: local,
      element,
      type,
      object,
      value: undefined,
      depth,
      aligned: undefined,
    }
    this.attributes(tag, this.frame)
  }

  private openResource(tag: SaxesTagNS, parent: Frame | undefined, depth: number): JsonObject {
    if (tag.uri !== fhirNamespace) this.fail(`"${tag.local.slice(0, 64)}" is not in the namespace ${fhirNamespace}`)
    if (!isResourceType(tag.local)) this.fail(`"${tag.local.slice(0, 64)}" is no resource type of R4`)
    const type = typeDefinition(tag.local)!
    const object: JsonObject = { resourceType: tag.local }
    this.frame = {
      kind: 'complex',
      parent,
      property: tag.local,
      element: undefined,
      type,
      object,
      value: undefined,
      depth,
      aligned: undefined,
    }
    this.attributes(tag, this.frame)
    return object
  }

  private attributes(tag: SaxesTagNS, frame: Frame): void {
    for (const name in tag.attributes) {
      const attribute = tag.attributes[name]!
      const { uri, local, value } = attribute
      if (uri === xmlnsNamespace) continue
      if (uri === schemaInstanceNamespace && local === 'schemaLocation' && !frame.parent) continue
      if (frame.kind === 'primitive' && name === 'value') frame.value = value
      else if (frame.kind !== 'holder' && isAttribute(frame.type, name)) frame.object[name] = value
      else this.fail(`"${tag.local}" has no attribute "${name.slice(0, 64)}"`)
    }
  }

  private close(): void {
    const frame = this.frame!
    const { parent, kind, property, element } = frame
    if (kind === 'primitive') attachPrimitive(parent!, frame)
    else if (kind === 'holder') {
      const held = frame.object['resource']
      if (held === undefined) this.fail('a resource was expected here')
      attach(parent!.object, property, element!, held)
    } else if (frame.aligned) for (const name of frame.aligned) align(frame.object, name)
    this.frame = parent
  }

  private characters(text: string): void {
    const { narrative } = this
    if (narrative) {
      if (narrative.rewritten !== undefined) narrative.rewritten += escapeXml(text)
    } else if (this.frame && notSpace.test(text)) this.fail('text is not allowed here; values stand in attributes')
  }

  /**
   * The div is kept as it was written. Where its namespace comes from an element around it, or from a prefix, it is
   * written anew, because JSON holds the div alone.
   */
  private openNarrative(tag: SaxesTagNS): void {
    if (tag.uri !== xhtmlNamespace) this.fail(`"div" is not in the namespace ${xhtmlNamespace}`)
    const alone = tag.prefix === '' && tag.ns[''] === xhtmlNamespace
    this.narrative = {
      start: this.text.lastIndexOf('<', this.parser.position - 1),
      depth: 0,
      rewritten: alone ? undefined : '',
    }
    this.openInNarrative(tag)
  }

  private openInNarrative(tag: SaxesTagNS): void {
    const narrative = this.narrative!
    if (tag.uri !== xhtmlNamespace) this.fail('a narrative holds elements of XHTML alone')
    if (++narrative.depth > depthMax) this.fail(`more than ${depthMax} levels`)
    const attributes = Object.values(tag.attributes)
    if (attributes.some(hasForeignPrefix)) this.fail('a narrative holds attributes of XHTML alone')
    if (narrative.rewritten !== undefined)
      narrative.rewritten += xhtmlStartTag(tag.local, attributes, narrative.depth === 1)
    else if (tag.prefix !== '') this.fail('a narrative is written without prefixes')
  }

  private closeInNarrative(tag: SaxesTagNS): void {
    const narrative = this.narrative!
    if (narrative.rewritten !== undefined) narrative.rewritten += `</${tag.local}>`
    if (--narrative.depth > 0) return
    const div = narrative.rewritten ?? this.text.slice(narrative.start, this.parser.position)
    const { object, type } = this.frame!
    attach(object, 'div', type.properties.get('div')!.element, div)
    this.narrative = undefined
  }
}

/** The id of an element and the url of an extension are attributes; the id of a resource is an element. */
const isAttribute = (type: TypeDefinition, name: string): boolean =>
  (name === 'id' && type.kind !== 'resource') || (name === 'url' && type.name === 'Extension')

/** A second value for what may be there once makes a list, which validation then refuses: nothing is lost unseen. */
function attach(object: JsonObject, name: string, element: ElementDefinition, value: Json): void {
  const before = object[name]
  if (Array.isArray(before)) before.push(value)
  else if (before === undefined) object[name] = element.many ? [value] : value
  else object[name] = [before, value]
}

function attachPrimitive(parent: Frame, { property, element, type, value, object }: Frame): void {
  const into = parent.object
  const sibling = `_${property}`
  const bare = value !== undefined && isEmpty(object)
  const typed = value === undefined ? null : primitive(type.name, value)
  const before = into[property]
  const siblings = into[sibling]
  if (before === undefined && siblings === undefined && !element!.many) {
    if (typed !== null) into[property] = typed
    if (!bare) into[sibling] = object
    return
  }
  if (bare && siblings === undefined) {
    attach(into, property, element!, typed)
    return
  }
  const values = listOf(before)
  const companions = listOf(siblings)
  const place = Math.max(values.length, companions.length)
  if (typed !== null) padded(values, place).push(typed)
  if (!bare) padded(companions, place).push(object)
  if (values.length) into[property] = values
  if (companions.length) into[sibling] = companions
  parent.aligned ??= []
  if (!parent.aligned.includes(property)) parent.aligned.push(property)
}

const isEmpty = (object: JsonObject): boolean => {
  for (const _ in object) return false
  return true
}

const listOf = (value: Json | undefined): Json[] => (value === undefined ? [] : Array.isArray(value) ? value : [value])

function padded(list: Json[], length: number): Json[] {
  while (list.length < length) list.push(null)
  return list
}

/** https://hl7.org/fhir/R4/json.html#primitive: nulls fill out both arrays, so that they stay aligned. */
function align(object: JsonObject, name: string): void {
  const values = object[name]
  const siblings = object[`_${name}`]
  if (!Array.isArray(values) || !Array.isArray(siblings)) return
  padded(values, siblings.length)
  padded(siblings, values.length)
}

/** The value as JSON has it. Text that its type does not allow stays text, for validation to refuse. */
function primitive(type: string, text: string): Json {
  switch (type) {
    case 'boolean':
      return text === 'true' ? true : text === 'false' ? false : text
    case 'integer':
    case 'positiveInt':
    case 'unsignedInt':
      return integerPattern.test(text) ? number(text) : text
    case 'decimal':
      return decimalPattern.test(text) ? number(text) : text
    default:
      return text
  }
}

function number(text: string): Json {
  const value = Number(text)
  if (!Number.isFinite(value)) return text
  return String(value) === text ? value : new Decimal(text)
}

/** Where an open element is, such as `Bundle.entry[2].resource.name[0]`. */
function placeOf(frame: Frame | undefined): string | undefined {
  if (!frame) return undefined
  const { parent, property, element, kind } = frame
  if (!parent) return property
  if (!element) return placeOf(parent)
  const siblings = parent.object[property]
  const before = Array.isArray(siblings) ? siblings.length - (kind === 'complex' ? 1 : 0) : 0
  return `${placeOf(parent)}.${property}${element.many ? `[${before}]` : ''}`
}
