/**
 * An entry of the audit log as FHIR shows it.
 *
 * https://profiles.ihe.net/ITI/BALP/artifacts.html, https://hl7.org/fhir/R4/auditevent.html
 *
 * What clients have posted is kept as they sent it; everything else is made here from its compact form, after the
 * patterns of IHE Basic Audit.
 */
import { instant, type Json, type JsonObject, parseJson, type Resource, serialize, splice } from '../fhir/index.js'
import { custodianUrl } from '../search/index.js'
import type { AuditEntry, Stored } from '../store/index.js'
import { type Coding, codesOf, type EventCodes, type Kind } from './audit-codes.js'
import { type Asking, newAuditId, type Outcome, prepared } from './audit-entry.js'

/** The compact form: what `auditEntry` and `securityEvent` write. */
type Recorded = {
  what: Kind
  outcome: Outcome
  why?: string
  data?: string[]
  patients?: string[]
  labels?: [system: string, code: string][]
  labelsOf?: [system: string, code: string][][]
  operation?: string
  query?: string
  from?: string
  request?: string
  by: {
    kind: string
    role?: string
    subject?: string
    user?: string
    client?: string
    name?: string
    organization?: string
    /** The custodian of the event. */
    hospital?: string
    purpose?: string
    token?: { id: string; issuer: string }
    methods?: string[]
  }
  anchor?: string
}

export const postedKey = 'posted'

/** The entry of an AuditEvent that a client has posted: its JSON, and all it refers to here as `Type/id`. */
export function postedEntry(
  { caller, at }: Asking,
  { id = newAuditId(), json, references }: { id?: string; json: string; references: readonly string[] },
): AuditEntry {
  const keys = [...new Set([postedKey, ...references])]
  return { id, at, keys, text: `{"posted":${json},"by":${prepared(caller).json}}` }
}

/** An AuditEvent as a resource that was stored when it happened and never changed. */
export type ShownEvent = { stored: Stored; resource: Resource }

/** The AuditEvent of an entry that concerns one patient, or none. */
export const storedEvent = (entry: AuditEntry, baseUrl: string): ShownEvent => storedEvents(entry, baseUrl)[0]!

/**
 * The AuditEvents of an entry: one, or one for each patient it concerns, as BALP wants it, so that nobody learns from
 * an event about themselves whose data was seen beside theirs. `only`: of this patient, where it concerns several;
 * `discreet`: without the query, which may name others who were asked for.
 */
export function storedEvents(
  entry: AuditEntry,
  baseUrl: string,
  { only, discreet = false }: { only?: string | undefined; discreet?: boolean } = {},
): ShownEvent[] {
  const { id, at, text } = entry
  if (text.startsWith('{"posted":')) return [shown(id, at, (parseJson(text) as JsonObject)['posted'] as Resource)]
  const recorded = discreetly(JSON.parse(text) as Recorded, discreet)
  const { patients = [], labelsOf = [], data = [], by } = recorded
  const one = (each: Recorded, own: string) => shown(own, at, eventOf(each, at, baseUrl))
  if (patients.length < 2) return [one({ ...recorded, ...(labelsOf[0] && { labels: labelsOf[0] }) }, id)]
  const concernsAll = only === undefined || by.user === only || data.some((address) => address.startsWith(only))
  return patients.flatMap((patient, index) =>
    concernsAll || only === `Patient/${patient}`
      ? [one({ ...recorded, patients: [patient], labels: labelsOf[index] ?? recorded.labels ?? [] }, partOf(id, index))]
      : [],
  )
}

const discreetly = (recorded: Recorded, discreet: boolean): Recorded =>
  discreet && recorded.query !== undefined ? { ...recorded, query: '(not shown)' } : recorded

/** Our own ids have no dot. */
const partOf = (id: string, index: number): string => `${id}.${index + 1}`

/** The id of the entry that an event with this id is of. */
export const entryIdOf = (id: string): string => id.replace(/\.[1-9]\d{0,5}$/, '')

function shown(id: string, at: number, resource: Resource): ShownEvent {
  const body = splice(serialize(resource, id), 1, at)
  return {
    stored: { type: 'AuditEvent', id, version: 1, updated: at, deleted: false, method: 'POST', body },
    resource,
  }
}

function eventOf(recorded: Recorded, at: number, baseUrl: string): Resource {
  const codes = codesOf(recorded.what)
  const { outcome, why, patients = [] } = recorded
  const { client, user } = agentsOf(recorded, codes)
  const purposeOfEvent = recorded.by.purpose !== undefined && { purposeOfEvent: [purpose(recorded.by.purpose)] }
  const profile = outcome === 0 ? codes.profile?.[patients.length ? 1 : 0] : undefined
  return {
    resourceType: 'AuditEvent',
    ...metaOfEvent(profile, recorded.by.hospital),
    type: codes.type,
    subtype: codes.subtype,
    action: codes.action,
    recorded: instant(at),
    outcome: String(outcome),
    ...(why !== undefined && { outcomeDesc: why }),
    ...purposeOfEvent,
    agent: [client, serverOf(codes, baseUrl), ...user, ...organizationOf(recorded)],
    source: {
      site: new URL(baseUrl).host,
      observer: server(baseUrl),
      type: [{ system: 'http://terminology.hl7.org/CodeSystem/security-source-type', code: '4' }],
    },
    ...entities(recorded, codes),
  }
}

function metaOfEvent(profile: string | undefined, hospital: string | undefined): { meta?: JsonObject } {
  if (profile === undefined && hospital === undefined) return {}
  return {
    meta: {
      ...(hospital !== undefined && {
        extension: [{ url: custodianUrl, valueReference: { reference: `Organization/${hospital}` } }],
      }),
      ...(profile !== undefined && {
        profile: [`https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.${profile}`],
      }),
    },
  }
}

