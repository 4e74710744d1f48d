import { expect, test } from '@jest/globals'
import { argumentsOf, booleanOf, positiveOf, resourceOf, textOf, textsOf } from './arguments.js'
import type { OperationCall } from './operation.js'

const validate = { definition: 'http://hl7.org/fhir/OperationDefinition/Resource-validate' }

const call = (parameter: unknown, parameters: [string, string][] = []): OperationCall => ({
  parameters,
  input: { resourceType: 'Parameters', parameter } as never,
  url: '',
})

test('parameters of the URL and of a Parameters resource are the same', () => {
  const given = argumentsOf(
    call(
      [
        { name: 'a', valueString: '2' },
        { name: 'n', valueInteger: 3 },
        { name: 't', valueBoolean: true },
      ],
      [['a', '1']],
    ),
    { ...validate, others: () => true },
  )
  expect(textsOf(given, 'a')).toEqual(['1', '2'])
  expect(positiveOf(given, 'n')).toBe(3)
  expect(booleanOf(given, 't')).toBe(true)
  expect(() => textOf(given, 'a')).toThrow('once')
})

test('a resource is a parameter, or the body itself', () => {
  const patient = { resourceType: 'Patient' }
  const wrapped = call([{ name: 'resource', resource: patient }])
  expect(resourceOf(wrapped, argumentsOf(wrapped, validate), 'resource')).toEqual(patient)
  const bare: OperationCall = { parameters: [], input: patient, url: '' }
  expect(resourceOf(bare, argumentsOf(bare, validate), 'resource')).toEqual(patient)
  expect(resourceOf(call([]), [], 'resource')).toBeUndefined()
})

test('what is about the form of the answer is no business of an operation', () => {
  expect(
    argumentsOf(
      {
        parameters: [
          ['_format', 'xml'],
          ['_pretty', 'true'],
        ],
        url: '',
      },
      validate,
    ),
  ).toEqual([])
})

test.each<[unknown]>([
  ['x'],
  [[1]],
  [[{}]],
  [[{ name: 'a' }]],
  [[{ name: 1, valueString: 'x' }]],
  [[{ name: 'strange', valueString: 'x' }]],
  [[null]],
])('Parameters with %j are refused', (parameter) => {
  expect(() => argumentsOf(call(parameter), { ...validate, others: (name) => name === 'a' })).toThrow(
    expect.objectContaining({ status: 400 }),
  )
})

test.each(['0', '-1', '1.5', 'x', '', '99999999999999999999'])('"%s" is no positive number', (text) => {
  expect(() => positiveOf([{ name: 'n', value: text }], 'n')).toThrow()
})

test.each<[string, unknown, [string, string][], string]>([
  ['unknown in the URL', [], [['profil', 'x']], 'did you mean "profile"'],
  ['unknown in the body', [{ name: 'profil', valueUri: 'urn:a' }], [], '"profil"'],
  ['of another type', [{ name: 'mode', valueBoolean: true }], [], '"mode" takes code'],
  ['given twice', [{ name: 'mode', valueCode: 'create' }], [['mode', 'create']], '"mode" may be given only once'],
  ['a resource in the URL', [], [['resource', 'x']], '"resource" takes Resource'],
])('an argument %s is refused by its name', (_, parameter, parameters, said) => {
  const refused = expect.objectContaining({ status: 400, message: expect.stringContaining(said) })
  expect(() => argumentsOf(call(parameter, parameters), validate)).toThrow(refused)
})

test('names that the operation takes beside those of its definition are not checked', () => {
  const lastn = { definition: 'http://hl7.org/fhir/OperationDefinition/Observation-lastn', others: () => true }
  const given = call([{ name: 'category', valueString: 'vital-signs' }], [['patient', 'Patient/1']])
  expect(argumentsOf(given, lastn)).toHaveLength(2)
  expect(() => argumentsOf(call([{ name: 'max', valueString: '3' }]), lastn)).toThrow('"max" takes positiveInt')
})
