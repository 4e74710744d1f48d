import { expect, test } from '@jest/globals'
import { FhirError, makers, operationOutcome, requiredCodes } from './index.js'

const codesOf = (valueSet: string): string[] => Object.values(requiredCodes[valueSet]!).flat()

test.each(Object.entries(makers))('%s makes a valid OperationOutcome', (_, make) => {
  const error = make('try again', 'Patient.name[0]')
  expect(error).toBeInstanceOf(FhirError)
  expect(error.status).toBeGreaterThanOrEqual(400)
  expect(error.status).toBeLessThan(600)
  expect(error.message).toBe('try again')
  expect(error.outcome).toEqual({
    resourceType: 'OperationOutcome',
    issue: [
      { severity: 'error', code: error.issues[0]!.code, diagnostics: 'try again', expression: ['Patient.name[0]'] },
    ],
  })
  expect(codesOf('http://hl7.org/fhir/ValueSet/issue-type')).toContain(error.issues[0]!.code)
  expect(make('without a place').issues[0]).not.toHaveProperty('expression')
})

test('an error keeps its cause and the headers of its answer', () => {
  const cause = new Error('disk')
  const error = makers.throttled('wait', undefined, { cause, headers: { 'Retry-After': '1' } })
  expect(error.cause).toBe(cause)
  expect(error.options.headers).toEqual({ 'Retry-After': '1' })
})

test('an outcome has all issues', () => {
  const issues = [
    { severity: 'error', code: 'required', diagnostics: 'a' },
    { severity: 'warning', code: 'value', diagnostics: 'b' },
  ] as const
  expect(operationOutcome([...issues])).toEqual({ resourceType: 'OperationOutcome', issue: [...issues] })
  expect(new FhirError(422, [...issues]).message).toBe('a; b')
})
