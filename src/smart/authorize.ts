/**
 * Between an app's request and the code it gets: the person signs in, chooses the patient, and allows what they want.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#obtain-authorization-code
 * https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#requesting-context-with-scopes
 *
 * One interaction of the provider is a few pages here; what is known so far is kept beside it in the store, so that
 * any process can answer the next page.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Provider } from 'oidc-provider'
import type { Caller } from '../access/index.js'
import { FhirError, type JsonObject, parseJson } from '../fhir/index.js'
import { search } from '../interactions/index.js'
import type { Account, LoginPages, SignIn } from './account.js'
import type { RegisteredClient } from './clients.js'
import type { Launch } from './launches.js'
import { accessSeconds, interactionSeconds, offlineSeconds, onlineSeconds } from './lifetimes.js'
import { identityScopes, needsPatient, offeredScopes } from './offered-scopes.js'
import { authorizePage, type Pages, patientPage, roleName, type Visit } from './pages/index.js'
import { mfaClass, type Parts } from './provider.js'
import type { LaunchContext } from './token-record.js'
import { finished, rightsOf } from './verifier.js'

type Progress = { signIn: SignIn; patient?: string }

type Interaction = Awaited<ReturnType<Provider['interactionDetails']>>

type Turn = {
  request: IncomingMessage
  response: ServerResponse
  interaction: Interaction
  path: string
}

const patientsShown = 20
/** The step after sign-in; the sign-in pages have all other paths below the interaction. */
const step = '/authorize'

export class Authorizing {
  constructor(
    private readonly parts: Parts,
    private readonly provider: () => Promise<Provider>,
    private readonly pages: Pages,
    private readonly logins: LoginPages,
  ) {}

  /** `path` is that of the interaction, `below` what follows it. */
  async answer(request: IncomingMessage, response: ServerResponse, { path, below }: { path: string; below: string }) {
    const provider = await this.provider()
    let interaction: Interaction
    try {
      interaction = await provider.interactionDetails(request, response)
    } catch {
      const visit = this.pages.visit(request, response)
      return visit.fail(400, visit.t('errorOld'))
    }
    const turn = { request, response, interaction, path }
    if (!path.endsWith(`/${interaction.uid}`)) {
      const visit = this.pages.visit(request, response)
      return visit.fail(400, visit.t('errorOld'))
    }
    const progress = await this.progressOf(interaction.uid)
    if (below === step && progress) return this.authorize(turn, progress)
    return this.signIn(turn, below)
  }

  private async signIn(turn: Turn, below: string): Promise<void> {
    const { request, response, interaction, path } = turn
    const { params } = interaction
    const client = await this.parts.clients.active(textOf(params['client_id']))
    if (!client) return this.end(turn, 'access_denied', 'the app is no longer registered')
    const after = signedInAfter(interaction)
    const mfa = wantsMfa(params)
    const hint = textOf(params['login_hint'])
    await this.logins.login({
      request,
      response,
      path,
      below,
      uid: interaction.uid,
      client: { id: client.id, name: client.name },
      locales: localesOf(params),
      ...(hint !== '' && { loginHint: hint.slice(0, 200) }),
      mfa,
      ...(after !== undefined && { signedInAfter: after }),
      finish: async (signIn) => {
        if (mfa && !signIn.methods.includes('mfa'))
          return this.end(turn, 'unmet_authentication_requirements', 'a second factor is needed')
        if (after !== undefined && signIn.at < after - 1000)
          return this.end(turn, 'login_required', 'the sign-in is too old')
        await this.keep(interaction.uid, { signIn })
        response.writeHead(303, { Location: path + step, 'Cache-Control': 'no-store', 'Content-Length': 0 })
        response.end()
      },
      deny: () => this.end(turn, 'access_denied', 'the person did not sign in'),
    })
  }

