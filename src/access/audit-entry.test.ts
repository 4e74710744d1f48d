import { describe, expect, test } from '@jest/globals'
import { searchParams } from '../search/index.js'
import { auditEntry } from './audit-entry.js'
import { storedEvent } from './audit-event.js'
import { anyone, type Caller } from './caller.js'
import { isNobodys, labelsIn, patientsIn } from './patients-in.js'
import { redacted } from './redacted.js'
import { securityEvent } from './security-event.js'

const bob: Caller = {
  ...anyone,
  kind: 'person',
  id: 'bob',
  role: 'doctor',
  subject: 'bob-7',
  user: { type: 'Practitioner', id: 'bob' },
  client: 'ehr',
  name: 'Bob Kato',
  organizations: ['north'],
  purpose: 'ETREAT',
  token: { id: 'jti-1', issuer: 'https://hospital.test', expires: 0 },
}
const origin = { id: 'request-1', address: '203.0.113.7' }
const base = 'https://hospital.test/fhir'
const at = Date.UTC(2026, 1, 3, 4, 5, 6, 789)
const read = auditEntry(
  { caller: bob, at, origin },
  {
    what: 'read',
    outcome: 0,
    data: ['Observation/o1/_history/2'],
    patients: ['p1'],
    labels: [['http://terminology.hl7.org/CodeSystem/v3-ActCode', 'HIV']],
  },
)

describe('an entry', () => {
  test('is found by the patient, the resource whatever its version, and the person', () =>
    expect([...read.keys].sort()).toEqual(['Observation/o1', 'Patient/p1', 'Practitioner/bob']))

  test('is compact JSON', () => {
    expect(JSON.parse(read.text)).toMatchObject({ what: 'read', outcome: 0, patients: ['p1'], by: { client: 'ehr' } })
    expect(read.text.length).toBeLessThan(500)
  })

  test('has an id after those before it', () => {
    const ids = Array.from({ length: 100 }, () => auditEntry({ caller: bob, at }, { what: 'read', outcome: 0 }).id)
    expect([...ids].sort()).toEqual(ids)
    expect(new Set(ids).size).toBe(100)
    for (const id of ids) expect(id).toMatch(/^[A-Za-z0-9\-.]{1,64}$/)
  })
})

describe('the AuditEvent of a read follows IHE Basic Audit', () => {
  const { resource } = storedEvent(read, base)
  const agent = resource['agent'] as Record<string, unknown>[]
  const entity = resource['entity'] as Record<string, unknown>[]
  const agentOf = (code: string) => agent.find((each) => JSON.stringify(each['type']).includes(`"${code}"`))

  test('its codes', () =>
    expect(resource).toMatchObject({
      resourceType: 'AuditEvent',
      meta: { profile: ['https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PatientRead'] },
      type: { system: 'http://terminology.hl7.org/CodeSystem/audit-event-type', code: 'rest' },
      subtype: [{ system: 'http://hl7.org/fhir/restful-interaction', code: 'read' }],
      action: 'R',
      recorded: '2026-02-03T04:05:06.789Z',
      outcome: '0',
      purposeOfEvent: [{ coding: [{ code: 'ETREAT' }] }],
      source: { site: 'hospital.test', type: [{ code: '4' }] },
    }))

  test('the client is the destination, the server the source, each with its network', () => {
    expect(agentOf('110152')).toMatchObject({
      who: { identifier: { value: 'ehr' } },
      requestor: false,
      network: { address: '203.0.113.7', type: '2' },
    })
    expect(agentOf('110153')).toMatchObject({ requestor: false, network: { address: base, type: '5' } })
  })

  test('the user has a role, a purpose, the token as policy, and no network', () => {
    const user = agentOf('IRCP')!
    expect(user).toMatchObject({
      who: { reference: 'Practitioner/bob', identifier: { system: 'https://hospital.test', value: 'bob-7' } },
      name: 'Bob Kato',
      requestor: true,
      policy: ['urn:ietf:params:oauth:jti:jti-1'],
      role: [{ coding: [{ code: 'doctor' }] }],
      purposeOfUse: [{ coding: [{ code: 'ETREAT' }] }],
    })
    expect(user).not.toHaveProperty('network')
    expect(agentOf('PROV')).toMatchObject({ who: { reference: 'Organization/north' } })
  })

  test('the data with its labels, the patient, and the id of the request', () => {
    expect(entity).toMatchObject([
      {
        what: { reference: 'Observation/o1/_history/2' },
        type: { code: '2' },
        role: { code: '4' },
        securityLabel: [{ code: 'HIV' }],
      },
      { what: { reference: 'Patient/p1' }, type: { code: '1' }, role: { code: '1' } },
      { what: { identifier: { value: 'request-1' } }, type: { code: 'XrequestId' } },
    ])
  })
})

test('a query stands in its event as BALP wants it: in base64, and to be read', () => {
  const entry = auditEntry({ caller: bob, at }, { what: 'search-type', outcome: 0, query: 'Patient?family=okello' })
  const { resource } = storedEvent(entry, base)
  expect(resource['action']).toBe('E')
  expect(resource['entity']).toMatchObject([
    {
      type: { code: '2' },
      role: { code: '24' },
      description: 'Patient?family=okello',
      query: Buffer.from('Patient?family=okello').toString('base64'),
    },
  ])
})

