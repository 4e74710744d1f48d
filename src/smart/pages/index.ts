/**
 * Server-rendered pages without script, in English, French, Portuguese and Swahili.
 *
 * https://www.w3.org/TR/WCAG22/
 */
export { type AllowedApp, type AppsPage, appsPage, type OwnSession } from './apps-page.js'
export { type AuthorizePage, authorizePage } from './authorize-page.js'
export { type Cookies, cookies } from './cookies.js'
export { type Child, escaped, Html, html } from './html.js'
export {
  chosenLanguage,
  type Language,
  languageOf,
  languages,
  roleName,
  type Translate,
  translator,
} from './languages.js'
export { type Button, button, type Choice, checkbox, choices, type Field, field, page } from './page.js'
export { type Pages, type PagesOptions, pages, type Shown, sessionCookie, type Visit } from './pages.js'
export { type PatientPage, patientPage } from './patient-page.js'
export { type ScopeWords, scopeWords } from './scope-words.js'
export {
  acceptancePage,
  codePage,
  contactPage,
  enrolPage,
  invitationPage,
  passwordPage,
  type RoleRow,
  recoveryCodesPage,
  recoveryPage,
  rolePage,
  sentencePage,
  totpPage,
} from './sign-in-pages.js'
export { stylesheetName } from './style.js'