  private async authorize(turn: Turn, progress: Progress): Promise<void> {
    const { request, response, interaction } = turn
    const { context, clients, launches } = this.parts
    const { params } = interaction
    const [account, client] = await Promise.all([
      context.accounts.bySubject(progress.signIn.subject),
      clients.active(textOf(params['client_id'])),
    ])
    if (!account || account.disabled || !client) return this.end(turn, 'access_denied', 'the account cannot be used')
    const handle = textOf(params['launch'])
    const launch = handle === '' ? undefined : await launches.find(handle)
    if (handle !== '' && (launch?.client !== client.id || launch.subject !== account.subject))
      return this.end(turn, 'invalid_request', 'the launch is over, or of another person: start the app again')
    const scopes = offeredScopes({ scope: textOf(params['scope']), client, launched: launch !== undefined })
    if (scopes.length === 0) return this.end(turn, 'invalid_scope', 'none of the scopes can be granted')
    const visit = this.pages.visit(request, response, localesOf(params))
    const fields = request.method === 'POST' ? await visit.fields() : new URLSearchParams()
    if (!fields) return
    if (fields.get('decision') === 'deny') return this.end(turn, 'access_denied', 'the person did not allow it')
    const asking = { turn, visit, fields, account, client, scopes, progress }
    let patient = launch?.context.patient
    if (launch === undefined && needsPatient(scopes)) {
      patient = await this.patientOf(asking)
      if (patient === undefined) return
    }
    const contextual = launch?.context ?? (await this.standaloneContext(asking, patient))
    await this.decide(asking, { launch, launchContext: contextual })
  }

  /** The patient that was chosen, or the only one there is; undefined when the page that asks was answered. */
  private async patientOf({ turn, visit, fields, account, client, progress }: Asking): Promise<string | undefined> {
    const own = ownPatients(account)
    const chosen = fields.get('patient') ?? progress.patient
    const mine = await this.callerOf(account, progress)
    if (own) {
      const id = own.length === 1 ? own[0] : chosen === null ? undefined : own.find((each) => each === chosen)
      if (id !== undefined) return this.chosen(turn, progress, id)
      if (own.length === 0) {
        await this.end(turn, 'access_denied', 'there is no patient to choose')
        return undefined
      }
    } else if (chosen !== undefined && chosen !== null && /^[A-Za-z0-9\-.]{1,64}$/.test(chosen)) {
      const [found] = await this.patients(mine, [['_id', chosen]])
      if (found) return this.chosen(turn, progress, found.id)
    }
    const words = (fields.get('search') ?? '').slice(0, 100).trim()
    const found = own
      ? await this.patients(mine, [['_id', own.join(',')]])
      : words === ''
        ? []
        : await this.patients(mine, searchOf(words))
    visit.show(
      patientPage(visit, {
        action: turn.path + step,
        app: appOf(client, turn.interaction),
        patients: found
          .slice(0, patientsShown)
          .map((each) => ({ ...each, self: account.user.type === 'Patient' && each.id === account.user.id })),
        ...(!own && { search: words }),
        more: found.length > patientsShown,
        who: whoIs(visit, account),
      }),
    )
    return undefined
  }

  private async chosen({ interaction }: Turn, progress: Progress, patient: string): Promise<string> {
    if (progress.patient !== patient) await this.keep(interaction.uid, { ...progress, patient })
    return patient
  }

  private async standaloneContext(asking: Asking, patient: string | undefined): Promise<LaunchContext> {
    if (patient === undefined) return {}
    if (!asking.scopes.includes('launch/encounter')) return { patient }
    const caller = await this.callerOf(asking.account, asking.progress)
    const encounter = await this.latestEncounter(caller, patient)
    return { patient, ...(encounter !== undefined && { encounter }) }
  }

  private async decide(
    asking: Asking,
    { launch, launchContext }: { launch: Launch | undefined; launchContext: LaunchContext },
  ): Promise<void> {
    const { turn, visit, fields, account, client, scopes } = asking
    const decided = fields.get('decision') === 'allow'
    if (!client.firstParty && !decided) {
      const name = await this.nameOf(asking, launchContext.patient)
      visit.show(
        authorizePage(visit, {
          action: turn.path + step,
          app: { ...appOf(client, turn.interaction), checked: true },
          scopes,
          fixed: scopes.filter(isFixed),
          ...(name !== undefined && { patient: name }),
          who: whoIs(visit, account),
        }),
      )
      return
    }
    const wanted = new Set(fields.getAll('scope'))
    const granted = client.firstParty ? scopes : scopes.filter((scope) => isFixed(scope) || wanted.has(scope))
    if (granted.length === 0) return this.end(turn, 'access_denied', 'the person allowed nothing')
    await this.grant(asking, { launch, launchContext, granted })
  }

