import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import {
  applyFhirPathPatch,
  FhirError,
  type Json,
  type JsonObject,
  parseJson,
  type Resource,
  writeJson,
} from './index.js'

const resource = (text: string) => parseJson(text) as Resource

const patient = resource(`{
  "resourceType": "Patient",
  "id": "1",
  "contained": [{"resourceType": "Organization", "id": "o", "name": "North"}],
  "extension": [{"url": "urn:weight", "valueDecimal": 1.00}],
  "identifier": [{"system": "urn:a", "value": "1"}, {"system": "urn:b", "value": "2"}],
  "active": true,
  "name": [
    {"use": "official", "family": "Oduya", "given": ["a", null, "c"], "_given": [{"id": "g"}, {"extension": [{"url": "urn:m", "valueCode": "masked"}]}, null]},
    {"use": "usual", "text": "x"}
  ],
  "birthDate": "1970-03-30",
  "_birthDate": {"extension": [{"url": "urn:t", "valueDateTime": "1970-03-30T10:00:00Z"}]},
  "deceasedBoolean": false,
  "contact": [{"name": {"text": "y"}, "gender": "female"}],
  "managingOrganization": {"reference": "#o"}
}`)

type Part = { name: string } & JsonObject

const operation = (type: string, path: string, ...parts: Part[]): JsonObject => ({
  name: 'operation',
  part: [{ name: 'type', valueCode: type }, { name: 'path', valueString: path }, ...parts],
})
const parameters = (...operations: Json[]): Resource => ({ resourceType: 'Parameters', parameter: operations })

const add = (path: string, name: string, value: JsonObject) =>
  operation('add', path, { name: 'name', valueString: name }, { name: 'value', ...value })
const insert = (path: string, index: number, value: JsonObject) =>
  operation('insert', path, { name: 'index', valueInteger: index }, { name: 'value', ...value })
const remove = (path: string) => operation('delete', path)
const replace = (path: string, value: JsonObject) => operation('replace', path, { name: 'value', ...value })
const move = (path: string, source: number, destination: number) =>
  operation('move', path, { name: 'source', valueInteger: source }, { name: 'destination', valueInteger: destination })

/** An extension is no type of Parameters.parameter.value[x], so it is given in parts. */
const extension = (url: string, ...values: JsonObject[]): JsonObject => ({
  part: [{ name: 'url', valueUri: url }, ...values.map((value) => ({ name: 'value', ...value }))],
})

