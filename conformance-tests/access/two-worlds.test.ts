/**
 * Two worlds that differ only in what a caller may not see answer that caller with the same bytes.
 *
 * https://hl7.org/fhir/R4/security.html
 *
 * Both are given the same programs of requests; what servers make up themselves (ids, times, sealed page links) is
 * replaced before answers are compared. SEED=n repeats a run.
 */
import { expect, test } from '@jest/globals'
import type { TestServer } from '../../src/testing.js'
import { of, send, startAccessServer, type Who } from './callers.js'

type Item = { resourceType: string; id: string }

const a = { organizations: ['a'], hospitals: ['a'], custodian: 'a' }
const callers: Record<string, Who> = {
  doctor: { role: 'doctor', user: { type: 'Practitioner', id: 'doctor' }, scope: 'user/*.cruds', ...a },
  nurse: { role: 'nurse', user: { type: 'Practitioner', id: 'nurse' }, scope: 'user/*.rs', ...a },
  receptionist: { role: 'receptionist', user: { type: 'Practitioner', id: 'clerk' }, scope: 'user/*.cruds', ...a },
  pharmacist: { role: 'pharmacist', user: { type: 'Practitioner', id: 'chemist' }, scope: 'user/*.cruds', ...a },
  patient: { role: 'patient', user: { type: 'Patient', id: 'p1' }, patient: 'p1', scope: 'patient/*.cruds', ...a },
  app: { role: 'doctor', user: { type: 'Practitioner', id: 'doctor' }, patient: 'p1', scope: 'patient/*.rs', ...a },
  laboratoryApp: {
    role: 'doctor',
    user: { type: 'Practitioner', id: 'doctor' },
    scope: 'user/Patient.rs user/Observation.rs?category=laboratory',
    ...a,
  },
  system: { role: 'backend', kind: 'system', client: 'ehr', scope: 'system/*.cruds', ...a },
  peer: { role: 'peer', kind: 'system', client: 'b', scope: 'system/*.cruds', organizations: ['b'], hospitals: ['b'] },
  administrator: { role: 'tenant-administrator', user: { type: 'Practitioner', id: 'admin' }, scope: 'user/*.cruds' },
}

/** What nobody of the callers sees: the record of a patient of another hospital, and what refers to visible things. */
const hiddenFromAll: Item[] = record('h1', 'b', 'hidden', { performer: 'doctor' })

/** What only some do not see: a patient of the same hospital whom others treat. */
const hiddenFrom: Record<string, Item[]> = {
  doctor: record('h2', 'a', 'secret'),
  nurse: record('h2', 'a', 'secret'),
  app: [...record('h2', 'a', 'secret'), ...record('h3', 'a', 'other', { treated: true })],
  patient: [...record('h2', 'a', 'secret'), ...record('h3', 'a', 'other', { treated: true })],
  laboratoryApp: record('h2', 'a', 'secret'),
}

function record(id: string, hospital: string, word: string, { performer = 'stranger', treated = false } = {}): Item[] {
  const subject = { reference: `Patient/${id}` }
  const practitioner = { reference: `Practitioner/${performer}` }
  const items = [
    {
      resourceType: 'Patient',
      id,
      name: [{ family: word, given: ['Asha'] }],
      birthDate: '1980-01-01',
      identifier: [{ system: 'urn:mrn', value: `mrn-${id}` }],
      gender: 'female',
    },
    ...Array.from({ length: 3 }, (_, i) => ({
      resourceType: 'Observation',
      id: `${id}-o${i}`,
      status: 'final',
      category: [
        {
          coding: [
            {
              system: 'http://terminology.hl7.org/CodeSystem/observation-category',
              code: i === 0 ? 'laboratory' : 'vital-signs',
            },
          ],
        },
      ],
      code: { coding: [{ system: 'http://loinc.org', code: `${word}-${i}` }], text: word },
      subject,
      performer: [practitioner],
      effectiveDateTime: `2026-01-0${i + 1}`,
      valueQuantity: { value: i, unit: 'mg' },
    })),
    {
      resourceType: 'Encounter',
      id: `${id}-e`,
      status: 'finished',
      class: { code: 'AMB' },
      subject,
      participant: [{ individual: { reference: 'Practitioner/stranger' } }],
      period: { start: '2026-01-01', end: '2026-01-02' },
      reasonCode: [{ text: word }],
      serviceProvider: { reference: `Organization/${hospital}` },
    },
    {
      resourceType: 'Condition',
      id: `${id}-c`,
      subject,
      code: { text: word },
      encounter: { reference: `Encounter/${id}-e` },
    },
    {
      resourceType: 'MedicationRequest',
      id: `${id}-m`,
      status: 'completed',
      intent: 'order',
      subject,
      medicationCodeableConcept: { text: word },
    },
    { resourceType: 'Invoice', id: `${id}-i`, status: 'issued', subject },
    { resourceType: 'Binary', id: `${id}-b`, contentType: 'text/plain', data: 'aGVsbG8=', securityContext: subject },
    {
      resourceType: 'List',
      id: `${id}-l`,
      status: 'current',
      mode: 'working',
      subject,
      entry: [{ item: { reference: `Observation/${id}-o1` } }],
    },
    ...(treated
      ? [
          {
            resourceType: 'CareTeam',
            id: `${id}-t`,
            status: 'active',
            subject,
            participant: [{ member: { reference: 'Practitioner/doctor' } }],
          },
        ]
      : []),
  ]
  return items.map((item) => of(hospital, item) as Item)
}

