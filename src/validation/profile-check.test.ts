/** What a profile may ask, in the words of the specification. */
import { describe, expect, test } from '@jest/globals'
import type { Json, JsonObject, Resource } from '../fhir/index.js'
import { fitsPattern, isFixed } from './pattern.js'
import { Profiles } from './profiles.js'

const canonical = (name: string) => `http://profiles.test/StructureDefinition/${name}`
const plain = (type: string) => `http://hl7.org/fhir/StructureDefinition/${type}`

function definition(type: string, name: string, element: JsonObject[], more: JsonObject = {}): Resource {
  return {
    resourceType: 'StructureDefinition',
    url: canonical(name),
    title: name,
    type,
    baseDefinition: plain(type),
    differential: { element },
    ...more,
  }
}

type Given = { resource: JsonObject; definitions: Resource[]; valueSets?: Record<string, string[]> }

/** The issues by the first of the definitions, as `severity place: sentence`. */
async function issuesOf({ resource, definitions, valueSets = {} }: Given): Promise<string[]> {
  const profiles = new Profiles({
    definition: async (url) => definitions.find((each) => each['url'] === url),
    valueSet: async (url) => {
      const codes = valueSets[url]
      return codes && ((code, system) => codes.includes(system === undefined ? code : `${system}|${code}`))
    },
  })
  const issues = await profiles.issues(resource as Resource, { profiles: [String(definitions[0]!['url'])] })
  return issues.map(({ severity, expression, diagnostics }) => `${severity} ${expression}: ${diagnostics}`)
}

const errorsOf = async (given: Given) => (await issuesOf(given)).filter((each) => each.startsWith('error'))

const sliced = (path: string, type: string, at: string, more: JsonObject = {}): JsonObject => ({
  id: path,
  path,
  slicing: { discriminator: [{ type, path: at }], rules: 'open', ...more },
})

const slice = (path: string, sliceName: string, more: JsonObject = {}): JsonObject => ({
  id: `${path}:${sliceName}`,
  path,
  sliceName,
  ...more,
})

const inSlice = (path: string, sliceName: string, child: string, more: JsonObject): JsonObject => ({
  id: `${path}:${sliceName}.${child}`,
  path: `${path}.${child}`,
  ...more,
})

