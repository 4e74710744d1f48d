/**
 * The characters that separate in search values, and their escapes.
 *
 * https://hl7.org/fhir/R4/search.html#escaping
 */

/** Splits at a separator that no backslash precedes; the parts stay escaped. */
export function splitEscaped(text: string, separator: ',' | '|' | '$'): string[] {
  if (!text.includes('\\')) return text.split(separator)
  const parts: string[] = []
  let from = 0
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '\\') at++
    else if (text[at] === separator) {
      parts.push(text.slice(from, at))
      from = at + 1
    }
  }
  parts.push(text.slice(from))
  return parts
}

/** Takes the backslashes off `\,` `\|` `\$` `\\`; another backslash stands for itself. */
export const unescaped = (text: string): string => (text.includes('\\') ? text.replace(/\\([,|$\\])/g, '$1') : text)

export const escaped = (text: string): string => text.replace(/[,|$\\]/g, '\\$&')