test.each([
  ['create', '110153', '110152'],
  ['update', '110153', '110152'],
  ['delete', '110150', 'custodian'],
  ['search-type', '110153', '110152'],
  ['vread', '110152', '110153'],
] as const)('in a %s the client is %s and the server %s', (what, client, server) => {
  const { resource } = storedEvent(auditEntry({ caller: bob, at }, { what, outcome: 0 }), base)
  const [first, second] = resource['agent'] as { type: { coding: { code: string }[] } }[]
  expect([first!.type.coding[0]!.code, second!.type.coding[0]!.code]).toEqual([client, server])
})

test('a refusal tells why, and follows no profile of success', () => {
  const entry = auditEntry(
    { caller: bob, at },
    { what: 'read', outcome: 4, why: '404 not-found', data: ['Patient/p1'] },
  )
  const { resource } = storedEvent(entry, base)
  expect(resource).toMatchObject({ outcome: '4', outcomeDesc: '404 not-found' })
  expect(resource).not.toHaveProperty('meta')
})

describe('security events', () => {
  test.each([
    ['sign-in', '110114', '110122'],
    ['sign-out', '110114', '110123'],
    ['client-authentication', '110114', '110126'],
    ['token-issued', '110114', 'ITI-71'],
    ['authorization-decision', '110113', 'AuthZ-Consent'],
    ['emergency-started', '110113', '110127'],
  ] as const)('%s is %s / %s', (kind, type, subtype) => {
    const entry = securityEvent({ kind, outcome: 0, person: { user: bob.user!, subject: 'bob-7' } }, { at, origin })
    const { resource } = storedEvent(entry, base)
    expect(resource).toMatchObject({
      type: { code: type },
      subtype: expect.arrayContaining([{ code: subtype } as object].map(expect.objectContaining)),
    })
    expect(entry.keys).toEqual(['Practitioner/bob'])
  })
})

describe('what is secret is left out of a query', () => {
  const of = (types: string[] | undefined, ...parameters: [string, string][]) =>
    redacted(parameters, { types, searchParams: searchParams() })
  const jwt = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl'

  test.each<[string[] | undefined, [string, string], string]>([
    [['Patient'], ['family', 'okello'], 'family=okello'],
    [['Patient'], ['family:exact', 'okello'], 'family:exact=okello'],
    [['Observation'], ['patient.identifier', 'x|1'], 'patient.identifier=x|1'],
    [['Observation'], ['code', '8480-6'], 'code=8480-6'],
    [['Patient'], ['code', 'SplxlOBeZQQYbYS6WxSbIA'], 'code=(redacted)'],
    [['Patient'], ['access_token', jwt], 'access_token=(redacted)'],
    [['Patient'], ['client_assertion', jwt], 'client_assertion=(redacted)'],
    [['Patient'], ['password', 'hunter2'], 'password=(redacted)'],
    [['Patient'], ['identifier', jwt], 'identifier=(redacted)'],
    [['Patient'], ['_content', `Bearer ${jwt.slice(4)}`], '_content=(redacted)'],
    [undefined, ['_type', 'Patient'], '_type=Patient'],
    [undefined, ['token', 'abc'], 'token=(redacted)'],
    [['Patient'], [jwt + jwt, ''], '(redacted)=(redacted)'],
    [['Patient'], ['constructor', 'x'], 'constructor=(redacted)'],
  ])('%s %s: %s', (types, parameter, expected) => expect(of(types, parameter)).toBe(expected))

  test('what is too long is cut', () =>
    expect(of(['Patient'], ['name', 'x'.repeat(100_000)]).length).toBeLessThan(17_000))
})

describe('whose data a resource is', () => {
  const stored = (type: string, text: string) => ({ type, id: 'me', body: Buffer.from(text) })

  test.each<[string, string, string[]]>([
    ['Patient', '{"resourceType":"Patient","id":"me"}', ['me']],
    ['Observation', '{"subject":{"reference":"Patient/a"},"performer":[{"reference":"Patient/b"}]}', ['a', 'b']],
    ['Observation', '{"subject":{"reference":"Patient/a"},"focus":[{"reference":"Patient/a"}]}', ['a']],
    ['Observation', '{"subject":{"reference":"Patient/a/_history/2"}}', ['a']],
    ['Organization', '{"name":"\\\\"reference\\\\":\\\\"Patient/a\\\\""}', []],
    ['Practitioner', '{}', []],
  ])('%s %s: %s', (type, text, expected) => expect(patientsIn(stored(type, text))).toEqual(expected))

  test('many members are found once each', () => {
    const members = Array.from({ length: 50 }, (_, i) => `{"entity":{"reference":"Patient/p${i % 25}"}}`)
    expect(patientsIn(stored('Group', `{"member":[${members}]}`))).toHaveLength(25)
  })

  test.each([
    ['ValueSet', true],
    ['StructureDefinition', true],
    ['Questionnaire', true],
    ['CapabilityStatement', true],
    ['Patient', false],
    ['Observation', false],
    ['AuditEvent', false],
    ['Consent', false],
    ['Binary', false],
    ['Practitioner', false],
    ['Contract', false],
    ['Subscription', false],
  ])('%s is nobodys: %s', (type, expected) => expect(isNobodys(type)).toBe(expected))

  test('labels are those of its own meta', () => {
    const own = '{"resourceType":"Patient","id":"me","meta":{"versionId":"1","security":[{"system":"s","code":"R"}]}}'
    expect(labelsIn(Buffer.from(own))).toEqual([['s', 'R']])
    expect(
      labelsIn(Buffer.from('{"meta":{"versionId":"1"},"contained":[{"meta":{"security":[{"code":"R"}]}}]}')),
    ).toEqual([])
  })
})
