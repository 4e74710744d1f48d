/**
 * Scopes in plain words: what an app that is allowed may see and do.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#wildcard-scopes
 */
import type { TextKey, Translate } from './languages.js'
import { en } from './texts/en.js'

export type ScopeWords = { scope: string; words: string }

/** One line for each scope, in the order asked for; a scope that says nothing to a person is written as it is. */
export const scopeWords = (scopes: readonly string[], t: Translate): ScopeWords[] =>
  [...new Set(scopes)].map((scope) => ({ scope, words: sentence(scope, t) }))

const simple: Record<string, TextKey> = {
  openid: 'scopeOpenid',
  fhirUser: 'scopeProfile',
  profile: 'scopeProfile',
  offline_access: 'scopeOffline',
  online_access: 'scopeOnline',
  launch: 'scopeLaunch',
  'launch/patient': 'scopeLaunch',
  'launch/encounter': 'scopeLaunch',
}

const levels = { patient: 'whatPatient', user: 'whatUser', system: 'whatSystem' } as const

function sentence(scope: string, t: Translate): string {
  if (Object.hasOwn(simple, scope)) return t(simple[scope]!)
  const [, level, type, rights, limits] =
    /^(patient|user|system)\/(\*|[A-Za-z]+)\.([a-z]+|\*)(?:\?(.*))?$/.exec(scope) ?? []
  if (level === undefined || type === undefined || rights === undefined) return t('scopeOther', { scope })
  const key = `type_${type}`
  const named = type === '*' ? t('whatAll') : Object.hasOwn(en, key) ? t(key as TextKey) : t('whatOther', { type })
  const what = limits === undefined ? named : t('whatOnly', { what: named, limit: limitOf(limits) })
  return t(verb(rights), { what: t(levels[level as keyof typeof levels], { what }) })
}

function verb(rights: string): TextKey {
  if (rights === 'read') return 'mayRead'
  if (rights === 'write') return 'mayWrite'
  if (rights === '*') return 'mayDelete'
  const reads = /[rs]/.test(rights)
  if (rights.includes('d')) return 'mayDelete'
  if (/[cu]/.test(rights)) return reads ? 'mayReadWrite' : 'mayWrite'
  return 'mayRead'
}

/** `category=http://…|laboratory` is read aloud as `category laboratory`: the system says nothing to a person. */
const limitOf = (query: string): string =>
  [...new URLSearchParams(query)]
    .map(([name, value]) => `${name} ${value.slice(value.lastIndexOf('|') + 1)}`)
    .join(', ')