describe('discriminators (profiling.html#discriminator)', () => {
  describe('value: the slices have different values in the nominated element', () => {
    const path = 'Patient.identifier'
    const definitions = [
      definition('Patient', 'identified', [
        sliced(path, 'value', 'system'),
        slice(path, 'national', { min: 1, max: '1' }),
        inSlice(path, 'national', 'system', { fixedUri: 'urn:national' }),
        inSlice(path, 'national', 'value', { min: 1 }),
      ]),
    ]
    const patient = (...identifier: Json[]): JsonObject => ({ resourceType: 'Patient', identifier })
    test.each<[string, JsonObject, number]>([
      ['the one of the slice', patient({ system: 'urn:national', value: '1' }), 0],
      ['others are allowed beside it', patient({ system: 'urn:other' }, { system: 'urn:national', value: '1' }), 0],
      ['it is missing', patient({ system: 'urn:other', value: '1' }), 1],
      ['it is there twice', patient({ system: 'urn:national', value: '1' }, { system: 'urn:national', value: '2' }), 1],
      ['what the slice asks is missing', patient({ system: 'urn:national' }), 1],
    ])('%s', async (_, resource, count) => expect(await errorsOf({ resource, definitions })).toHaveLength(count))
  })

  test('pattern: as value, by a pattern', async () => {
    const path = 'Observation.category'
    const definitions = [
      definition('Observation', 'vital', [
        sliced(path, 'pattern', '$this'),
        slice(path, 'vs', { min: 1, patternCodeableConcept: { coding: [{ system: 's', code: 'vital' }] } }),
      ]),
    ]
    const observation = (code: string) => ({
      resourceType: 'Observation',
      category: [{ coding: [{ system: 's', code, display: 'any' }] }],
    })
    expect(await errorsOf({ resource: observation('vital'), definitions })).toEqual([])
    expect(await errorsOf({ resource: observation('lab'), definitions })).toHaveLength(1)
  })

  test('value by a binding: "a required binding" tells slices apart', async () => {
    const path = 'Observation.component'
    const definitions = [
      definition('Observation', 'bound', [
        sliced(path, 'value', 'code'),
        slice(path, 'a', { max: '1' }),
        inSlice(path, 'a', 'code', { binding: { strength: 'required', valueSet: 'http://vs' } }),
      ]),
    ]
    const component = ['1', '2'].map((code) => ({ code: { coding: [{ system: 's', code }] } }))
    const given = { resource: { resourceType: 'Observation', component }, definitions }
    expect(await errorsOf({ ...given, valueSets: { 'http://vs': ['s|1'] } })).toEqual([])
    expect(await errorsOf({ ...given, valueSets: { 'http://vs': ['s|1', 's|2'] } })).toHaveLength(1)
  })

  test('exists: "one of the slices has min=1, the other max=0"', async () => {
    const path = 'Patient.contact'
    const definitions = [
      definition('Patient', 'contacted', [
        sliced(path, 'exists', 'name'),
        slice(path, 'named', { max: '1' }),
        inSlice(path, 'named', 'name', { min: 1 }),
        slice(path, 'nameless', { max: '0' }),
        inSlice(path, 'nameless', 'name', { max: '0' }),
      ]),
    ]
    const patient = (...contact: JsonObject[]) => ({ resourceType: 'Patient', contact })
    expect(await errorsOf({ resource: patient({ name: { text: 'A' } }), definitions })).toEqual([])
    expect(await errorsOf({ resource: patient({ gender: 'male' }), definitions })).toHaveLength(1)
    const two = patient({ name: { text: 'A' } }, { name: { text: 'B' } })
    expect(await errorsOf({ resource: two, definitions })).toHaveLength(1)
  })

  test('type: "the slices are differentiated by type of the nominated element", of value[x]', async () => {
    const definitions = [
      definition('Observation', 'measured', [
        sliced('Observation.value[x]', 'type', '$this', { rules: 'closed' }),
        slice('Observation.value[x]', 'valueQuantity', { type: [{ code: 'Quantity' }] }),
        inSlice('Observation.value[x]', 'valueQuantity', 'unit', { min: 1 }),
      ]),
    ]
    const observation = (value: JsonObject) => ({ resourceType: 'Observation', ...value })
    expect(await errorsOf({ resource: observation({ valueQuantity: { unit: 'kg' } }), definitions })).toEqual([])
    expect(await errorsOf({ resource: observation({ valueQuantity: {} }), definitions })).toHaveLength(1)
    expect(await errorsOf({ resource: observation({ valueString: 'x' }), definitions })).toHaveLength(1)
  })

  test('type with resolve(): of what the reference leads to', async () => {
    const path = 'Observation.performer'
    const target = (type: string) => ({ type: [{ code: 'Reference', targetProfile: [plain(type)] }] })
    const definitions = [
      definition('Observation', 'performed', [
        sliced(path, 'type', 'resolve()'),
        slice(path, 'person', { max: '1', ...target('Practitioner') }),
        slice(path, 'place', { min: 1, ...target('Organization') }),
      ]),
    ]
    const observation = (...performer: string[]) => ({
      resourceType: 'Observation',
      performer: performer.map((reference) => ({ reference })),
    })
    expect(await errorsOf({ resource: observation('Organization/1', 'Practitioner/1'), definitions })).toEqual([])
    expect(await errorsOf({ resource: observation('Practitioner/1'), definitions })).toHaveLength(1)
  })

  test('profile: "by conformance of the nominated element to a specified profile"', async () => {
    const path = 'Bundle.entry'
    const definitions = [
      definition('Bundle', 'delivery', [
        sliced(path, 'profile', 'resource'),
        slice(path, 'named', { min: 1, max: '1' }),
        inSlice(path, 'named', 'resource', { type: [{ code: 'Patient', profile: [canonical('named')] }] }),
      ]),
      definition('Patient', 'named', [{ id: 'Patient.name', path: 'Patient.name', min: 1 }]),
    ]
    const bundle = (...resources: JsonObject[]) => ({
      resourceType: 'Bundle',
      entry: resources.map((resource) => ({ resource })),
    })
    const named = { resourceType: 'Patient', name: [{ text: 'A' }] }
    expect(await errorsOf({ resource: bundle(named, { resourceType: 'Patient' }), definitions })).toEqual([])
    expect(await errorsOf({ resource: bundle({ resourceType: 'Patient' }), definitions })).toHaveLength(1)
  })

  test('extensions are sliced by url', async () => {
    const path = 'Patient.extension'
    const definitions = [
      definition('Patient', 'extended', [
        sliced(path, 'value', 'url'),
        slice(path, 'mark', { min: 1, type: [{ code: 'Extension', profile: [canonical('mark')] }] }),
      ]),
      definition('Extension', 'mark', [
        { id: 'Extension', path: 'Extension' },
        { id: 'Extension.url', path: 'Extension.url', fixedUri: canonical('mark') },
        { id: 'Extension.value[x]', path: 'Extension.value[x]', min: 1, type: [{ code: 'string' }] },
      ]),
    ]
    const patient = (...extension: JsonObject[]) => ({ resourceType: 'Patient', extension })
    const right = patient({ url: canonical('mark'), valueString: 'x' })
    const wrong = patient({ url: canonical('mark'), valueInteger: 1 })
    expect(await errorsOf({ resource: right, definitions })).toEqual([])
    expect((await errorsOf({ resource: wrong, definitions }))[0]).toContain('Patient.extension[0].value')
    expect(await errorsOf({ resource: patient({ url: 'urn:other' }), definitions })).toHaveLength(1)
  })
})

