/**
 * The codes of each kind of event: type, subtypes, action, and the roles of client and server in it.
 *
 * https://profiles.ihe.net/ITI/BALP/content.html
 */
import type { Interaction } from './audit-entry.js'
import type { SecurityKind } from './security-event.js'

export type Coding = { system: string; code: string; display?: string }

export type EventCodes = {
  type: Coding
  subtype: Coding[]
  action: 'C' | 'R' | 'U' | 'D' | 'E'
  client: Coding
  server: Coding
  /** Last part of the profile's URL, without and with a patient. */
  profile?: readonly [string, string]
  /** Recorded with the query instead of the data. */
  query?: true
}

export const dicom = 'http://dicom.nema.org/resources/ontology/DCM'
const ours = 'https://hospitallink.example/fhir/CodeSystem/audit-event'
const source: Coding = { system: dicom, code: '110153', display: 'Source Role ID' }
const destination: Coding = { system: dicom, code: '110152', display: 'Destination Role ID' }
const application: Coding = { system: dicom, code: '110150', display: 'Application' }
const custodian: Coding = {
  system: 'http://terminology.hl7.org/CodeSystem/provenance-participant-type',
  code: 'custodian',
  display: 'Custodian',
}
const authorizer: Coding = {
  system: 'http://terminology.hl7.org/CodeSystem/extra-security-role-type',
  code: 'authserver',
  display: 'authorization server',
}

const rest: Coding = {
  system: 'http://terminology.hl7.org/CodeSystem/audit-event-type',
  code: 'rest',
  display: 'Restful Operation',
}

const restful = (
  code: Interaction,
  action: EventCodes['action'],
  [client, server]: readonly [Coding, Coding],
  more: Pick<EventCodes, 'profile' | 'query'> = {},
): EventCodes => ({
  type: rest,
  subtype: [{ system: 'http://hl7.org/fhir/restful-interaction', code }],
  action,
  client,
  server,
  ...more,
})

const sends = [source, destination] as const
const receives = [destination, source] as const
const asks = { profile: ['Query', 'PatientQuery'], query: true } as const

const interactions: Record<Interaction, EventCodes> = {
  create: restful('create', 'C', sends, { profile: ['Create', 'PatientCreate'] }),
  read: restful('read', 'R', receives, { profile: ['Read', 'PatientRead'] }),
  vread: restful('vread', 'R', receives, { profile: ['Read', 'PatientRead'] }),
  update: restful('update', 'U', sends, { profile: ['Update', 'PatientUpdate'] }),
  patch: restful('patch', 'U', sends, { profile: ['Update', 'PatientUpdate'] }),
  delete: restful('delete', 'D', [application, custodian], { profile: ['Delete', 'PatientDelete'] }),
  'search-type': restful('search-type', 'E', sends, asks),
  'search-system': restful('search-system', 'E', sends, asks),
  'history-instance': restful('history-instance', 'R', receives),
  'history-type': restful('history-type', 'E', sends, { query: true }),
  'history-system': restful('history-system', 'E', sends, { query: true }),
  operation: restful('operation', 'E', sends),
  batch: restful('batch', 'E', sends),
  transaction: restful('transaction', 'E', sends),
  capabilities: restful('capabilities', 'R', receives),
}

const security = (
  [typeCode, typeDisplay]: readonly [string, string],
  subtype: Coding[],
  server: Coding = authorizer,
  action: EventCodes['action'] = 'E',
): EventCodes => ({
  type: { system: dicom, code: typeCode, display: typeDisplay },
  subtype,
  action,
  client: application,
  server,
})

const authentication = ['110114', 'User Authentication'] as const
const alert = ['110113', 'Security Alert'] as const
const dcm = (code: string, display: string): Coding => ({ system: dicom, code, display })
const own = (code: SecurityKind | 'anchor'): Coding => ({ system: ours, code })
const transactionOf = (code: string, display: string): Coding => ({ system: 'urn:ihe:event-type-code', code, display })

const securityKinds: Record<SecurityKind | 'anchor', EventCodes> = {
  'sign-in': security(authentication, [dcm('110122', 'Login')]),
  'sign-out': security(authentication, [dcm('110123', 'Logout')]),
  'client-authentication': security(authentication, [dcm('110126', 'Node Authentication')]),
  'token-issued': security(authentication, [transactionOf('ITI-71', 'Get Access Token'), own('token-issued')]),
  'token-refreshed': security(authentication, [transactionOf('ITI-71', 'Get Access Token'), own('token-refreshed')]),
  'token-revoked': security(authentication, [own('token-revoked')]),
  'token-reused': security(alert, [dcm('110132', 'Use of Restricted Function'), own('token-reused')]),
  'token-introspected': security(authentication, [transactionOf('ITI-102', 'Introspect Token')]),
  'authorization-decision': security(alert, [
    { system: 'https://profiles.ihe.net/ITI/BALP/CodeSystem/AuthZsubType', code: 'AuthZ-Consent' },
  ]),
  'emergency-started': security(alert, [dcm('110127', 'Emergency Override Started')]),
  'emergency-ended': security(alert, [dcm('110138', 'Emergency Override Stopped')]),
  'roles-changed': security(alert, [dcm('110136', 'Security Roles Changed')]),
  'account-changed': security(alert, [dcm('110137', 'User Security Attributes Changed')]),
  'client-changed': security(alert, [dcm('110137', 'User Security Attributes Changed'), own('client-changed')]),
  'keys-changed': security(alert, [dcm('110129', 'Security Configuration'), own('keys-changed')]),
  'tenant-changed': security(alert, [dcm('110129', 'Security Configuration'), own('tenant-changed')]),
  export: security(['110106', 'Export'], [own('export')], source, 'R'),
  import: security(['110107', 'Import'], [own('import')], destination, 'C'),
  anchor: security(['110100', 'Application Activity'], [own('anchor')], application),
}

export type Kind = Interaction | SecurityKind | 'anchor'

const all: Record<Kind, EventCodes> = { ...interactions, ...securityKinds }

export const codesOf = (kind: Kind): EventCodes => all[kind]
