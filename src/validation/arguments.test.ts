import { describe, expect, test } from '@jest/globals'
import { type JsonObject, type OperationDefinition, operationDefinitions, type Resource } from '../fhir/index.js'
import { argumentIssues } from './arguments.js'

const definition = (code: string, type: string): OperationDefinition =>
  operationDefinitions.find((each) => each.code === code && each.resource?.includes(type))!

const validate = definition('validate', 'Resource')
const translate = definition('translate', 'ConceptMap')
const metaAdd = definition('meta-add', 'Resource')

const input = (...parameter: JsonObject[]): { input: Resource } => ({
  input: { resourceType: 'Parameters', parameter },
})
const query = (...names: string[]): { query: [string, string][] } => ({ query: names.map((name) => [name, 'x']) })
const patient = { resourceType: 'Patient' }
const dependency = (...part: JsonObject[]): { input: Resource } => input({ name: 'dependency', part })

describe('an operation takes', () => {
  test.each<[string, OperationDefinition, Parameters<typeof argumentIssues>[1]]>([
    ['nothing where nothing is needed', validate, {}],
    [
      'what it defines',
      validate,
      input({ name: 'resource', resource: patient }, { name: 'mode', valueCode: 'create' }),
    ],
    ['a code written as a string', validate, input({ name: 'mode', valueString: 'create' })],
    ['a value that is absent with a reason', validate, input({ name: 'mode', _valueCode: { id: 'x' } })],
    ['parameters of the URL', validate, query('mode', 'profile')],
    ['both', validate, { ...query('mode'), ...input({ name: 'profile', valueUri: 'urn:a' }) }],
    [
      'parts',
      translate,
      dependency({ name: 'element', valueUri: 'urn:a' }, { name: 'concept', valueCodeableConcept: { text: 'x' } }),
    ],
    ['parameters that repeat', translate, input({ name: 'dependency', part: [] }, { name: 'dependency', part: [] })],
    ['a complex type', metaAdd, input({ name: 'meta', valueMeta: { source: 'urn:a' } })],
  ])('%s', (_, operation, given) => expect(argumentIssues(operation, given)).toEqual([]))
})

describe('an operation refuses', () => {
  test.each<[string, OperationDefinition, Parameters<typeof argumentIssues>[1], string, string | undefined]>([
    [
      'unknown names',
      validate,
      input({ name: 'mode', valueCode: 'create' }, { name: 'profil', valueUri: 'urn:a' }),
      'not-supported',
      'Parameters.parameter[1]',
    ],
    ['unknown names in the URL', validate, query('profil'), 'not-supported', 'profil'],
    [
      'names of Object.prototype',
      validate,
      input({ name: '__proto__', valueCode: 'a' }),
      'not-supported',
      'Parameters.parameter[0]',
    ],
    ['names of what it answers', validate, query('return'), 'not-supported', 'return'],
    [
      'two of what may be given once',
      validate,
      { ...query('mode'), ...input({ name: 'mode', valueCode: 'create' }) },
      'structure',
      'mode',
    ],
    ['another type', validate, input({ name: 'mode', valueBoolean: true }), 'structure', 'Parameters.parameter[0]'],
    [
      'a resource for a value',
      validate,
      input({ name: 'mode', resource: patient }),
      'structure',
      'Parameters.parameter[0]',
    ],
    [
      'a value for a resource',
      validate,
      input({ name: 'resource', valueString: 'x' }),
      'structure',
      'Parameters.parameter[0]',
    ],
    ['a resource in the URL', validate, query('resource'), 'structure', 'resource'],
    [
      'another resource',
      translate,
      input({ name: 'conceptMap', resource: patient }),
      'structure',
      'Parameters.parameter[0]',
    ],
    [
      'another complex type',
      metaAdd,
      input({ name: 'meta', valueCoding: { code: 'x' } }),
      'structure',
      'Parameters.parameter[0]',
    ],
    ['nothing as a value', validate, input({ name: 'mode' }), 'structure', 'Parameters.parameter[0]'],
    ['what is missing', metaAdd, {}, 'required', undefined],
    [
      'a value for parts',
      translate,
      input({ name: 'dependency', valueString: 'x' }),
      'structure',
      'Parameters.parameter[0]',
    ],
    [
      'unknown parts',
      translate,
      dependency({ name: 'elemant', valueUri: 'urn:a' }),
      'not-supported',
      'Parameters.parameter[0].part[0]',
    ],
  ])('%s', (_, operation, given, code, place) =>
    expect(argumentIssues(operation, given).map((issue) => [issue.code, issue.expression?.[0]])).toEqual([
      [code, place],
    ]),
  )
})

test('all that is wrong is reported at once, with the name that was meant', () => {
  const issues = argumentIssues(
    validate,
    input({ name: 'mod', valueCode: 'create' }, { name: 'profile', valueBoolean: true }),
  )
  expect(issues).toHaveLength(2)
  expect(issues[0]?.diagnostics).toContain('did you mean "mode"?')
})

test('what is no list of parameters is left to the structural check', () => {
  for (const parameter of ['x', null, [null], ['x'], [{ valueString: 'x' }], [{ name: 1 }]])
    expect(argumentIssues(validate, { input: { resourceType: 'Parameters', parameter } as Resource })).toEqual([])
})

test('the schemas of all operations of R4 compile', () => {
  for (const operation of operationDefinitions)
    expect(argumentIssues(operation, query('no-such-parameter')).map(({ code }) => code)).toContain('not-supported')
})