const visible: Item[] = [
  ...['a', 'b'].map((id) => of(id, { resourceType: 'Organization', id, name: id })),
  ...['doctor', 'nurse', 'clerk', 'chemist', 'admin', 'stranger'].map((id) =>
    of('a', { resourceType: 'Practitioner', id, name: [{ family: id }] }),
  ),
  ...record('p1', 'a', 'seen'),
  of('a', {
    resourceType: 'CareTeam',
    id: 'p1-t',
    status: 'active',
    subject: { reference: 'Patient/p1' },
    participant: [{ member: { reference: 'Practitioner/doctor' } }, { member: { reference: 'Practitioner/nurse' } }],
  }),
]

/** Hidden things were made before, between and after the others, and changed and deleted. */
async function load(server: TestServer, hidden: readonly Item[]): Promise<void> {
  const put = async (item: Item) => {
    const { status, text } = await send(server, undefined, 'PUT', `${item.resourceType}/${item.id}`, { body: item })
    if (status >= 300) throw new Error(text)
  }
  const [first, ...rest] = hidden
  const organizations = visible.slice(0, 8)
  for (const item of organizations) await put(item)
  if (first) await put(first)
  for (const [i, item] of visible.slice(8).entries()) {
    await put(item)
    if (rest[i]) await put(rest[i])
  }
  for (const item of rest) await put({ ...item, language: 'en' } as Item)
  const gone = rest.find(({ resourceType }) => resourceType === 'Invoice')
  if (gone) await send(server, undefined, 'DELETE', `Invoice/${gone.id}`)
}

type Step = { method: string; path: string; body?: unknown; headers?: Record<string, string> }

const observation = (subject: string) => ({
  resourceType: 'Observation',
  status: 'final',
  code: { text: 'new' },
  subject: { reference: subject },
})

