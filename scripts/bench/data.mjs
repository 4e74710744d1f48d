/**
 * Invented patients with records the size of Synthea's, the same for every seed.
 *
 * A patient is a transaction bundle: Patient, and for every visit an Encounter and its Observations.
 */

const families = ['Achieng', 'Banda', 'Chirwa', 'Dlamini', 'Eze', 'Farah', 'Gomes', 'Haile', 'Ibrahim', 'Juma']
const given = ['Amina', 'Blessing', 'Chipo', 'Daniel', 'Esther', 'Farai', 'Grace', 'Hassan', 'Imani', 'Joseph']
const codes = [
  ['8480-6', 'Systolic blood pressure', 'mm[Hg]', 90, 180],
  ['8462-4', 'Diastolic blood pressure', 'mm[Hg]', 50, 110],
  ['8867-4', 'Heart rate', '/min', 50, 120],
  ['29463-7', 'Body weight', 'kg', 40, 110],
  ['8302-2', 'Body height', 'cm', 140, 200],
  ['8310-5', 'Body temperature', 'Cel', 35, 40],
  ['2339-0', 'Glucose [Mass/volume] in Blood', 'mg/dL', 60, 200],
  ['718-7', 'Hemoglobin [Mass/volume] in Blood', 'g/dL', 7, 18],
  ['6690-2', 'Leukocytes [#/volume] in Blood by Automated count', '10*3/uL', 2, 15],
  ['2160-0', 'Creatinine [Mass/volume] in Serum or Plasma', 'mg/dL', 0.3, 3],
]

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function random(seed) {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

/** The transaction of one patient with `observations` Observations, ten to a visit. */
export function patientBundle(number, observations) {
  const next = random(number + 1)
  const pick = (list) => list[Math.floor(next() * list.length)]
  const patient = `bench-${number}`
  const entries = [
    {
      resourceType: 'Patient',
      id: patient,
      identifier: [{ system: 'https://hospital.example/mrn', value: `MRN-${number}` }],
      name: [{ use: 'official', family: pick(families), given: [pick(given)] }],
      gender: number % 2 ? 'female' : 'male',
      birthDate: `${1940 + Math.floor(next() * 70)}-0${1 + Math.floor(next() * 9)}-1${Math.floor(next() * 9)}`,
      address: [{ line: ['1 Test Street'], city: 'Kisumu', country: 'KE' }],
    },
  ]
  for (let i = 0; i < observations; i++) {
    const visit = Math.floor(i / 10)
    const when = new Date(Date.UTC(2020, 0, 1 + visit * 7, 8, i % 60)).toISOString().replace('.000Z', '+00:00')
    if (i % 10 === 0)
      entries.push({
        resourceType: 'Encounter',
        id: `${patient}-v${visit}`,
        status: 'finished',
        class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'AMB' },
        subject: { reference: `Patient/${patient}` },
        period: { start: when, end: when },
      })
    entries.push(observation(next, `${patient}-o${i}`, patient, `${patient}-v${visit}`, when))
  }
  return {
    resourceType: 'Bundle',
    type: 'transaction',
    entry: entries.map((resource) => ({
      fullUrl: `https://hospital.example/fhir/${resource.resourceType}/${resource.id}`,
      resource,
      request: { method: 'PUT', url: `${resource.resourceType}/${resource.id}` },
    })),
  }
}

/** One vital sign or laboratory value; without an id it can be posted. */
export function observation(next, id, patient, encounter, when) {
  const [code, display, unit, low, high] = codes[Math.floor(next() * codes.length)]
  return {
    resourceType: 'Observation',
    ...(id && { id }),
    status: 'final',
    category: [
      {
        coding: [
          {
            system: 'http://terminology.hl7.org/CodeSystem/observation-category',
            code: 'vital-signs',
            display: 'vital-signs',
          },
        ],
      },
    ],
    code: { coding: [{ system: 'http://loinc.org', code, display }], text: display },
    subject: { reference: `Patient/${patient}` },
    encounter: { reference: `Encounter/${encounter}` },
    effectiveDateTime: when,
    issued: when.replace('+00:00', '.000+00:00'),
    valueQuantity: {
      value: Math.round((low + next() * (high - low)) * 10) / 10,
      unit,
      system: 'http://unitsofmeasure.org',
      code: unit,
    },
    note: [
      { text: 'Taken at rest after five minutes. The cuff was of the right size; the person was seated and calm.' },
    ],
  }
}
