/**
 * Which of the scopes an app asks for can be granted to it at all.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
 *
 * Scopes that are none, or that mean nothing in this launch, are left out, as OAuth allows: the answer says what was
 * granted. Nothing is guessed from a scope that is written wrongly.
 */
import { narrow, parseScope, parseScopes, type Scope, writeScope } from '../access/index.js'
import type { RegisteredClient } from './clients.js'

/** All but the scopes for resources. */
export const identityScopes: ReadonlySet<string> = new Set([
  'openid',
  'profile',
  'fhirUser',
  'launch',
  'launch/patient',
  'launch/encounter',
  'online_access',
  'offline_access',
])

type Asked = { scope: string; client: RegisteredClient /** Whether it is an EHR launch. */; launched: boolean }

/** In the order asked for, each once. */
export function offeredScopes({ scope, client, launched }: Asked): string[] {
  const most = client.scope === undefined ? undefined : client.scope.split(' ')
  const mostOfResources = client.scope === undefined ? undefined : parseScopes(client.scope)
  const mayRefresh = client.grantTypes.includes('refresh_token')
  const offered = scope.split(' ').flatMap((asked) => {
    // A role says which of several patients is meant; there is one in context, and the app is told that.
    const text = asked.replace(/^(launch\/(?:patient|encounter))\?role=.*$/, '$1')
    if (identityScopes.has(text)) {
      if (most && !most.includes(text)) return []
      if (text === 'launch') return launched ? [text] : []
      if (text.endsWith('_access')) return mayRefresh ? [text] : []
      return [text]
    }
    const wish = parseScope(text)
    // What systems may do is not a person's to allow.
    if (!wish || wish.level === 'system') return []
    if (!mostOfResources) return [text]
    return narrow(mostOfResources, [wish]).map((each) => writtenAs(each, wish, text))
  })
  return [...new Set(offered)]
}

/** In the client's own words where all of it is granted. */
const writtenAs = (granted: Scope, wish: Scope, text: string): string =>
  writeScope(granted) === writeScope(wish) ? text : writeScope(granted)

/** https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html#scopes: what is both asked for and pre-authorised. */
export function grantedToSystem(preauthorised: string, asked: string): string {
  const most = parseScopes(preauthorised).filter(({ level }) => level === 'system')
  const granted = asked.split(' ').flatMap((text) => {
    const wish = parseScope(text)
    return wish?.level === 'system' ? narrow(most, [wish]).map((each) => writtenAs(each, wish, text)) : []
  })
  return [...new Set(granted)].join(' ')
}

/** Whether an app needs a patient before it can start. */
export const needsPatient = (scopes: readonly string[]): boolean =>
  scopes.some(
    (scope) => scope === 'launch/patient' || scope === 'launch/encounter' || parseScope(scope)?.level === 'patient',
  )
