/**
 * The frame every page has: language, stylesheet, who is signed in and as what, and the way to another language.
 *
 * https://www.w3.org/TR/WCAG22/
 *
 * There is no script. The order of the source is the order of the keyboard.
 */
import { type Child, type Html, html } from './html.js'
import { type Language, languages, translator } from './languages.js'
import { stylesheetName } from './style.js'

export type Page = {
  title: string
  language: Language
  /** Path below which the stylesheet lies, without a final slash. */
  base: string
  /** What people call the tenant. */
  site: string
  body: Child
  /** Shown at the top, so that nobody works under the wrong role unnoticed. */
  who?: { name: string; role: string }
  /** Said before the content, and announced by screen readers. */
  alert?: string | undefined
  /** Parameters that go with the links to other languages. */
  keeps: Readonly<Record<string, string>>
}

export function page({ title, language, base, site, body, who, alert, keeps }: Page): string {
  const { direction } = languages[language]
  const t = translator(language)
  return html`<!doctype html>
<html lang="${language}" dir="${direction}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${alert ? `${alert} – ` : ''}${title} – ${site}</title>
<link rel="stylesheet" href="${base}/${stylesheetName}">
</head>
<body>
<a class="skip" href="#content">${t('skip')}</a>
<header>
<span class="site">${site}</span>
${who && html`<span class="who">${t('who', who)}</span>`}
</header>
<main id="content" tabindex="-1">
<h1>${title}</h1>
${alert && html`<p class="alert" role="alert" id="alert">${alert}</p>`}
${body}
</main>
<footer>
<nav aria-label="${t('language')}">
<ul>
${Object.entries(languages).map(([tag, { name }]) =>
  tag === language
    ? html`<li><span lang="${tag}" aria-current="true">${name}</span></li>
`
    : html`<li><a href="?${new URLSearchParams({ ...keeps, language: tag }).toString()}" lang="${tag}" hreflang="${tag}">${name}</a></li>
`,
)}</ul>
</nav>
</footer>
</body>
</html>
`.text
}

export type Field = {
  name: string
  label: string
  hint?: string
  type?: 'text' | 'password' | 'email' | 'search'
  /** https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#autofill */
  autocomplete: string
  value?: string | undefined
  /** Digits: phones show the keys for them. */
  digits?: number
  maxlength?: number
  optional?: boolean
  /** The first field of a page takes the focus. */
  focus?: boolean
  /** The page's alert is about this field. */
  invalid?: boolean
}

export function field({
  name,
  label,
  hint,
  type = 'text',
  autocomplete,
  value,
  digits,
  maxlength,
  ...state
}: Field): Html {
  const described = [hint !== undefined && `${name}-hint`, state.invalid && 'alert'].filter(Boolean).join(' ')
  return html`<div class="field">
<label for="${name}">${label}</label>
${hint !== undefined && html`<p class="hint" id="${name}-hint">${hint}</p>`}
<input id="${name}" name="${name}" type="${type}" autocomplete="${autocomplete}"${
    digits !== undefined && html` inputmode="numeric" pattern="[0-9 ]*" class="code" maxlength="${digits + 2}"`
  }${maxlength !== undefined && html` maxlength="${maxlength}"`}${value !== undefined && html` value="${value}"`}${
    type !== 'search' && type !== 'password' && digits === undefined && html` autocapitalize="none" spellcheck="false"`
  }${!state.optional && html` required`}${state.focus && html` autofocus`}${
    state.invalid && html` aria-invalid="true"`
  }${described !== '' && html` aria-describedby="${described}"`}>
</div>
`
}

export type Choice = { value: string; title: string; detail?: string | undefined; checked?: boolean }

/** One of several. The title of the page says of what; `legend` says it again to who hears the page. */
export const choices = (name: string, legend: string, rows: readonly Choice[]): Html => html`<fieldset>
<legend class="unseen">${legend}</legend>
${rows.map(
  (
    { value, title, detail, checked },
    at,
  ) => html`<div class="choice"><input type="radio" name="${name}" id="${name}-${at}" value="${value}" required${
    checked && html` checked`
  }><label for="${name}-${at}"><strong>${title}</strong>${detail}</label></div>
`,
)}</fieldset>
`

export const checkbox = (name: string, value: string, label: Child, checked = false): Html => {
  const id = `${name}-${value}`.replace(/[^\w-]/g, '_')
  return html`<div class="choice"><input type="checkbox" name="${name}" id="${id}" value="${value}"${
    checked && html` checked`
  }><label for="${id}">${label}</label></div>
`
}

export type Button = { label: string; name?: string; value?: string; kind?: 'second' | 'alarm'; skipsFields?: boolean }

export const button = ({ label, name, value, kind, skipsFields }: Button): Html =>
  html`<button type="submit"${name !== undefined && html` name="${name}" value="${value ?? '1'}"`}${
    kind && html` class="${kind}"`
  }${skipsFields && html` formnovalidate`}>${label}</button>`