  private async grant(
    { turn, account, client, progress }: Asking,
    { launch, launchContext, granted }: { launch: Launch | undefined; launchContext: LaunchContext; granted: string[] },
  ): Promise<void> {
    const { context, grants, launches } = this.parts
    const { interaction, request, response } = turn
    const handle = textOf(interaction.params['launch'])
    if (launch && !(await launches.spend(handle)))
      return this.end(turn, 'invalid_request', 'the launch was used already: start the app again')
    const provider = await this.provider()
    const base = context.baseUrls[0]!
    const seconds = lifetimeOf(granted)
    const grant = new provider.Grant({ accountId: account.subject, clientId: client.id })
    grant.addOIDCScope(granted.filter((scope) => identityScopes.has(scope)).join(' '))
    grant.addResourceScope(base, granted.join(' '))
    const now = context.clock()
    grant.exp = Math.floor(now / 1000) + seconds
    const id = await grant.save()
    await grants.put({
      id,
      subject: account.subject,
      client: client.id,
      scope: granted.join(' '),
      context: launchContext,
      fhirUser: `${base}/${account.user.type}/${account.user.id}`,
      signedIn: progress.signIn,
      since: now,
      expires: now + seconds * 1000,
    })
    // What is granted may be narrower than the words that were asked with, and the provider compares words.
    interaction.params['scope'] = granted.join(' ')
    await interaction.save(Math.max(1, interaction.exp - Math.floor(now / 1000)))
    await context.secrets.drop(keyOf(interaction.uid))
    await context.record({
      action: 'authorize',
      outcome: 'success',
      subject: account.subject,
      user: account.user,
      role: account.role,
      client: client.id,
      ...(launchContext.patient !== undefined && { patient: launchContext.patient }),
    })
    const { subject, at, methods } = progress.signIn
    await provider.interactionFinished(
      request,
      response,
      {
        login: {
          accountId: subject,
          ts: Math.floor(at / 1000),
          amr: [...methods],
          ...(methods.includes('mfa') && { acr: mfaClass }),
          remember: false,
        },
        consent: { grantId: id },
        select_account: {},
      },
      { mergeWithLastSubmission: false },
    )
  }

  /** Back to the app with an OAuth error. */
  private async end({ request, response, interaction }: Turn, error: string, description: string): Promise<void> {
    const provider = await this.provider()
    await this.parts.context.secrets.drop(keyOf(interaction.uid))
    const client = textOf(interaction.params['client_id'])
    await this.parts.context.record({
      action: 'authorize',
      outcome: 'failure',
      client,
      why: error,
    })
    await provider.interactionFinished(
      request,
      response,
      { error, error_description: description },
      { mergeWithLastSubmission: false },
    )
  }

  private async progressOf(uid: string): Promise<Progress | undefined> {
    const text = await this.parts.context.secrets.get(keyOf(uid))
    return text === undefined ? undefined : (JSON.parse(text) as Progress)
  }

  private async keep(uid: string, progress: Progress): Promise<void> {
    const { secrets, clock } = this.parts.context
    await secrets.put(keyOf(uid), JSON.stringify(progress), clock() + interactionSeconds * 1000)
  }

  /** The person without an app: what they may see themselves. */
  private callerOf(account: Account, { signIn }: Progress): Promise<Caller> {
    const { context } = this.parts
    return finished(context, {
      kind: 'person',
      subject: account.subject,
      rights: rightsOf(account, { role: account.role, organizations: [], signedIn: signIn }),
      scope: 'user/*.rs',
      token: { id: 'sign-in', issuer: context.issuer, expires: context.clock() + 60_000 },
    })
  }

  private async patients(
    caller: Caller,
    parameters: readonly [string, string][],
  ): Promise<{ id: string; name: string; birthDate?: string }[]> {
    const found = await this.found(caller, 'Patient', parameters)
    return found.map((patient) => ({
      id: textOf(patient['id']),
      name: nameIn(patient),
      ...(typeof patient['birthDate'] === 'string' && { birthDate: patient['birthDate'] }),
    }))
  }

