/**
 * Whom a person can choose as the patient of an app, as far as the person themselves may see.
 *
 * https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#requesting-context-with-scopes
 */
import { FhirError, type JsonObject, parseJson } from '../fhir/index.js'
import { type Context, search } from '../interactions/index.js'
import type { Account, SignIn } from './account.js'
import type { SmartContext } from './smart-context.js'
import { finished, rightsOf } from './verifier.js'

/** Patients on one page. */
export const patientsShown = 20

export class PatientChoice {
  private constructor(private readonly context: Context) {}

  /** The person without an app: what they may see themselves. */
  static async of(smart: SmartContext, account: Account, signIn: SignIn): Promise<PatientChoice> {
    const caller = await finished(smart, {
      kind: 'person',
      subject: account.subject,
      rights: rightsOf(account, { role: account.role, organizations: [], signedIn: signIn }),
      scope: 'user/*.rs',
      token: { id: 'sign-in', issuer: smart.issuer, expires: smart.clock() + 60_000 },
    })
    return new PatientChoice(smart.contextOf(caller))
  }

  async patients(parameters: readonly [string, string][]): Promise<{ id: string; name: string; birthDate?: string }[]> {
    const found = await this.found('Patient', parameters)
    return found.map((patient) => ({
      id: textOf(patient['id']),
      name: nameIn(patient),
      ...(typeof patient['birthDate'] === 'string' && { birthDate: patient['birthDate'] }),
    }))
  }

  private async found(type: string, parameters: readonly [string, string][]): Promise<JsonObject[]> {
    const count = String(patientsShown + 1)
    try {
      const { found } = await search(this.context, {
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
  async latestEncounter(patient: string): Promise<string | undefined> {
    const encounters = await this.found('Encounter', [
      ['patient', patient],
      ['_sort', '-date'],
    ])
    const current = encounters.find(({ status }) => status === 'in-progress') ?? encounters[0]
    return current && textOf(current['id'])
  }
}

/** The few a person can choose from; undefined for staff, who look for one. */
export function ownPatients({ user, guardianOf, role }: Account): readonly string[] | undefined {
  if (user.type === 'Patient') return [user.id, ...(guardianOf ?? [])]
  if (guardianOf) return guardianOf
  return role === 'patient' || role === 'guardian' ? [] : undefined
}

/** A number is looked for among identifiers, everything else in names. */
export const searchOf = (words: string): [string, string][] => {
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

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')
