import { describe, expect, test } from '@jest/globals'
import {
  allTypes,
  compartments,
  fhirVersion,
  isResourceType,
  operationDefinitions,
  requiredCodes,
  resourceTypes,
  standardSearchParams,
  typeDefinition,
} from './index.js'

test('R4 4.0.1 has 146 resource types', () => {
  expect(fhirVersion).toBe('4.0.1')
  expect(resourceTypes).toHaveLength(146)
  expect([...resourceTypes].sort()).toEqual(resourceTypes)
  expect(isResourceType('Patient')).toBe(true)
  for (const name of [
    'Resource',
    'DomainResource',
    'HumanName',
    'Patient.contact',
    'patient',
    '',
    '__proto__',
    'constructor',
  ])
    expect(isResourceType(name)).toBe(false)
})

describe('types', () => {
  test('every element has types that are defined', () => {
    for (const { name, elements } of allTypes())
      for (const element of elements) {
        expect(element.types.length).toBeGreaterThan(0)
        for (const { code } of element.types)
          expect([name, element.name, code, !!typeDefinition(code)]).toEqual([name, element.name, code, true])
      }
  })

  test('every element can be found by the name of its property', () => {
    for (const { elements, properties } of allTypes())
      for (const element of elements)
        for (const type of element.types) {
          const suffix = element.choice ? type.code[0]!.toUpperCase() + type.code.slice(1) : ''
          expect(properties.get(element.name + suffix)?.element).toBe(element)
        }
  })

  test('no property begins with an underscore, which marks the companions of primitives', () => {
    for (const { properties } of allTypes()) for (const name of properties.keys()) expect(name).toMatch(/^[A-Za-z]\w*$/)
  })

  test('only choices have more than one type', () => {
    for (const { elements } of allTypes())
      for (const element of elements) if (element.types.length > 1) expect(element.choice).toBe(true)
  })

  test('every regular expression of a primitive compiles', () => {
    for (const { regex } of allTypes()) if (regex) expect(new RegExp(`^(?:${regex})$`, 'u')).toBeInstanceOf(RegExp)
  })

  test('the elements of a resource stand in the order of XML', () => {
    const names = typeDefinition('Patient')!.elements.map(({ name }) => name)
    expect(names.slice(0, 11)).toEqual([
      'id',
      'meta',
      'implicitRules',
      'language',
      'text',
      'contained',
      'extension',
      'modifierExtension',
      'identifier',
      'active',
      'name',
    ])
  })

  test('cardinality, choices, targets and bindings are those of the definitions', () => {
    const observation = typeDefinition('Observation')!
    expect(observation.properties.get('status')!.element).toMatchObject({
      min: 1,
      binding: 'http://hl7.org/fhir/ValueSet/observation-status',
    })
    expect(observation.properties.get('valueQuantity')!.element).toMatchObject({ name: 'value', choice: true })
    expect(observation.properties.get('valueAddress')).toBeUndefined()
    expect(observation.properties.get('subject')!.type.targets).toEqual(['Patient', 'Group', 'Device', 'Location'])
    expect(observation.properties.get('component')!.type.code).toBe('Observation.component')
    expect(typeDefinition('Questionnaire.item')!.properties.get('item')!.type.code).toBe('Questionnaire.item')
    expect(typeDefinition('Extension')!.properties.get('valueMoney')!.type.code).toBe('Money')
  })
})

test('every search parameter applies to types that exist', () => {
  for (const { base, target, code, type } of standardSearchParams) {
    for (const name of [...base, ...(target ?? [])]) expect(typeDefinition(name)?.kind).toBe('resource')
    expect(code).toMatch(/^[\w-]+$/)
    expect(['number', 'date', 'string', 'token', 'reference', 'composite', 'quantity', 'uri', 'special']).toContain(
      type,
    )
  }
})

test('the five compartments name types and search parameters that exist', () => {
  expect(Object.keys(compartments).sort()).toEqual(['Device', 'Encounter', 'Patient', 'Practitioner', 'RelatedPerson'])
  for (const members of Object.values(compartments))
    for (const [type, params] of Object.entries(members)) {
      expect(isResourceType(type)).toBe(true)
      // {def} is the resource that the compartment is of.
      for (const param of params.filter((param) => param !== '{def}'))
        expect([
          type,
          param,
          standardSearchParams.some(({ code, base }) => code === param && base.includes(type)),
        ]).toEqual([type, param, true])
    }
})

test('required codes are lists by system, or null where they cannot be listed', () => {
  expect(requiredCodes['http://hl7.org/fhir/ValueSet/administrative-gender']).toEqual({
    'http://hl7.org/fhir/administrative-gender': ['male', 'female', 'other', 'unknown'],
  })
  for (const codes of Object.values(requiredCodes))
    for (const list of Object.values(codes ?? {})) expect(list.length).toBeGreaterThan(0)
})

test('operations have a code and parameters', () => {
  expect(operationDefinitions.map(({ code }) => code)).toEqual(
    expect.arrayContaining(['everything', 'validate', 'lastn', 'meta', 'convert']),
  )
})