describe('slicing rules', () => {
  const path = 'Patient.telecom'
  const definitions = (rules: JsonObject) => [
    definition('Patient', 'called', [
      sliced(path, 'value', 'system', rules),
      slice(path, 'phone'),
      inSlice(path, 'phone', 'system', { fixedCode: 'phone' }),
      slice(path, 'email'),
      inSlice(path, 'email', 'system', { fixedCode: 'email' }),
    ]),
  ]
  const patient = (...systems: string[]) => ({
    resourceType: 'Patient',
    telecom: systems.map((system) => ({ system })),
  })
  test.each<[string, JsonObject, string[], number]>([
    ['closed: "no additional content is allowed"', { rules: 'closed' }, ['phone', 'fax'], 1],
    ['closed: what the slices describe', { rules: 'closed' }, ['email', 'phone'], 0],
    ['open: "additional content is allowed anywhere"', { rules: 'open' }, ['fax', 'phone'], 0],
    ['openAtEnd: "only at the end of the list"', { rules: 'openAtEnd', ordered: true }, ['phone', 'fax'], 0],
    ['openAtEnd: not before a slice', { rules: 'openAtEnd', ordered: true }, ['fax', 'phone'], 1],
    ['ordered: "the same order as the slices"', { ordered: true }, ['phone', 'email'], 0],
    ['ordered: not in another', { ordered: true }, ['email', 'phone'], 1],
  ])('%s', async (_, rules, systems, count) =>
    expect(await errorsOf({ resource: patient(...systems), definitions: definitions(rules) })).toHaveLength(count),
  )

  test('a slice sliced again: its slices count within it', async () => {
    const elements = [
      sliced(path, 'value', 'system'),
      slice(path, 'phone', { slicing: { discriminator: [{ type: 'value', path: 'use' }], rules: 'open' } }),
      inSlice(path, 'phone', 'system', { fixedCode: 'phone' }),
      slice(path, 'phone/home', { max: '1' }),
      inSlice(path, 'phone/home', 'use', { fixedCode: 'home' }),
    ]
    const resource = (...uses: string[]) => ({
      resourceType: 'Patient',
      telecom: [{ system: 'email', use: 'home' }, ...uses.map((use) => ({ system: 'phone', use }))],
    })
    const given = [definition('Patient', 'resliced', elements)]
    expect(await errorsOf({ resource: resource('home', 'work'), definitions: given })).toEqual([])
    expect(await errorsOf({ resource: resource('home', 'home'), definitions: given })).toHaveLength(1)
  })

  test('@default: what fits no other slice', async () => {
    const elements = [
      sliced(path, 'value', 'system', { rules: 'closed' }),
      slice(path, 'phone'),
      inSlice(path, 'phone', 'system', { fixedCode: 'phone' }),
      slice(path, '@default', { max: '1' }),
    ]
    const given = [definition('Patient', 'rest', elements)]
    expect(await errorsOf({ resource: patient('phone', 'fax'), definitions: given })).toEqual([])
    expect(await errorsOf({ resource: patient('email', 'fax'), definitions: given })).toHaveLength(1)
  })
})