/** Requests that would tell, if anything did. */
const probes: Step[] = [
  ...['h1', 'h2', 'h3', 'nil', 'p1'].flatMap((id): Step[] => [
    { method: 'GET', path: `Patient/${id}` },
    { method: 'HEAD', path: `Patient/${id}` },
    { method: 'GET', path: `Patient/${id}/_history` },
    { method: 'GET', path: `Patient/${id}/_history/1` },
    { method: 'GET', path: `Patient/${id}/_history/2` },
    { method: 'GET', path: `Patient/${id}/$everything` },
    { method: 'GET', path: `Patient/${id}/*?_count=5` },
    { method: 'GET', path: `Patient/${id}/Observation` },
    { method: 'GET', path: `Observation/${id}-o1` },
    { method: 'GET', path: `Binary/${id}-b` },
    { method: 'GET', path: `Observation?patient=${id}` },
    { method: 'GET', path: `Observation?subject=Patient/${id}&_summary=count` },
    { method: 'GET', path: `Observation/$lastn?patient=Patient/${id}` },
    { method: 'GET', path: `Patient/${id}/$meta` },
    { method: 'PUT', path: `Patient/${id}x`, body: { resourceType: 'Patient', id: `${id}x` } },
    { method: 'PUT', path: `Invoice/${id}-i`, body: { resourceType: 'Invoice', id: `${id}-i`, status: 'draft' } },
    { method: 'DELETE', path: `List/${id}-l`, headers: { 'if-match': 'W/"9"' } },
    {
      method: 'PATCH',
      path: `Condition/${id}-c`,
      body: JSON.stringify([{ op: 'add', path: '/nonsense', value: 1 }]),
      headers: { 'content-type': 'application/json-patch+json' },
    },
    { method: 'POST', path: 'Observation', body: observation(`Patient/${id}`), headers: { prefer: 'return=minimal' } },
    { method: 'POST', path: 'Observation/$validate', body: observation(`Patient/${id}`) },
    {
      method: 'POST',
      path: 'Patient',
      body: { resourceType: 'Patient', identifier: [{ system: 'urn:mrn', value: `mrn-${id}` }] },
      headers: { 'if-none-exist': `identifier=urn:mrn|mrn-${id}`, prefer: 'return=minimal' },
    },
    { method: 'DELETE', path: `Condition?subject=Patient/${id}&code:text=nonsense` },
    {
      method: 'PUT',
      path: `Patient?identifier=urn:mrn|mrn-${id}`,
      body: { resourceType: 'Patient', id: `${id}-other` },
    },
    {
      method: 'POST',
      path: '',
      body: {
        resourceType: 'Bundle',
        type: 'batch',
        entry: [
          { request: { method: 'GET', url: `Patient/${id}` } },
          { request: { method: 'GET', url: `Observation?patient=${id}&_total=accurate` } },
          { request: { method: 'DELETE', url: `Observation/${id}-o9` } },
        ],
      },
    },
    {
      method: 'POST',
      path: '',
      body: {
        resourceType: 'Bundle',
        type: 'transaction',
        entry: [
          {
            resource: observation(`Patient?identifier=urn:mrn|mrn-${id}`),
            request: { method: 'POST', url: 'Observation' },
          },
        ],
      },
    },
  ]),
  ...[
    'Patient?name=hidden',
    'Patient?name:contains=e',
    'Patient?family=secret',
    'Patient?_sort=family&_count=1',
    'Patient?_sort=-birthdate',
    'Patient?_total=accurate&_count=0',
    'Patient?_has:Observation:patient:code=hidden-1',
    'Patient?_has:Observation:patient:code=seen-1',
    'Patient?_has:Observation:patient:_has:List:item:status=current',
    'Practitioner?_has:Observation:performer:code=hidden-0',
    'Practitioner?_has:Observation:performer:status=final',
    'Practitioner?_has:Encounter:participant:status=finished',
    'Practitioner?_revinclude=Observation:performer',
    'Practitioner?_revinclude=*:*',
    'Practitioner?_id=stranger&_revinclude=Encounter:participant&_revinclude=Observation:performer&_include:iterate=*:*',
    'Organization?_revinclude=Encounter:service-provider',
    'Organization?_has:Encounter:service-provider:status=finished',
    'Organization?_sort=-_lastUpdated',
    'Observation?patient.name=hidden',
    'Observation?patient.name=seen',
    'Observation?subject:Patient.gender=female&_sort=patient',
    'Observation?code:text=e',
    'Observation?code:not=seen-1',
    'Observation?code:missing=true',
    'Observation?value-quantity=gt0&_sort=-value-quantity',
    'Observation?date=ge2020&_sort=date&_count=2',
    'Observation?_include=Observation:patient&_include=Observation:performer',
    'Observation?_include=*',
    'Observation?performer=Practitioner/doctor',
    'Observation?performer=Practitioner/stranger',
    'Observation?_content=hidden',
    'Observation?_content=secret',
    'Observation?_text=x',
    'Observation?_filter=code eq hidden-1 or status eq final',
    'Observation?category=laboratory',
    'Observation?category=vital-signs',
    'Observation?_list=h1-l',
    'Observation?_lastUpdated=gt2020-01-01',
    'Encounter?reason-code:text=hidden',
    'Encounter?status=finished&_sort=date',
    'Condition?encounter.reason-code:text=hidden',
    'Condition?encounter.status=finished',
    'MedicationRequest?status=completed',
    'MedicationRequest',
    'Binary',
    'List?item.code=hidden-1',
    'List?item:Observation.status=final',
    'Invoice',
    'Invoice?_count=0',
    '?_type=Patient,Observation&_count=3',
    '?_type=Patient,Invoice,List&_sort=-_lastUpdated',
    '?_count=50',
    '?_content=hidden',
    '_history?_count=50',
    'Patient/_history',
    'Observation/_history?_count=3',
    'Invoice/_history',
    'Organization/_history',
    'Practitioner/stranger/_history',
    'Practitioner/stranger/Observation',
    'Practitioner/stranger/*',
    'Encounter/h1-e/Condition',
    'Encounter/p1-e/Condition',
  ].map((path): Step => ({ method: 'GET', path })),
  { method: 'DELETE', path: 'Practitioner/stranger' },
  { method: 'DELETE', path: 'Organization/b' },
]

const seed = Number(process.env['SEED'] ?? 7)