const server = (baseUrl: string): JsonObject => ({
  identifier: { system: 'urn:ietf:rfc:3986', value: baseUrl },
  display: 'hospitallink',
})

const concept = (...coding: Coding[]): JsonObject => ({ coding: coding.map((each): JsonObject => ({ ...each })) })

const purpose = (code: string): JsonObject =>
  concept({ system: 'http://terminology.hl7.org/CodeSystem/v3-ActReason', code })

const roleOf = (code: string): JsonObject =>
  concept({ system: 'https://hospitallink.example/fhir/CodeSystem/role', code })

const tokenUser: Coding = {
  system: 'https://profiles.ihe.net/ITI/BALP/CodeSystem/UserAgentTypes',
  code: 'UserOauthAgent',
}

function agentsOf({ by, from }: Recorded, codes: EventCodes): { client: JsonObject; user: JsonObject[] } {
  const { kind, client, token, role, purpose: why, name, user, subject } = by
  const isPerson = kind === 'person' && (user !== undefined || subject !== undefined)
  const policy = token && { policy: [policyOf(token.id)] }
  const known: JsonObject = {
    ...(role !== undefined && { role: [roleOf(role)] }),
    ...(name !== undefined && { name }),
    requestor: true,
    ...policy,
    ...(why !== undefined && { purposeOfUse: [purpose(why)] }),
  }
  const who: JsonObject =
    client !== undefined
      ? { identifier: { value: client } }
      : { display: kind === 'server' ? 'hospitallink' : 'an application that did not say who it is' }
  return {
    client: {
      type: concept(codes.client),
      who,
      // A client that acts for itself has what a person would have.
      ...(isPerson ? { requestor: false } : known),
      network: from === undefined ? { address: 'localhost', type: '1' } : { address: from, type: '2' },
    },
    user: isPerson
      ? [
          {
            type: concept(
              {
                system: 'http://terminology.hl7.org/CodeSystem/v3-ParticipationType',
                code: 'IRCP',
                display: 'information recipient',
              },
              ...(token ? [tokenUser] : []),
            ),
            who: {
              ...(user !== undefined && { reference: user }),
              ...(subject !== undefined && {
                identifier: { ...(token && { system: token.issuer }), value: subject },
              }),
              ...(name !== undefined && { display: name }),
            },
            ...(subject !== undefined && { altId: subject }),
            ...known,
          },
        ]
      : [],
  }
}

const policyOf = (id: string): string => `urn:ietf:params:oauth:jti:${id}`

const serverOf = ({ server: type }: EventCodes, baseUrl: string): JsonObject => ({
  type: concept(type),
  who: server(baseUrl),
  requestor: false,
  network: { address: baseUrl, type: '5' },
})

const organizationOf = ({ by }: Recorded): JsonObject[] =>
  by.organization === undefined
    ? []
    : [
        {
          type: concept({
            system: 'http://terminology.hl7.org/CodeSystem/v3-RoleClass',
            code: 'PROV',
            display: 'healthcare provider',
          }),
          who: { reference: `Organization/${by.organization}` },
          requestor: false,
        },
      ]

const object: Coding = {
  system: 'http://terminology.hl7.org/CodeSystem/audit-entity-type',
  code: '2',
  display: 'System Object',
}
const person: Coding = {
  system: 'http://terminology.hl7.org/CodeSystem/audit-entity-type',
  code: '1',
  display: 'Person',
}
const objectRole = (code: string, display: string): Coding => ({
  system: 'http://terminology.hl7.org/CodeSystem/object-role',
  code,
  display,
})

function entities(recorded: Recorded, { query: isQuery }: EventCodes): { entity?: Json } {
  const { data = [], patients = [], labels = [], query, request, operation, by, anchor, what } = recorded
  const securityLabel = labels.length
    ? { securityLabel: labels.map(([system, code]) => ({ ...(system !== '' && { system }), code })) }
    : {}
  const entity: JsonObject[] = [
    ...data.map(
      (each): JsonObject => ({
        what: isReference(each) ? { reference: each } : { identifier: { value: each } },
        type: { ...object },
        role: { ...objectRole('4', 'Domain Resource') },
        ...securityLabel,
      }),
    ),
    ...patients.map(
      (id): JsonObject => ({
        what: { reference: `Patient/${id}` },
        type: { ...person },
        role: { ...objectRole('1', 'Patient') },
      }),
    ),
  ]
  if (query !== undefined || isQuery)
    entity.push({
      type: { ...object },
      role: { ...objectRole('24', 'Query') },
      ...(data.length === 0 && securityLabel),
      description: query ?? '',
      query: Buffer.from(query ?? '').toString('base64'),
    })
  if (operation !== undefined)
    entity.push({ type: { ...object }, role: { ...objectRole('20', 'Job') }, name: `$${operation}` })
  if (request !== undefined)
    entity.push({
      what: { identifier: { value: request } },
      type: { system: 'https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType', code: 'XrequestId' },
    })
  if (by.token && what.startsWith('token-'))
    entity.push({ what: { identifier: { value: policyOf(by.token.id) } }, type: { ...tokenUser } })
  if (anchor !== undefined)
    entity.push({
      type: { ...object },
      role: { ...objectRole('13', 'Security Resource') },
      detail: [{ type: 'head', valueString: anchor }],
    })
  return entity.length ? { entity } : {}
}

const isReference = (text: string): boolean =>
  /^[A-Z][A-Za-z]+\/[A-Za-z0-9\-.]{1,64}(\/_history\/[A-Za-z0-9\-.]{1,64})?$/.test(text)
