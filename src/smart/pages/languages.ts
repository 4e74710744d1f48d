/**
 * The languages of the pages, and which of them a person reads.
 *
 * https://www.rfc-editor.org/rfc/rfc4647#section-3.4 (lookup)
 */
import { en, type Texts } from './texts/en.js'
import { fr } from './texts/fr.js'
import { pt } from './texts/pt.js'
import { sw } from './texts/sw.js'

export const languages = {
  en: { texts: en, name: 'English', direction: 'ltr' },
  fr: { texts: fr, name: 'Français', direction: 'ltr' },
  pt: { texts: pt, name: 'Português', direction: 'ltr' },
  sw: { texts: sw, name: 'Kiswahili', direction: 'ltr' },
} as const satisfies Record<string, { texts: Texts; name: string; direction: 'ltr' | 'rtl' }>

export type Language = keyof typeof languages

export type TextKey = keyof Texts

export type Translate = (key: TextKey, values?: Record<string, string | number>) => string

/** The language of a tag such as `pt-MZ`; undefined when we do not speak it. */
export function languageOf(tag: string | undefined): Language | undefined {
  const primary = tag?.trim().toLowerCase().split('-')[0] ?? ''
  return Object.hasOwn(languages, primary) ? (primary as Language) : undefined
}

/** `choice` is what the person picked on a page, `locales` the app's `ui_locales`, `accepted` is Accept-Language. */
export function chosenLanguage({
  choice,
  locales = [],
  accepted = '',
}: {
  choice?: string | undefined
  locales?: readonly string[] | undefined
  accepted?: string | undefined
}): Language {
  for (const tag of [choice, ...locales, ...preferred(accepted)]) {
    const language = languageOf(tag)
    if (language) return language
  }
  return 'en'
}

/** Tags of an Accept-Language, best first; those with q=0 are not wanted. */
const preferred = (header: string): string[] =>
  header
    .slice(0, 500)
    .split(',')
    .map((range) => {
      const [tag = '', ...parameters] = range.split(';')
      const weight = parameters.map((each) => /^\s*q=(\d(?:\.\d{0,3})?)\s*$/i.exec(each)?.[1]).find(Boolean)
      return { tag, weight: weight === undefined ? 1 : Number(weight) }
    })
    .filter(({ weight }) => weight > 0)
    .sort((a, b) => b.weight - a.weight)
    .map(({ tag }) => tag)

/** The texts of a language; `{name}` in a text is replaced by the value of that name. */
export function translator(language: Language): Translate {
  const texts: Texts = languages[language].texts
  return (key, values = {}) =>
    texts[key].replace(/\{(\w+)\}/g, (whole, name: string) =>
      String(Object.hasOwn(values, name) ? values[name] : whole),
    )
}

/** The name of a role; one that has no text is shown as it is written in the table of roles. */
export function roleName(t: Translate, role: string): string {
  const key = `role_${role.replaceAll('-', '_')}`
  return Object.hasOwn(en, key) ? t(key as TextKey) : role
}
