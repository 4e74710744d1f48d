/**
 * The OpenID provider library, loaded when a tenant's authorization server is first needed.
 *
 * https://github.com/panva/node-oidc-provider
 *
 * Its front door prints a warning on Node 20, where it runs as well as on 22; the modules behind the door do not.
 */
import type * as OidcProvider from 'oidc-provider'

export type Library = Pick<typeof OidcProvider, 'Provider' | 'errors' | 'interactionPolicy'>

let loading: Promise<Library> | undefined

export function oidcLibrary(): Promise<Library> {
  loading ??= load()
  return loading
}

async function load(): Promise<Library> {
  const modules = ['provider.js', 'helpers/errors.js', 'helpers/interaction_policy/index.js']
  const [provider, errors, interactionPolicy] = await Promise.all(
    modules.map((name) => import(`oidc-provider/lib/${name}`) as Promise<unknown>),
  )
  return { ...(provider as Pick<Library, 'Provider'>), errors, interactionPolicy } as Library
}