function random(from: number): () => number {
  let state = from
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

/** Each probe once, and then some random searches put together of what is there and what is hidden. */
function program(): Step[] {
  const draw = random(seed)
  const pick = <T>(of: readonly T[]): T => of[Math.floor(draw() * of.length)]!
  const types = ['Patient', 'Observation', 'Encounter', 'Condition', 'MedicationRequest', 'List', 'Practitioner']
  const words = [
    'seen',
    'hidden',
    'secret',
    'other',
    'h1',
    'h2',
    'p1',
    'final',
    'finished',
    'seen-1',
    'hidden-1',
    'secret-2',
  ]
  const params: Record<string, string[]> = {
    Patient: [
      'name',
      'identifier',
      'gender',
      '_id',
      '_has:Observation:patient:code',
      '_has:Encounter:patient:status',
      '_content',
    ],
    Observation: [
      'code',
      'status',
      'patient',
      'patient.name',
      'subject:Patient.identifier',
      'performer.family',
      '_content',
      '_has:List:item:status',
    ],
    Encounter: ['status', 'patient', 'participant.family', '_has:Condition:encounter:code:text'],
    Condition: ['code:text', 'patient', 'encounter.status', 'encounter.patient.name'],
    MedicationRequest: ['status', 'patient', 'code:text'],
    List: ['status', 'item', 'item.code', 'subject:Patient.name'],
    Practitioner: ['family', '_has:Observation:performer:code', '_has:Encounter:participant:patient.name'],
  }
  const sorts: Record<string, string> = { Patient: 'name', Observation: 'date', Encounter: 'status', Condition: 'code' }
  const searches = Array.from({ length: 150 }, (): Step => {
    const type = pick(types)
    const asked = Array.from({ length: 1 + Math.floor(draw() * 2) }, () => `${pick(params[type]!)}=${pick(words)}`)
    if (draw() < 0.3) asked.push(`_sort=${draw() < 0.5 ? '-' : ''}${sorts[type] ?? '_lastUpdated'}`)
    if (draw() < 0.3) asked.push('_count=1')
    if (draw() < 0.3) asked.push('_total=accurate')
    if (draw() < 0.2) asked.push('_revinclude=Observation:patient')
    return { method: 'GET', path: `${type}?${asked.join('&')}` }
  })
  return [...probes, ...searches]
}

/** What servers make up themselves. */
const plain = (text: string, server: TestServer): string =>
  text
    .replaceAll(server.baseUrl, 'BASE')
    .replaceAll(server.fhir, 'BASE')
    .replace(/_page=[\w-]+/g, '_page=…')
    .replace(/"lastUpdated":"[^"]*"|"lastModified":"[^"]*"|"timestamp":"[^"]*"|"date":"[^"]*"/g, '')
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, 'UUID')

const headersOf = (headers: Headers): string[] =>
  [...headers]
    .filter(([name]) => !['date', 'last-modified', 'content-length', 'x-request-id'].includes(name))
    .map(
      ([name, value]) =>
        `${name}: ${value.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, 'UUID').replace(/http:\/\/[^/]+/, '')}`,
    )

async function answer(server: TestServer, who: Who, { method, path, ...more }: Step): Promise<string> {
  const { status, headers, text } = await send(server, who, method, encodeURI(path), more)
  const next = /"relation":"next","url":"([^"]*)"/.exec(text)?.[1]
  const rest = next ? await send(server, who, 'GET', next.slice(server.baseUrl.length + 1)) : undefined
  return [
    status,
    ...headersOf(headers),
    plain(text, server),
    ...(rest ? [rest.status, plain(rest.text, server)] : []),
  ].join('\n')
}

test('the two worlds are not the same', async () => {
  const one = await startAccessServer()
  await load(one, hiddenFromAll)
  expect((await send(one, undefined, 'GET', 'Observation?code=hidden-1&_summary=count')).text).toContain('"total":1')
  await one.close()
})

test.each(Object.keys(callers))('to the %s they are', async (name) => {
  const [one, other] = [await startAccessServer(), await startAccessServer()]
  try {
    await load(one, [])
    await load(other, [...hiddenFromAll, ...(hiddenFrom[name] ?? [])])
    let found = 0
    for (const step of program()) {
      const [expected, actual] = await Promise.all([
        answer(one, callers[name]!, step),
        answer(other, callers[name]!, step),
      ])
      if (actual !== expected)
        throw new Error(
          `${step.method} ${step.path} (SEED=${seed})\n${JSON.stringify(step.body)}\n${expected}\n≠\n${actual}`,
        )
      if (expected.startsWith('200')) found++
    }
    // Programs that only meet refusals would prove nothing.
    expect(found).toBeGreaterThan(name === 'peer' ? 0 : 20)
  } finally {
    await one.close()
    await other.close()
  }
})
