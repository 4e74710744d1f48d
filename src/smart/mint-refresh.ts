/**
 * A refresh token as an authorization would have given it, for development and tests: nobody signed in and allowed it.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#refresh-access-token
 */
import type { Provider } from 'oidc-provider'
import type { Grants } from './grants.js'
import { day } from './lifetimes.js'
import { MintRefused } from './mint.js'
import type { SmartContext } from './smart-context.js'

/** `subject` is an account, `patient` the id of the Patient in the launch context. */
export type RefreshSpec = { client: string; subject: string; scope: string; patient?: string }

type Parts = { context: SmartContext; grants: Grants; provider: Provider }

/** @throws MintRefused */
export async function mintRefreshToken(
  { context, grants, provider }: Parts,
  { client: clientId, subject, scope, patient }: RefreshSpec,
): Promise<string> {
  if (!context.settings.development) throw new MintRefused('development tokens are refused while NODE_ENV=production')
  const [client, account] = await Promise.all([provider.Client.find(clientId), context.accounts.bySubject(subject)])
  if (!client || !account) throw new MintRefused('a refresh token needs an app that is registered and an account')
  const base = context.baseUrls[0]!
  const now = context.clock()
  const grant = new provider.Grant({ accountId: subject, clientId })
  grant.addOIDCScope('openid fhirUser offline_access')
  grant.addResourceScope(base, scope)
  grant.exp = Math.floor(now / 1000) + day
  const grantId = await grant.save()
  await grants.put({
    id: grantId,
    subject,
    client: clientId,
    scope,
    context: patient === undefined ? {} : { patient },
    fhirUser: `${base}/${account.user.type}/${account.user.id}`,
    signedIn: { at: now, methods: ['pwd', 'otp', 'mfa'] },
    since: now,
    expires: now + day * 1000,
  })
  const authTime = Math.floor(now / 1000)
  const token = new provider.RefreshToken({
    accountId: subject,
    client,
    grantId,
    scope,
    authTime,
    gty: 'authorization_code',
    resource: base,
    expiresIn: day,
  } as ConstructorParameters<Provider['RefreshToken']>[0])
  return token.save()
}
