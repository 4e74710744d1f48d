/**
 * Real records: some of Synthea's transaction bundles, loaded, counted and searched; a plain scan of the files is the judge.
 *
 * https://synthetichealth.github.io/synthea/
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { beforeAll, describe, expect, test } from '@jest/globals'
import type {
  Bundle,
  CodeableConcept,
  Condition,
  Encounter,
  FhirResource,
  MedicationRequest,
  Observation,
  Patient,
} from 'fhir/r4.js'
import { allPages, bundle, entriesOf, get, idsIn, ours, post, refsIn } from '../server.js'

const folder = new URL('../../../shared/data/synthea/', import.meta.url)
const is = existsSync(folder) && ours ? describe : describe.skip

is('six Synthea bundles (../shared/data/synthea)', () => {
  let resources: FhirResource[]
  /** The id under which each was stored, by the URL it had in its file. */
  const stored = new Map<string, string>()

  beforeAll(async () => {
    const names = readdirSync(folder)
      .filter((name) => name.endsWith('.json.gz'))
      .sort()
    const bundles = [
      ...names.filter((name) => name.startsWith('0-')),
      ...names.filter((name) => !name.startsWith('0-')).slice(0, 4),
    ].map((name) => JSON.parse(gunzipSync(readFileSync(new URL(name, folder))).toString()) as Bundle)
    for (const each of bundles) {
      const answer = await post('', each)
      expect([answer.status, answer.status === 200 ? '' : answer.text.slice(0, 2000)]).toEqual([200, ''])
      const { entry = [] } = JSON.parse(answer.text) as Bundle
      each.entry!.forEach(({ fullUrl }, index) => {
        stored.set(fullUrl!, entry[index]!.response!.location!.replace(/^.*?([A-Za-z]+\/[^/]+)\/_history.*$/, '$1'))
      })
    }
    resources = bundles.flatMap(({ entry = [] }) => entry.map(({ resource }) => resource as FhirResource))
  }, 120_000)

  const all = <T extends FhirResource>(type: T['resourceType']): T[] =>
    resources.filter((each) => each.resourceType === type) as T[]

  /** `Type/id` as stored, of what a reference or an id in the files means. */
  const ref = (id: string | undefined): string => stored.get(`urn:uuid:${id}`) ?? `not stored: ${id}`

  test('as many of each type as in the files', async () => {
    const counts = new Map<string, number>()
    for (const { resourceType } of resources) counts.set(resourceType, (counts.get(resourceType) ?? 0) + 1)
    for (const [type, count] of counts)
      expect([type, (await bundle(`${type}?_summary=count`)).total]).toEqual([type, count])
    expect(stored.size).toBe(resources.length)
  })

  const found = async (query: string) =>
    (await allPages(query))
      .flatMap((page) => entriesOf(page, 'match'))
      .map(({ resource }) => `${resource?.resourceType}/${resource?.id}`)
      .sort()
  const scanned = <T extends FhirResource>(type: T['resourceType'], matches: (resource: T) => boolean) =>
    all<T>(type)
      .filter(matches)
      .map(({ id }) => ref(id))
      .sort()

  const hasCode =
    (code: string) =>
    ({ code: concept }: { code?: CodeableConcept | undefined }) =>
      concept?.coding?.some((coding) => coding.code === code) ?? false
  const time = (text: string | undefined) => Date.parse(text ?? '')

  test('a dozen searches find what a plain scan finds', async () => {
    const someone = all<Patient>('Patient')[0]!
    const someoneRef = ref(someone.id)
    const [weight] = all<Observation>('Observation').filter(hasCode('29463-7'))
    const family = someone.name![0]!.family!
    const value = weight!.valueQuantity!.value!
    const checks: [query: string, expected: string[]][] = [
      ['Patient?gender=female', scanned<Patient>('Patient', ({ gender }) => gender === 'female')],
      [
        `Patient?family:exact=${encodeURIComponent(family)}`,
        scanned<Patient>('Patient', ({ name = [] }) => name.some((each) => each.family === family)),
      ],
      ['Patient?birthdate=lt1980', scanned<Patient>('Patient', ({ birthDate = '' }) => birthDate < '1980')],
      ['Patient?deceased=true', scanned<Patient>('Patient', ({ deceasedDateTime }) => deceasedDateTime !== undefined)],
      [
        `Observation?patient=${someoneRef}`,
        scanned<Observation>('Observation', ({ subject }) => subject?.reference === `urn:uuid:${someone.id}`),
      ],
      ['Observation?code=http://loinc.org%7C29463-7', scanned<Observation>('Observation', hasCode('29463-7'))],
      [
        `Observation?code-value-quantity=29463-7$gt${value}`,
        scanned<Observation>(
          'Observation',
          (each) => hasCode('29463-7')(each) && (each.valueQuantity?.value ?? 0) > value,
        ),
      ],
      [
        'Observation?component-code-value-quantity=8480-6$gt120&_count=200',
        scanned<Observation>('Observation', ({ component = [] }) =>
          component.some((each) => hasCode('8480-6')(each) && (each.valueQuantity?.value ?? 0) > 120),
        ),
      ],
      [
        'Observation?date=ge2015&date=lt2018&category=vital-signs&_count=500',
        scanned<Observation>(
          'Observation',
          ({ effectiveDateTime, category = [] }) =>
            time(effectiveDateTime) >= time('2015-01-01T00:00:00Z') &&
            time(effectiveDateTime) < time('2018-01-01T00:00:00Z') &&
            category.some(({ coding = [] }) => coding.some(({ code }) => code === 'vital-signs')),
        ),
      ],
      ['Encounter?class=AMB&_count=500', scanned<Encounter>('Encounter', (each) => each.class.code === 'AMB')],
      [
        'Condition?clinical-status=active',
        scanned<Condition>('Condition', ({ clinicalStatus }) => clinicalStatus?.coding?.[0]?.code === 'active'),
      ],
      [
        'MedicationRequest?status=stopped&_count=100',
        scanned<MedicationRequest>('MedicationRequest', ({ status }) => status === 'stopped'),
      ],
      [
        `Encounter?patient.family:exact=${encodeURIComponent(family)}&_count=500`,
        scanned<Encounter>('Encounter', ({ subject }) =>
          all<Patient>('Patient').some(
            ({ id, name = [] }) =>
              subject?.reference === `urn:uuid:${id}` && name.some((each) => each.family === family),
          ),
        ),
      ],
      [
        'Patient?_has:Observation:patient:code=29463-7',
        [
          ...new Set(
            all<Observation>('Observation')
              .filter(hasCode('29463-7'))
              .map(({ subject }) => stored.get(subject!.reference!)!),
          ),
        ].sort(),
      ],
    ]
    for (const [query, expected] of checks) expect([query, await found(query)]).toEqual([query, expected])
    expect(checks.filter(([, expected]) => expected.length > 0).length).toBeGreaterThan(10)
  })

  test('$everything of a patient has all of the bundle that is about the patient, once', async () => {
    const [someone] = all<Patient>('Patient')
    const answer = await bundle(`${ref(someone!.id)}/$everything`)
    const refs = refsIn(answer)
    expect(new Set(refs).size).toBe(refs.length)
    const about = resources
      .filter((each) => JSON.stringify(each).includes(`"urn:uuid:${someone!.id}"`) || each.id === someone!.id)
      .map(({ id }) => ref(id))
    expect(about.filter((each) => !refs.includes(each))).toEqual([])
    for (const { resource } of entriesOf(answer))
      if (resource?.resourceType === 'Patient') expect(`Patient/${resource.id}`).toBe(ref(someone!.id))
  })

  test('every resource comes back with its content', async () => {
    for (const each of resources.filter((_, index) => index % 97 === 0)) {
      const { id: _id, meta: _meta, ...sent } = each
      let text = JSON.stringify(sent)
      for (const [from, to] of stored) text = text.replaceAll(`"${from}"`, `"${to}"`)
      const { id: _i, meta: _m, ...back } = JSON.parse((await get(ref(each.id))).text)
      const conditional = /"[A-Z][A-Za-z]+\?identifier=[^"]+"/g
      expect(JSON.stringify(back).length).toBeGreaterThan(0)
      if (!conditional.test(text)) expect(back).toEqual(JSON.parse(text))
    }
  })

  test('pages of all Observations are all Observations, once', async () => {
    const ids = (await allPages('Observation?_count=500&_sort=-date')).flatMap(idsIn)
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids).toHaveLength(all('Observation').length)
  })
})
