/**
 * The XHTML of a narrative: well-formed, passive, and made of what R4 allows.
 *
 * https://hl7.org/fhir/R4/narrative.html#xhtml
 *
 * Elements and attributes are those of the XPath of txt-1. What browsers read differently from XML (CDATA sections,
 * comments that HTML ends early, schemes hidden behind references to characters) is refused too, because narratives
 * are shown to people. One pass, so that a long narrative costs as much as its length.
 */

const words = (text: string): Set<string> => new Set(text.split(' '))

/** txt-1's, and three of chapters 7 to 9 of HTML 4.0 that its XPath forgot: address, bdo, kbd. */
const elements = words(
  'a abbr acronym address b bdo big blockquote br caption cite code col colgroup dd dfn div dl dt em h1 h2 h3 h4 h5 h6 hr i img kbd li ' +
    'ol p pre q samp small span strong sub sup table tbody td tfoot th thead tr tt ul var',
)

/** txt-1's, and xml:lang, which R4 tells us to write beside lang (languages.html#narrative). */
const attributes = words(
  'abbr accesskey align alt axis bgcolor border cellhalign cellpadding cellspacing cellvalign char charoff charset cite ' +
    'class colspan compact coords dir frame headers height href hreflang hspace id lang longdesc name nowrap rel rev ' +
    'rowspan rules scope shape span src start style summary tabindex title type valign value vspace width xml:lang',
)

const links = words('href src cite longdesc')
const XHTML = 'http://www.w3.org/1999/xhtml'

