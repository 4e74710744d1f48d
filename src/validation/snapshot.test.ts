/** Snapshots of the core profiles, as HL7's own have them. */
import { expect, test } from '@jest/globals'
import { builtIn, isObject, type Resource } from '../fhir/index.js'
import { withSnapshot } from './snapshot.js'

const core = (name: string) => builtIn(`http://hl7.org/fhir/StructureDefinition/${name}`, 'StructureDefinition')!

const elementsOf = (definition: Resource, bases: Resource[] = []) => {
  const { snapshot } = withSnapshot(definition, bases)
  const elements = isObject(snapshot) && Array.isArray(snapshot['element']) ? snapshot['element'].filter(isObject) : []
  return new Map(elements.map((element) => [String(element['id']), element]))
}

test('the snapshot has every element of the type and those of the differential', () => {
  const elements = elementsOf(core('vitalsigns'))
  expect(elements.get('Observation')).toMatchObject({ path: 'Observation' })
  expect(elements.get('Observation.status')).toMatchObject({ min: 1, max: '1', isModifier: true })
  expect(elements.get('Observation.category')).toMatchObject({ min: 1, slicing: { rules: 'open' } })
  expect(elements.get('Observation.category:VSCat')).toMatchObject({ min: 1, max: '1', sliceName: 'VSCat' })
  expect(elements.get('Observation.category:VSCat.coding.code')).toMatchObject({ fixedCode: 'vital-signs' })
  expect(elements.get('Observation.component.value[x]')).toBeDefined()
  expect(elements.has('Observation.code.coding')).toBe(false)
})

test('a profile of a profile has what both say', () => {
  const elements = elementsOf(core('bp'), [core('vitalsigns')])
  expect(elements.get('Observation.subject')).toMatchObject({ min: 1 })
  expect(elements.get('Observation.component:SystolicBP')).toMatchObject({ min: 1, max: '1' })
})

test('a part that is defined elsewhere is referred to', () => {
  const elements = elementsOf(core('cqf-questionnaire'))
  expect(elements.get('Questionnaire.item.item')).toMatchObject({ contentReference: '#Questionnaire.item' })
  expect(elements.has('Questionnaire.item.item.linkId')).toBe(false)
})

test('an element that the type does not have is told of', () => {
  const definition = {
    ...core('bmi'),
    differential: { element: [{ id: 'Observation.weight', path: 'Observation.weight' }] },
  }
  expect(() => withSnapshot(definition)).toThrow('Observation.weight is no element of the type')
})