  private async found(caller: Caller, type: string, parameters: readonly [string, string][]): Promise<JsonObject[]> {
    const count = String(patientsShown + 1)
    try {
      const { found } = await search(this.parts.context.contextOf(caller), {
        types: [type],
        parameters: [...parameters, ['_count', count]],
      })
      return found.matches
        .filter(({ mode }) => mode === 'match')
        .map(({ stored }) => parseJson(stored.body) as JsonObject)
    } catch (error) {
      // The person may not search for patients, or wrote what is no search: there is nobody to choose.
      if (error instanceof FhirError) return []
      throw error
    }
  }

  /** One that goes on now, else the last. */
  private async latestEncounter(caller: Caller, patient: string): Promise<string | undefined> {
    const encounters = await this.found(caller, 'Encounter', [
      ['patient', patient],
      ['_sort', '-date'],
    ])
    const current = encounters.find(({ status }) => status === 'in-progress') ?? encounters[0]
    return current && textOf(current['id'])
  }

  private async nameOf({ account, progress }: Asking, patient: string | undefined): Promise<string | undefined> {
    if (patient === undefined) return undefined
    const [found] = await this.patients(await this.callerOf(account, progress), [['_id', patient]])
    return found?.name
  }
}

type Asking = {
  turn: Turn
  visit: Visit
  fields: URLSearchParams
  account: Account
  client: RegisteredClient
  scopes: string[]
  progress: Progress
}

const keyOf = (uid: string): string => `smart/authorizing/${uid}`

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

const localesOf = (params: Record<string, unknown>): string[] =>
  textOf(params['ui_locales']).split(' ').filter(Boolean).slice(0, 10)

/** `openid` and the launch cannot be left out without the app losing its footing. */
const isFixed = (scope: string): boolean => identityScopes.has(scope) && !scope.endsWith('_access')

const appOf = (client: RegisteredClient, { params }: Interaction) => ({
  name: client.name,
  redirectUri: textOf(params['redirect_uri']),
})

const whoIs = ({ t }: Visit, { name, role }: Account) => ({ name, role: roleName(t, role) })

/** The few a person can choose from; undefined for staff, who look for one. */
function ownPatients({ user, guardianOf, role }: Account): readonly string[] | undefined {
  if (user.type === 'Patient') return [user.id, ...(guardianOf ?? [])]
  if (guardianOf) return guardianOf
  return role === 'patient' || role === 'guardian' ? [] : undefined
}

/** A number is looked for among identifiers, everything else in names. */
const searchOf = (words: string): [string, string][] => {
  const escaped = words.replace(/[\\,$|]/g, (character) => `\\${character}`)
  if (/\d/.test(words)) return [['identifier', escaped]]
  return escaped.split(/\s+/).map((word) => ['name', word])
}

function nameIn(patient: JsonObject): string {
  const names = Array.isArray(patient['name']) ? (patient['name'] as JsonObject[]) : []
  const [name] = names
  if (!name) return '–'
  if (typeof name['text'] === 'string') return name['text']
  const given = Array.isArray(name['given']) ? name['given'].filter((each) => typeof each === 'string') : []
  return [...given, textOf(name['family'])].join(' ').trim() || '–'
}

const wantsMfa = (params: Record<string, unknown>): boolean =>
  [...textOf(params['acr_values']).split(' '), ...textOf(params['step_up']).split(' ')].includes(mfaClass)

/** What `prompt=login` and `max_age` ask for, as the earliest moment of a sign-in that counts. */
function signedInAfter({ params, iat }: Interaction): number | undefined {
  const begun = (iat ?? 0) * 1000
  if (textOf(params['prompt']).split(' ').includes('login')) return begun
  const [, stepUp] = /(?:^| )max_age=(\d{1,9})(?: |$)/.exec(textOf(params['step_up'])) ?? []
  const age = Number(stepUp ?? (params['max_age'] === undefined ? Number.NaN : params['max_age']))
  return Number.isFinite(age) ? begun - age * 1000 : undefined
}

function lifetimeOf(scopes: readonly string[]): number {
  if (scopes.includes('offline_access')) return offlineSeconds
  return scopes.includes('online_access') ? onlineSeconds : 2 * accessSeconds
}
