/**
 * The XHTML of a narrative, which JSON holds as a string and XML as elements.
 *
 * https://hl7.org/fhir/R4/narrative.html#xhtml
 */
import { type SaxesAttributeNS, SaxesParser } from 'saxes'
import { depthMax } from './json.js'
import { escapeXml, xhtmlNamespace } from './xml-text.js'

/** Why a string cannot stand in XML as a narrative's div; undefined when it can. White space around it is no content. */
export function divProblem(div: string): string | undefined {
  if (!/^[ \t\r\n]*</.test(div)) return 'the narrative must be one <div>'
  if (!div.isWellFormed()) return 'half a surrogate pair is no character'
  const parser = new SaxesParser({ xmlns: true, defaultXMLVersion: '1.0', forceXMLVersion: true })
  let problem: string | undefined
  let depth = 0
  const note = (message: string) => {
    problem ??= message
  }
  parser.on('error', ({ message }) => note(message.replace(/^\d+:\d+: /, '').slice(0, 200)))
  parser.on('xmldecl', () => note('a declaration is not allowed'))
  parser.on('doctype', () => note('a document type declaration is not allowed'))
  parser.on('processinginstruction', () => note('a processing instruction is not allowed'))
  parser.on('opentag', (tag) => {
    if (++depth > depthMax) note(`more than ${depthMax} levels`)
    if (depth === 1 && tag.local !== 'div') note('the narrative must be one <div>')
    if (tag.uri !== xhtmlNamespace || tag.prefix !== '') note(`its elements must be in the namespace ${xhtmlNamespace}`)
    if (Object.values(tag.attributes).some(hasForeignPrefix)) note('a narrative holds attributes of XHTML alone')
  })
  parser.on('closetag', () => depth--)
  parser.write(div).close()
  return problem
}

/** Whether an attribute is of another vocabulary than XHTML; `xml:lang` and declarations are not. */
export const hasForeignPrefix = ({ prefix }: SaxesAttributeNS): boolean =>
  prefix !== '' && prefix !== 'xml' && prefix !== 'xmlns'

/** The start of an element of a narrative without its prefix; the outermost one declares the namespace. */
export function xhtmlStartTag(local: string, attributes: SaxesAttributeNS[], isOutermost: boolean): string {
  const written = attributes
    .filter(({ name, prefix }) => name !== 'xmlns' && prefix !== 'xmlns')
    .map(({ name, value }) => ` ${name}="${escapeXml(value)}"`)
  return `<${local}${isOutermost ? ` xmlns="${xhtmlNamespace}"` : ''}${written.join('')}>`
}
