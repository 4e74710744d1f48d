/**
 * The characters of FHIR's XML: its two namespaces, and text as element content and as an attribute's value.
 *
 * https://hl7.org/fhir/R4/xml.html
 */
import { notAcceptable } from './outcome.js'

export const fhirNamespace = 'http://hl7.org/fhir'
export const xhtmlNamespace = 'http://www.w3.org/1999/xhtml'

const special = /[&<>"\u0000-\u001f\ud800-\udfff\ufffe\uffff]/
const specials =
  /[&<>"\u0000-\u001f\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g

/** Attribute values lose tabs and line ends when they are read, unless these are written as character references. */
const references: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\t': '&#9;',
  '\n': '&#10;',
  '\r': '&#13;',
}

/**
 * Text as it stands in content or in an attribute's value between double quotes.
 *
 * @throws FhirError notAcceptable for characters that no XML document may have
 */
export function escapeXml(text: string): string {
  if (!special.test(text)) return text
  return text.replace(specials, (character) => {
    const reference = references[character]
    if (reference === undefined)
      throw notAcceptable('the resource has a character that XML cannot carry; ask for application/fhir+json')
    return reference
  })
}
