import { describe, expect, test } from '@jest/globals'
import { chosenLanguage, languages, roleName, translator } from './languages.js'
import { scopeWords } from './scope-words.js'
import { en } from './texts/en.js'

const placeholders = (text: string): string[] => [...text.matchAll(/\{\w+\}/g)].map(([name]) => name).sort()

describe.each(Object.entries(languages))('%s', (_tag, { texts }) => {
  test('has every text', () => expect(Object.keys(texts).sort()).toEqual(Object.keys(en).sort()))

  test.each(Object.entries(texts))('%s has the placeholders of the English text', (key, text) => {
    expect(placeholders(text)).toEqual(placeholders(en[key as keyof typeof en]))
    expect(text.trim()).toBe(text)
    expect(text).not.toBe('')
  })

  test('names no illness: others may see the screen', () =>
    expect(JSON.stringify(texts)).not.toMatch(/\b(hiv|aids|vih|sida|vvu|ukimwi)\b/i))
})

test.each([
  [{ choice: 'sw', locales: ['fr'], accepted: 'pt' }, 'sw'],
  [{ locales: ['de', 'fr-CD'], accepted: 'pt' }, 'fr'],
  [{ accepted: 'de, fr;q=0.5, pt-MZ;q=0.9' }, 'pt'],
  [{ accepted: 'fr;q=0, *' }, 'en'],
  [{ accepted: 'constructor, __proto__' }, 'en'],
  [{}, 'en'],
])('%j reads %s', (asked, expected) => expect(chosenLanguage(asked)).toBe(expected))

test('a role is named in the language, or as it is written', () => {
  expect(roleName(translator('fr'), 'doctor')).toBe('médecin')
  expect(roleName(translator('fr'), 'hospital-administrator')).toBe('administrateur de l’hôpital')
  expect(roleName(translator('fr'), 'constructor')).toBe('constructor')
})

const words = (scope: string): string => scopeWords([scope], translator('en'))[0]!.words

test.each([
  ['patient/Observation.rs', 'See measurements and laboratory results of this patient'],
  [
    'user/Patient.cruds',
    'See, add, change and delete name, birth date, address and contact details that you may see yourself',
  ],
  ['patient/Appointment.write', 'Add and change appointments of this patient'],
  ['patient/MedicationRequest.cr', 'See, add and change prescriptions of this patient'],
  [
    'patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory',
    'See measurements and laboratory results (only category laboratory) of this patient',
  ],
  ['user/Basic.r', 'See records of the type Basic that you may see yourself'],
  ['offline_access', 'Keep access when you are not using it, until you take it back'],
  ['nonsense', 'Use “nonsense”'],
])('%s: %s', (scope, expected) => expect(words(scope)).toBe(expected))

test('a wildcard says that it covers types of the future', () => {
  for (const scope of ['patient/*.rs', 'user/*.read', 'system/*.cruds']) {
    expect(words(scope)).toContain('all types there are now, and those added in future')
  }
})