describe('extensions', () => {
  const mark = (more: JsonObject, root: JsonObject = {}) => [
    definition('Patient', 'any', [{ id: 'Patient', path: 'Patient' }]),
    definition(
      'Extension',
      'mark',
      [
        { id: 'Extension', path: 'Extension', ...root },
        { id: 'Extension.url', path: 'Extension.url', fixedUri: canonical('mark') },
      ],
      more,
    ),
  ]
  const extension = [{ url: canonical('mark'), valueString: 'x' }]
  const context = (expression: string, type = 'element') => ({ context: [{ type, expression }] })
  test.each<[string, Resource[], JsonObject, number]>([
    ['in its context', mark(context('Patient')), { extension }, 0],
    ['in another', mark(context('Observation')), { extension }, 1],
    ['Element is any', mark(context('Element')), { extension }, 0],
    ['of an element by path', mark(context('Patient.name')), { name: [{ text: 'x', extension }] }, 0],
    ['of an element by type', mark(context('HumanName')), { name: [{ text: 'x', extension }] }, 0],
    ['of a part of a type', mark(context('HumanName.text')), { name: [{ text: 'x', _text: { extension } }] }, 0],
    ['of a primitive by type', mark(context('date')), { birthDate: '2000', _birthDate: { extension } }, 0],
    ['not of another primitive', mark(context('date')), { active: true, _active: { extension } }, 1],
    ['within another extension', mark(context('urn:a', 'extension')), { extension: [{ url: 'urn:a', extension }] }, 0],
    ['not within a third', mark(context('urn:b', 'extension')), { extension: [{ url: 'urn:a', extension }] }, 1],
    ['once only', mark(context('Patient'), { max: '1' }), { extension: [...extension, ...extension] }, 1],
    ['not as a modifier', mark(context('Patient')), { modifierExtension: extension }, 1],
    ['a modifier not among others', mark(context('Patient'), { isModifier: true }), { extension }, 1],
    ['a modifier', mark(context('Patient'), { isModifier: true }), { modifierExtension: extension }, 0],
    ['unknown ones pass', mark(context('Patient')), { extension: [{ url: 'urn:unknown', valueString: 'x' }] }, 0],
  ])('%s', async (_, definitions, members, count) =>
    expect(await errorsOf({ resource: { resourceType: 'Patient', ...members }, definitions })).toHaveLength(count),
  )

  test('an unknown modifier extension is warned of', async () => {
    const resource = { resourceType: 'Patient', modifierExtension: [{ url: 'urn:unknown', valueString: 'x' }] }
    expect(await issuesOf({ resource, definitions: mark({}) })).toEqual([expect.stringMatching(/^warning Patient/)])
  })
})

describe('bindings', () => {
  const bound = (strength: string) => [
    definition('Observation', 'coded', [
      { id: 'Observation.code', path: 'Observation.code', binding: { strength, valueSet: 'http://vs' } },
    ]),
  ]
  const valueSets = { 'http://vs': ['s|1'] }
  const coded = (code: JsonObject) => ({ resourceType: 'Observation', code })
  test.each<[string, JsonObject, string[]]>([
    [
      'required',
      {
        coding: [
          { system: 's', code: '2' },
          { system: 's', code: '1' },
        ],
      },
      [],
    ],
    ['required', { coding: [{ system: 's', code: '2' }] }, ['error']],
    ['required', { text: 'only text' }, ['error']],
    ['extensible', { coding: [{ system: 's', code: '2' }] }, ['warning']],
    ['extensible', { text: 'only text' }, []],
    ['preferred', { coding: [{ system: 's', code: '2' }] }, []],
  ])('%s: %j', async (strength, code, severities) => {
    const issues = await issuesOf({ resource: coded(code), definitions: bound(strength), valueSets })
    expect(issues.map((each) => each.split(' ')[0])).toEqual(severities)
  })
})

describe('derivation', () => {
  test('a profile of a profile asks for both', async () => {
    const definitions = [
      definition('Patient', 'both', [{ id: 'Patient.gender', path: 'Patient.gender', min: 1 }], {
        baseDefinition: canonical('born'),
      }),
      definition('Patient', 'born', [{ id: 'Patient.birthDate', path: 'Patient.birthDate', min: 1 }]),
    ]
    expect(await errorsOf({ resource: { resourceType: 'Patient' }, definitions })).toHaveLength(2)
  })

  test('one that is derived from itself is told of, and nothing hangs', async () => {
    const definitions = [definition('Patient', 'self', [], { baseDefinition: canonical('self') })]
    const [issue] = await errorsOf({ resource: { resourceType: 'Patient' }, definitions })
    expect(issue).toContain('derived from itself')
  })
})

describe('fixed and pattern (elementdefinition.html)', () => {
  const concept = { coding: [{ system: 's', code: '1' }] }
  const more = { coding: [{ system: 's', code: '1', display: 'One' }], text: 'One' }
  test.each<[string, Json, Json, boolean, boolean]>([
    ['the same', concept, concept, true, true],
    ['"a pattern may have additional elements"', more, concept, false, true],
    ['an item more', { coding: [{ code: 'x' }, { system: 's', code: '1' }] }, concept, false, true],
    ['another value', { coding: [{ system: 's', code: '2' }] }, concept, false, false],
    ['a part is missing', { coding: [{ code: '1' }] }, concept, false, false],
    ['a primitive', 'a', 'a', true, true],
    ['a primitive in another case', 'A', 'a', false, false],
  ])('%s', (_, value, given, fixed, pattern) => {
    expect(isFixed(value, given)).toBe(fixed)
    expect(fitsPattern(value, given)).toBe(pattern)
  })
})