const refusal = (...operations: Json[]): FhirError => {
  try {
    applyFhirPathPatch(patient, parameters(...operations))
  } catch (error) {
    if (error instanceof FhirError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

const text = writeJson(patient)

// https://hl7.org/fhir/R4/fhirpatch.html
describe('operations', () => {
  test.each<[string, JsonObject, string, string]>([
    [
      'add an element',
      add('Patient', 'gender', { valueCode: 'male' }),
      '"managingOrganization":{"reference":"#o"}}',
      '"managingOrganization":{"reference":"#o"},"gender":"male"}',
    ],
    [
      'add to a list',
      add('Patient', 'identifier', { valueIdentifier: { value: '3' } }),
      '"value":"2"}]',
      '"value":"2"},{"value":"3"}]',
    ],
    [
      'add to a list that is not there',
      add('Patient.name[1]', 'given', { valueString: 'z' }),
      '"text":"x"}',
      '"text":"x","given":["z"]}',
    ],
    [
      'add to a list of primitives with extensions',
      add('Patient.name[0]', 'given', { valueString: 'd' }),
      '"given":["a",null,"c"],"_given":[{"id":"g"},{"extension":[{"url":"urn:m","valueCode":"masked"}]},null]',
      '"given":["a",null,"c","d"],"_given":[{"id":"g"},{"extension":[{"url":"urn:m","valueCode":"masked"}]},null,null]',
    ],
    [
      'add to what a path finds',
      add(
        "Patient.extension[0].where(url = 'urn:weight').extension | Patient.contact",
        'extension',
        extension('urn:x', { valueCode: 'y' }),
      ),
      '"gender":"female"}',
      '"gender":"female","extension":[{"url":"urn:x","valueCode":"y"}]}',
    ],
    [
      'add an extension to a primitive',
      add('Patient.birthDate', 'extension', extension('urn:u')),
      '10:00:00Z"}]}',
      '10:00:00Z"},{"url":"urn:u"}]}',
    ],
    [
      'add the first extension of a primitive',
      add('Patient.active', 'extension', extension('urn:u')),
      '"active":true',
      '"active":true,"_active":{"extension":[{"url":"urn:u"}]}',
    ],
    [
      'add an id to one of a list of primitives',
      add('Patient.name[0].given[2]', 'id', { valueString: 'i' }),
      ',null]}',
      ',{"id":"i"}]}',
    ],
    [
      'add a primitive with an extension',
      add('Patient', 'gender', { valueCode: 'male', _valueCode: { id: 'g' } }),
      '"#o"}}',
      '"#o"},"gender":"male","_gender":{"id":"g"}}',
    ],
    [
      'add within a contained resource',
      add('Patient.contained[0]', 'active', { valueBoolean: true }),
      '"North"',
      '"North","active":true',
    ],
    [
      'add within what a reference resolves to',
      add('Patient.managingOrganization.resolve()', 'active', { valueBoolean: true }),
      '"North"',
      '"North","active":true',
    ],
    [
      'add a contained resource',
      add('Patient', 'contained', { resource: { resourceType: 'Basic', id: 'b' } }),
      '"North"}',
      '"North"},{"resourceType":"Basic","id":"b"}',
    ],
    [
      'add an element without a type of its own',
      add('Patient', 'contact', {
        part: [
          { name: 'relationship', valueCodeableConcept: { text: 'r' } },
          { name: 'relationship', valueCodeableConcept: { text: 's' } },
          { name: 'organization', part: [{ name: 'reference', valueString: '#o' }] },
          { name: 'gender', valueCode: 'male' },
        ],
      }),
      '"gender":"female"}',
      '"gender":"female"},{"relationship":[{"text":"r"},{"text":"s"}],"organization":{"reference":"#o"},"gender":"male"}',
    ],
    [
      'insert before',
      insert('Patient.identifier', 0, { valueIdentifier: { value: '0' } }),
      '"identifier":[',
      '"identifier":[{"value":"0"},',
    ],
    [
      'insert after the last',
      insert('Patient.identifier', 2, { valueIdentifier: { value: '3' } }),
      '"2"}]',
      '"2"},{"value":"3"}]',
    ],
    [
      'insert into a list of primitives keeps the extensions beside their values',
      insert('Patient.name[0].given', 1, { valueString: 'b' }),
      '["a",null,"c"],"_given":[{"id":"g"},',
      '["a","b",null,"c"],"_given":[{"id":"g"},null,',
    ],
    [
      'insert into a list that is not there',
      insert('Patient.telecom', 0, { valueContactPoint: { value: '1' } }),
      '"#o"}}',
      '"#o"},"telecom":[{"value":"1"}]}',
    ],
    ['delete an element', remove('Patient.active'), '"active":true,', ''],
    [
      'delete a primitive with its extensions',
      remove('Patient.birthDate'),
      '"birthDate":"1970-03-30","_birthDate":{"extension":[{"url":"urn:t","valueDateTime":"1970-03-30T10:00:00Z"}]},',
      '',
    ],
    ['delete from a list', remove("Patient.identifier.where(system = 'urn:a')"), '{"system":"urn:a","value":"1"},', ''],
    [
      'delete from a list of primitives',
      remove('Patient.name[0].given[1]'),
      '["a",null,"c"],"_given":[{"id":"g"},{"extension":[{"url":"urn:m","valueCode":"masked"}]},null]',
      '["a","c"],"_given":[{"id":"g"},null]',
    ],
    [
      'delete the only one of a list',
      remove('Patient.extension'),
      '"extension":[{"url":"urn:weight","valueDecimal":1.00}],',
      '',
    ],
    ['delete a choice', remove('Patient.deceased'), '"deceasedBoolean":false,', ''],
    [
      'delete the last content of an element',
      remove('Patient.managingOrganization.reference'),
      ',"managingOrganization":{"reference":"#o"}',
      '',
    ],
    [
      'delete the only extension of a primitive',
      remove('Patient.birthDate.extension[0]'),
      ',"_birthDate":{"extension":[{"url":"urn:t","valueDateTime":"1970-03-30T10:00:00Z"}]}',
      '',
    ],
    [
      'delete the extension of a primitive that has no value',
      remove('Patient.name[0].given[1].extension'),
      '["a",null,"c"],"_given":[{"id":"g"},{"extension":[{"url":"urn:m","valueCode":"masked"}]},null]',
      '["a","c"],"_given":[{"id":"g"},null]',
    ],
    ['delete what is not there', remove('Patient.gender'), 'x', 'x'],
    ['replace a primitive', replace('Patient.active', { valueBoolean: false }), '"active":true', '"active":false'],
    [
      'replace a primitive and its extensions',
      replace('Patient.birthDate', { valueDate: '1971' }),
      '"birthDate":"1970-03-30","_birthDate":{"extension":[{"url":"urn:t","valueDateTime":"1970-03-30T10:00:00Z"}]}',
      '"birthDate":"1971"',
    ],
    [
      'replace one of a list of primitives',
      replace('Patient.name[0].given[0]', { valueString: 'A' }),
      '"given":["a",null,"c"],"_given":[{"id":"g"},',
      '"given":["A",null,"c"],"_given":[null,',
    ],
    [
      'replace a choice by another type',
      replace('Patient.deceased', { valueDateTime: '2020' }),
      '"deceasedBoolean":false',
      '"deceasedDateTime":"2020"',
    ],
    [
      'replace one of a list',
      replace("Patient.name.where(use = 'usual')", { valueHumanName: { text: 'z' } }),
      '{"use":"usual","text":"x"}',
      '{"text":"z"}',
    ],
    [
      'replace the value of an extension',
      replace('Patient.extension[0].value', { valueDecimal: parseJson('2.50') }),
      '1.00',
      '2.50',
    ],
    [
      'replace the id of an element',
      replace('Patient.name[0].given[0].id', { valueString: 'h' }),
      '"id":"g"',
      '"id":"h"',
    ],
    [
      'replace an element without a type of its own',
      replace('Patient.contact[0]', { part: [{ name: 'gender', valueCode: 'male' }] }),
      '{"name":{"text":"y"},"gender":"female"}',
      '{"gender":"male"}',
    ],
    [
      'replace with a type that specialises',
      replace('Patient.contact[0].gender', { valueString: 'male' }),
      '"female"',
      '"male"',
    ],
    [
      'move in a list',
      move('Patient.identifier', 0, 1),
      '{"system":"urn:a","value":"1"},{"system":"urn:b","value":"2"}',
      '{"system":"urn:b","value":"2"},{"system":"urn:a","value":"1"}',
    ],
    [
      'move in a list of primitives',
      move('Patient.name[0].given', 2, 0),
      '["a",null,"c"],"_given":[{"id":"g"},{"extension":[{"url":"urn:m","valueCode":"masked"}]},null]',
      '["c","a",null],"_given":[null,{"id":"g"},{"extension":[{"url":"urn:m","valueCode":"masked"}]}]',
    ],
    ['move to where it is', move('Patient.identifier', 1, 1), 'x', 'x'],
  ])('%s', (_, change, before, after) => {
    expect(text).toContain(before)
    expect(writeJson(applyFhirPathPatch(patient, parameters(change)))).toBe(text.replace(before, after))
    expect(writeJson(patient)).toBe(text)
  })

  test('an operation sees what those before it did', () => {
    const patched = applyFhirPathPatch(
      patient,
      parameters(
        add('Patient', 'telecom', { valueContactPoint: { system: 'phone' } }),
        add("Patient.telecom.where(system = 'phone')", 'value', { valueString: '1' }),
        remove('Patient.identifier[0]'),
        replace('Patient.identifier[0].value', { valueString: '9' }),
      ),
    )
    expect(patched['telecom']).toEqual([{ system: 'phone', value: '1' }])
    expect(patched['identifier']).toEqual([{ system: 'urn:b', value: '9' }])
  })

  test('a choice is added by its name or with its type', () => {
    const observation = resource('{"resourceType":"Observation","status":"final"}')
    const quantity = { valueQuantity: parseJson('{"value":1.0}') }
    for (const name of ['value', 'valueQuantity'])
      expect(writeJson(applyFhirPathPatch(observation, parameters(add('Observation', name, quantity))))).toBe(
        '{"resourceType":"Observation","status":"final","valueQuantity":{"value":1.0}}',
      )
    const valued = resource('{"resourceType":"Observation","valueString":"a"}')
    expect(() => applyFhirPathPatch(valued, parameters(add('Observation', 'value', quantity)))).toThrow('use replace')
  })

  test('the narrative is replaced by a string', () => {
    const basic = resource('{"resourceType":"Basic","text":{"status":"generated","div":"<div/>"}}')
    const div = '<div xmlns="http://www.w3.org/1999/xhtml">a</div>'
    expect(applyFhirPathPatch(basic, parameters(replace('Basic.text.div', { valueString: div })))['text']).toEqual({
      status: 'generated',
      div,
    })
  })

  test('resources in a bundle', () => {
    const bundle = resource(
      '{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","active":true}}]}',
    )
    expect(
      writeJson(
        applyFhirPathPatch(bundle, parameters(replace('Bundle.entry[0].resource.active', { valueBoolean: false }))),
      ),
    ).toBe(
      '{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","active":false}}]}',
    )
  })

  test('no operations', () => {
    expect(applyFhirPathPatch(patient, { resourceType: 'Parameters' })).toBe(patient)
    expect(applyFhirPathPatch(patient, parameters())).toBe(patient)
  })
})

describe('what does not fit the resource is 422', () => {
  test.each<[string, JsonObject]>([
    ['an element that is there already', add('Patient', 'active', { valueBoolean: false })],
    ['a choice that is there already', add('Patient', 'deceased', { valueDateTime: '2020' })],
    ['an element the type does not have', add('Patient', 'surname', { valueString: 'a' })],
    ['a choice with a type it does not have', add('Patient', 'deceased', { valueString: 'a' })],
    ['a value of another type', add('Patient', 'gender', { valueBoolean: true })],
    ['a value of another complex type', add('Patient', 'maritalStatus', { valueCoding: { code: 'M' } })],
    ['a complex value for a primitive', add('Patient', 'gender', { valueCoding: { code: 'M' } })],
    ['parts for a primitive', add('Patient', 'gender', { part: [{ name: 'value', valueString: 'a' }] })],
    ['parts for a choice', add('Patient', 'multipleBirth', { part: [{ name: 'value', valueString: 'a' }] })],
    ['a data type for a resource', add('Patient', 'contained', { valueHumanName: { text: 'a' } })],
    ['a resource for a data type', add('Patient', 'name', { resource: { resourceType: 'Basic' } })],
    ['parts an element does not have', add('Patient', 'contact', { part: [{ name: 'surname', valueString: 'a' }] })],
    ['a path that selects nothing to add to', add('Patient.maritalStatus', 'text', { valueString: 'a' })],
    ['a path that selects several to add to', add('Patient.name', 'text', { valueString: 'a' })],
    ['a path that selects a value to add to', add('Patient.name.count()', 'text', { valueString: 'a' })],
    ['a path that selects another type', add('Observation', 'status', { valueCode: 'final' })],
    ['a path to another resource', add("'Patient/2'.resolve()", 'active', { valueBoolean: true })],
    ['an element below a primitive', add('Patient.birthDate', 'value', { valueString: 'a' })],
    ['deleting several', remove('Patient.name')],
    ['deleting the resource', remove('Patient')],
    ['deleting a value', remove("'a'")],
    ['replacing nothing', replace('Patient.gender', { valueCode: 'male' })],
    ['replacing several', replace('Patient.name', { valueHumanName: { text: 'a' } })],
    ['replacing the resource', replace('Patient', { resource: { resourceType: 'Patient' } })],
    ['replacing by another type', replace('Patient.active', { valueString: 'true' })],
    ['inserting past the end', insert('Patient.identifier', 3, { valueIdentifier: { value: '3' } })],
    ['inserting past the end of nothing', insert('Patient.telecom', 1, { valueContactPoint: { value: '3' } })],
    ['inserting where there is no list', insert('Patient.maritalStatus', 0, { valueCodeableConcept: { text: '3' } })],
    ['inserting into a value', insert('Patient.active', 0, { valueBoolean: true })],
    [
      'inserting into a part of a list',
      insert("Patient.identifier.where(system = 'urn:b')", 0, { valueIdentifier: { value: '3' } }),
    ],
    ['inserting into several lists', insert('Patient.name.given | Patient.name.family', 0, { valueString: '3' })],
    [
      'inserting where a filter finds nothing',
      insert("Patient.identifier.where(system = 'urn:c')", 0, { valueIdentifier: { value: '3' } }),
    ],
    ['inserting another type', insert('Patient.identifier', 0, { valueCoding: { code: '3' } })],
    ['moving from past the end', move('Patient.identifier', 2, 0)],
    ['moving past the end', move('Patient.identifier', 0, 2)],
    ['moving in nothing', move('Patient.telecom', 0, 0)],
  ])('%s', (_, change) => {
    const error = refusal(remove('Patient.photo'), change)
    expect([error.status, error.issues[0]!.code, error.issues[0]!.expression]).toEqual([
      422,
      'processing',
      ['Parameters.parameter[1]'],
    ])
  })

  test('a resource of no type of R4', () => {
    expect(() => applyFhirPathPatch({ resourceType: 'Person2' }, parameters(remove('Person2.a')))).toThrow(FhirError)
  })

  test('what would become deeper than a resource may be', () => {
    let nested = extension('urn:x', { valueCode: 'a' })
    for (let i = 0; i < 30; i++)
      nested = {
        part: [
          { name: 'url', valueUri: 'urn:x' },
          { name: 'extension', ...nested },
        ],
      }
    const deepest = "Patient.descendants().where(value = 'a')"
    const error = refusal(add('Patient', 'extension', nested), add(deepest, 'extension', nested))
    expect([error.status, error.issues[0]!.expression]).toEqual([422, ['Parameters.parameter[1]']])
  })
})

describe('what is not written as the specification says is 400', () => {
  const valueless = { name: 'value' }
  test.each<[string, Json]>([
    ['null', null],
    ['a string', 'a'],
    ['another name', { ...remove('Patient.active'), name: 'op' }],
    ['no name', { part: [] }],
    ['no parts', { name: 'operation' }],
    ['parts that are no list', { name: 'operation', part: {} }],
    ['a part that is no object', { name: 'operation', part: ['a'] }],
    ['a part without a name', { name: 'operation', part: [{ valueCode: 'add' }] }],
    ['no type', { name: 'operation', part: [{ name: 'path', valueString: 'Patient' }] }],
    ['no path', { name: 'operation', part: [{ name: 'type', valueCode: 'delete' }] }],
    ['an unknown type', operation('remove', 'Patient.active')],
    ['a type of Object.prototype', operation('constructor', 'Patient.active')],
    ['two types', operation('delete', 'Patient.active', { name: 'type', valueCode: 'add' })],
    [
      'a path that is no string',
      {
        name: 'operation',
        part: [
          { name: 'type', valueCode: 'delete' },
          { name: 'path', valueInteger: 1 },
        ],
      },
    ],
    [
      'a path that is an extension',
      {
        name: 'operation',
        part: [
          { name: 'type', valueCode: 'delete' },
          { name: 'path', _valueString: { id: 'a' } },
        ],
      },
    ],
    ['a path that cannot be read', remove('Patient..name')],
    ['a path that cannot be evaluated', remove('Patient.name.nothing()')],
    ['a path that never ends', remove('(1).repeat($this + 1)')],
    ['an unknown part', operation('delete', 'Patient.active', { name: 'index', valueInteger: 1 })],
    ['no name to add', operation('add', 'Patient', { name: 'value', valueCode: 'a' })],
    ['no value to add', operation('add', 'Patient', { name: 'name', valueString: 'gender' })],
    ['an empty value', operation('add', 'Patient', { name: 'name', valueString: 'gender' }, valueless)],
    ['two values', add('Patient', 'gender', { valueCode: 'male', valueString: 'male' })],
    ['a value and parts', add('Patient', 'contact', { valueString: 'male', part: [] })],
    [
      'a value of a type that parameters do not have',
      add('Patient', 'extension', { valueExtension: { url: 'urn:x' } }),
    ],
    ['a value of an unknown type', add('Patient', 'gender', { valueGender: 'male' })],
    ['a resource that is none', add('Patient', 'contained', { resource: 'a' })],
    ['a companion of a complex value', add('Patient', 'name', { _valueHumanName: { id: 'a' } })],
    [
      'a part there twice that may be once',
      add('Patient', 'contact', {
        part: [
          { name: 'gender', valueCode: 'male' },
          { name: 'gender', valueCode: 'male' },
        ],
      }),
    ],
    [
      'no index to insert',
      operation('insert', 'Patient.identifier', { name: 'value', valueIdentifier: { value: 'a' } }),
    ],
    ['an index below 0', insert('Patient.identifier', -1, { valueIdentifier: { value: 'a' } })],
    ['an index that is no integer', insert('Patient.identifier', 0.5, { valueIdentifier: { value: 'a' } })],
    [
      'an index that is text',
      operation(
        'insert',
        'Patient.identifier',
        { name: 'index', valueString: '1' },
        { name: 'value', valueIdentifier: {} },
      ),
    ],
    [
      'an index of 20 digits',
      operation(
        'insert',
        'Patient.identifier',
        { name: 'index', valueInteger: parseJson('12345678901234567890') },
        { name: 'value', valueIdentifier: {} },
      ),
    ],
    ['no source to move', operation('move', 'Patient.identifier', { name: 'destination', valueInteger: 0 })],
    ['no destination to move', operation('move', 'Patient.identifier', { name: 'source', valueInteger: 0 })],
  ])('%s', (_, change) => {
    const error = refusal(change)
    expect([error.status, error.issues[0]!.expression]).toEqual([400, ['Parameters.parameter[0]']])
  })

  test('anything but Parameters', () => {
    expect(() => applyFhirPathPatch(patient, patient)).toThrow('Parameters')
    expect(() => applyFhirPathPatch(patient, { resourceType: 'Parameters', parameter: {} })).toThrow(FhirError)
    expect(refusal(...Array.from({ length: 1001 }, () => remove('Patient.photo'))).issues[0]!.code).toBe('too-costly')
  })

  test('whatever is sent, the answer is a resource or a FhirError', () => {
    const path = fc.constantFrom(
      'Patient',
      'Patient.name',
      'Patient.name[0]',
      'Patient.name[0].given',
      'Patient.name.given[1].extension',
      'Patient.birthDate',
      'Patient.deceased',
      'Patient.contained[0]',
      'Patient.telecom',
      'descendants()',
      "'a'",
      'Patient.',
      '%resource',
      'Patient.managingOrganization.resolve()',
    )
    const value = fc.oneof(
      fc.record({ valueString: fc.string() }, { noNullPrototype: true }),
      fc.constant<JsonObject>({ valueHumanName: { text: 'a' } }),
      fc.constant<JsonObject>(extension('urn:x')),
      fc.constant<JsonObject>({ part: [{ name: 'name', valueHumanName: { text: 'a' } }] }),
      fc.constant<JsonObject>({ resource: { resourceType: 'Basic' } }),
      fc.dictionary(fc.constantFrom('valueCode', 'valueDate', '_valueCode', 'part', 'resource', 'x'), fc.jsonValue(), {
        noNullPrototype: true,
      }),
    )
    const part = fc.oneof(
      fc.constantFrom('add', 'insert', 'delete', 'replace', 'move').map((type) => ({ name: 'type', valueCode: type })),
      path.map((path) => ({ name: 'path', valueString: path })),
      fc
        .constantFrom('name', 'contact', 'given', 'extension', 'deceased', 'birthDate', 'id')
        .map((name) => ({ name: 'name', valueString: name })),
      value.map((value) => ({ name: 'value', ...value })),
      fc
        .tuple(fc.constantFrom('index', 'source', 'destination'), fc.integer({ min: -1, max: 3 }))
        .map(([name, index]) => ({ name, valueInteger: index })),
    )
    const parts = fc.uniqueArray(part, { selector: ({ name }) => name, minLength: 2, maxLength: 5 })
    fc.assert(
      fc.property(fc.array(parts, { minLength: 1, maxLength: 2 }), (operations) => {
        const sent = parseJson(
          JSON.stringify(operations.map((part) => ({ name: 'operation', part }))).replaceAll('__proto__', 'proto'),
        )
        try {
          expect(applyFhirPathPatch(patient, { resourceType: 'Parameters', parameter: sent }).resourceType).toBe(
            'Patient',
          )
        } catch (error) {
          expect(error).toBeInstanceOf(FhirError)
        }
        expect(writeJson(patient)).toBe(text)
      }),
      { numRuns: 1500 },
    )
  })
})
