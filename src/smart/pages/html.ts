/**
 * HTML from templates: whatever is put into one is text, unless it came out of another.
 *
 * https://html.spec.whatwg.org/multipage/syntax.html#character-references
 */
export class Html {
  constructor(readonly text: string) {}

  toString(): string {
    return this.text
  }
}

/** `false` and `undefined` leave nothing, so that a part can be written as `wanted && html…`. */
export type Child = Html | string | number | false | undefined | readonly Child[]

const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

export const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => escapes[character]!)

function written(child: Child): string {
  if (child === false || child === undefined) return ''
  if (child instanceof Html) return child.text
  if (typeof child === 'object') return child.map(written).join('')
  return escaped(String(child))
}

/** Attributes stand in double quotes: `html`<a href="${url}">${label}</a>``. */
export const html = (strings: TemplateStringsArray, ...children: Child[]): Html =>
  new Html(strings.reduce((all, part, at) => all + written(children[at - 1]) + part))