const tagName = /[A-Za-z_][\w.:-]*/y
const attribute = /\s+([A-Za-z_][\w.:-]*)\s*=\s*(?:"([^"<]*)"|'([^'<]*)')/y
const tagEnd = /\s*(\/?)>/y
const reference = /&(?:(lt|gt|amp|quot|apos)|#([0-9]{1,7})|#x([0-9a-fA-F]{1,6}));/g
const badReference = /&(?!(?:lt|gt|amp|quot|apos|#[0-9]{1,7}|#x[0-9a-fA-F]{1,6});)/
/** Neither may be in an XML document: https://www.w3.org/TR/xml/#charsets */
const control = /[\u0000-\u0008\u000b\u000c\u000e-\u001f]/
const noncharacter = /[\ufffe\uffff]/
const visible = /[^ \t\r\n]/
const activeLink =
  /^(?:(?:javascript|vbscript|livescript|mocha):|data:(?!image\/(?:png|gif|jpe?g|webp|bmp|svg\+xml)[;,]))/i
const activeStyle =
  /expression\s*\(|javascript:|vbscript:|behaviou?r\s*:|-moz-binding|@import|url\s*\((?!\s*["']?\s*data:\s*image\/)|image-set|\\/i

/** What is wrong with the text of a narrative's div, as a sentence; undefined if nothing is. */
export function narrativeProblem(text: string): string | undefined {
  if (control.test(text)) return 'the narrative holds control characters; remove them'
  if (noncharacter.test(text)) return 'the narrative holds U+FFFE or U+FFFF, which XML cannot carry; remove them'
  if (badReference.test(text))
    return 'only &lt; &gt; &amp; &quot; &apos; and numeric references are known; write other characters as themselves'
  if (text.includes('&#') && namesNoCharacter(text)) return 'a numeric reference names no character of XML; remove it'
  const open: string[] = []
  let at = 0
  let content = false
  while (at < text.length) {
    const tag = text.indexOf('<', at)
    const between = tag < 0 ? text.slice(at) : text.slice(at, tag)
    // https://www.w3.org/TR/xml/#dt-chardata: not in text, though an attribute or a comment may hold it.
    if (between.includes(']]>')) return 'XML does not allow "]]>" in text; write ]]&gt;'
    if (visible.test(between)) {
      if (open.length === 0) return outside
      content = true
    }
    if (tag < 0) break
    if (text.startsWith('<!--', tag)) {
      const end = commentEnd(text, tag)
      if (end === undefined) return 'a comment is not closed, or holds -- or begins with >'
      at = end
    } else if (text[tag + 1] === '/') {
      const name = matchAt(tagName, text, tag + 2)?.[0]
      const end = name === undefined ? undefined : matchAt(tagEnd, text, tag + 2 + name.length)
      if (name === undefined || !end || end[1] || open.pop() !== name)
        return 'the tags are not closed in the order they were opened'
      at = tagEnd.lastIndex
      if (open.length === 0 && visible.test(text.slice(at))) return outside
    } else {
      const name = matchAt(tagName, text, tag + 1)?.[0]
      if (name === undefined) return 'a "<" opens neither a tag nor a comment; write &lt; for the character'
      if (!elements.has(name)) return notAllowed('element', name)
      if (open.length === 0 && name !== 'div') return outside
      const found = attributesAt(text, tag + 1 + name.length, name)
      if (typeof found === 'string') return found
      if (open.length === 0 && found.namespace !== XHTML) return `the div must say xmlns="${XHTML}"`
      if (name === 'img' && found.src) content = true
      const end = matchAt(tagEnd, text, found.end)
      if (!end) return 'a tag is not written as XHTML writes tags: attributes in quotes, then ">"'
      at = tagEnd.lastIndex
      if (!end[1]) open.push(name)
      else if (open.length === 0 && visible.test(text.slice(at))) return outside
    }
  }
  if (open.length > 0) return 'a tag is not closed'
  return content ? undefined : 'the narrative says nothing; give it text or an image (txt-2)'
}

const outside = 'the narrative must be one div element and nothing beside it'

/** The name is quoted only where it looks like a name of markup, so that no patient data can be in it. */
const notAllowed = (what: string, name: string): string =>
  /^[A-Za-z:-]{1,20}$/.test(name)
    ? `the ${what} "${name}" is not allowed in a narrative (txt-1); remove it`
    : `an ${what} that narratives do not allow is there (txt-1); remove it`

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at
  return pattern.exec(text)
}

function commentEnd(text: string, start: number): number | undefined {
  const end = text.indexOf('--', start + 4)
  if (end < 0 || text[end + 2] !== '>') return undefined
  return text[start + 4] === '>' || text.startsWith('->', start + 4) ? undefined : end + 3
}

function attributesAt(text: string, start: number, element: string) {
  let end = start
  let namespace: string | undefined
  let src = false
  const seen: string[] = []
  for (;;) {
    const match = matchAt(attribute, text, end)
    if (!match) return { end, namespace, src }
    const name = match[1]!
    const value = match[2] ?? match[3] ?? ''
    if (seen.includes(name)) return 'an attribute is there twice in one tag'
    seen.push(name)
    if (name === 'xmlns') {
      if (value !== XHTML) return `the only namespace of a narrative is ${XHTML}`
      namespace = value
    } else if (!attributes.has(name)) return notAllowed('attribute', name)
    else if (links.has(name) && isActiveLink(value, element))
      return `the attribute "${name}" must not run anything; link to a http, https, mailto or relative address, or to a data:image`
    else if (name === 'style' && activeStyle.test(decoded(value).replace(/\/\*.*?\*\//gs, '')))
      return 'the attribute "style" must not run or load anything'
    else if (name === 'src') src = true
    end = attribute.lastIndex
  }
}

/** Browsers ignore white space and control characters in a scheme; images of data are allowed in img only. */
function isActiveLink(value: string, element: string): boolean {
  const head = decoded(value.slice(0, 400)).replace(/[\s\u0000-\u0020]+/g, '')
  return activeLink.test(head) || (element !== 'img' && /^data:/i.test(head))
}

function namesNoCharacter(text: string): boolean {
  for (const [, , decimal, hexadecimal] of text.matchAll(reference)) {
    if (decimal === undefined && hexadecimal === undefined) continue
    const code = decimal !== undefined ? Number(decimal) : Number.parseInt(hexadecimal!, 16)
    const isCharacter = code === 9 || code === 10 || code === 13 || (code >= 0x20 && code <= 0x10ffff)
    if (!isCharacter || (code >= 0xd800 && code <= 0xdfff) || code === 0xfffe || code === 0xffff) return true
  }
  return false
}

const named: Record<string, string> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" }

function decoded(value: string): string {
  if (!value.includes('&')) return value
  return value.replace(reference, (_, name?: string, decimal?: string, hexadecimal?: string) => {
    if (name !== undefined) return named[name]!
    const code = decimal !== undefined ? Number(decimal) : Number.parseInt(hexadecimal!, 16)
    return String.fromCodePoint(code)
  })
}
