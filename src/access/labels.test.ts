import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from '@jest/globals'
import type { Json, JsonObject, Resource } from '../fhir/index.js'
import { labelsOf } from './labels.js'

const shared = new URL('../../../shared/hiv/', import.meta.url)
const sharedHere = [shared, new URL('file:///work/shared/hiv/')].find((folder) => existsSync(folder))
const sharedTest = sharedHere ? test : test.skip

const base64 = (text: string) => Buffer.from(text).toString('base64')
const labels = (resource: JsonObject): string[] => labelsOf(resource as Resource).labels
const coded = (system: string | undefined, code: string): JsonObject => ({
  resourceType: 'Observation',
  code: { coding: [{ ...(system !== undefined && { system }), code }] },
})
const said = (text: string): JsonObject => ({ resourceType: 'Observation', note: [{ text }] })

describe('codes', () => {
  test.each([
    ['http://loinc.org', '20447-9'],
    ['https://loinc.org/', '20447-9'],
    ['urn:oid:2.16.840.1.113883.6.1', '20447-9'],
    ['2.16.840.1.113883.6.1', '20447-9'],
    [undefined, '20447-9'],
    ['http://snomed.info/sct', '86406008'],
    ['http://snomed.info/sct/900000000000207008/version/20250101', '86406008'],
    ['http://snomed.info/sct', '165815009'],
    ['http://hl7.org/fhir/sid/icd-10', 'B20.1'],
    ['http://hl7.org/fhir/sid/icd-10', 'b201'],
    ['http://hl7.org/fhir/sid/icd-10-cm', 'O98.711'],
    ['http://hl7.org/fhir/sid/icd-10-cm', 'O98711'],
    ['http://hl7.org/fhir/sid/icd-9-cm', '07953'],
    ['http://id.who.int/icd/release/11/mms', '1C62.3'],
    ['http://www.whocc.no/atc', 'J05AR27'],
    ['http://www.whocc.no/atc', 'V03AX03'],
    ['http://www.nlm.nih.gov/research/umls/rxnorm', '349477'],
    ['http://smart.who.int/hiv/CodeSystem/HIVConcepts', 'HIV.A.1'],
  ])('%s %s is labelled', (system, code) => expect(labels(coded(system, code))).toEqual(['HIV']))

  test.each([
    ['http://loinc.org', '5196-1'],
    ['http://loinc.org', '51969-4'],
    ['http://loinc.org', '8480-6'],
    ['http://www.whocc.no/atc', 'J05AE30'],
    ['http://www.whocc.no/atc', 'J05AF10'],
    ['http://hl7.org/fhir/sid/icd-10', 'B19'],
    ['http://hl7.org/fhir/sid/icd-10', 'Z11.1'],
    ['http://hl7.org/fhir/sid/cvx', '042'],
    [undefined, '042'],
    ['urn:local', '20447-9'],
  ])('%s %s is not', (system, code) => expect(labels(coded(system, code))).toEqual([]))

  test.each([
    ['F32.1', 'MH'],
    ['F10.2', 'SUD'],
    ['A54.0', 'STD'],
    ['T74.1', 'SDV'],
  ])('ICD-10 %s is %s', (code, label) => expect(labels(coded('http://hl7.org/fhir/sid/icd-10', code))).toEqual([label]))

  test.each<[string, JsonObject]>([
    ['a contained medication', { contained: [coded('http://www.whocc.no/atc', 'J05AG03')] }],
    ['a value without a system', { extension: [{ url: 'urn:x', valueString: '86406008' }] }],
    ['criteria', { criteria: 'Observation?code=http://loinc.org|20447-9' }],
    ['criteria as a URL has them', { criteria: 'Observation?code=http%3A%2F%2Floinc.org%7C20447-9' }],
    ['a profile', { meta: { profile: ['http://example.org/StructureDefinition/HIVPatient'] } }],
    ['a tag', { meta: { tag: [{ system: 'urn:programme', code: 'x', display: 'HIV clinic' }] } }],
    ['the system of an identifier', { identifier: [{ system: 'http://ministry.example/hiv-number', value: '1' }] }],
  ])('%s counts', (_, content) => expect(labels({ resourceType: 'Basic', ...content })).toEqual(['HIV']))

  sharedTest('every code of the shared list is found, and none of those it names as wrong', () => {
    const list = JSON.parse(readFileSync(new URL('label-codes.json', sharedHere), 'utf8')) as {
      systems: Record<string, Json>
    }
    const missed: string[] = []
    const wrong: string[] = []
    for (const [system, rows] of Object.entries(list.systems))
      for (const { code, isHiv } of codesIn(rows))
        if (labels(coded(system, code)).includes('HIV') !== isHiv) (isHiv ? missed : wrong).push(`${system}|${code}`)
    expect({ missed, wrong }).toEqual({ missed: [], wrong: [] })
  })
})

/** Codes and prefixes wherever they stand in the list. */
function codesIn(value: Json, under = 'codes', isHiv = true): { code: string; isHiv: boolean }[] {
  if (Array.isArray(value))
    return /^(codes|prefixes|booster|J05A.)$/.test(under)
      ? value.flatMap((code) => (typeof code === 'string' ? [{ code, isHiv }] : []))
      : []
  if (value === null || typeof value !== 'object') return []
  return Object.entries(value as JsonObject).flatMap(([key, each]) =>
    codesIn(each, key, isHiv && key !== 'notHiv' && key !== 'weak'),
  )
}

describe('words', () => {
  test.each([
    'HIV positive',
    'known hiv',
    'VIH positif',
    'con SIDA avanzado',
    'anaishi na VVU',
    'mgonjwa wa UKIMWI',
    'ВИЧ-инфекция',
    'on Anti-Retroviral therapy',
    'thérapie antirétrovirale',
    'inmunodeficiencia humana',
    'efavirenz 600 mg',
    'Lamivudina 150 mg',
    'Biktarvy',
    'has AIDS.',
    'CD4 count',
    'TDF/3TC/DTG daily',
    'counselled: U=U',
    'ritonavir 100 mg',
    '“HIV”',
    'status—HIV',
  ])('%s', (text) => expect(labels(said(text))).toEqual(['HIV']))

  test.each([
    'an article about the heart',
    'hearing aids fitted',
    'HEARING AIDS',
    'first aid given',
    'art therapy',
    'preparation',
    'prep for surgery',
    'archive',
    'hive, hives',
    'shiver',
    'nirmatrelvir / ritonavir',
    'Paxlovid (ritonavir-boosted)',
    'Vemlidy',
    'cardiac arvification',
    'residat',
  ])('not in: %s', (text) => expect(labels(said(text))).toEqual([]))

  test.each<[string, JsonObject]>([
    ['display', { code: { coding: [{ system: 'urn:local', code: '1', display: 'HIV test' }] } }],
    ['narrative', { text: { status: 'generated', div: '<div>H<b>I</b>V</div>' } }],
    ['narrative by entities', { text: { status: 'generated', div: '<div>&#72;IV</div>' } }],
    ['attached text', { content: [{ attachment: { contentType: 'text/plain', data: base64('HIV reactive') } }] }],
    ['attached page', { contentType: 'text/html; charset=utf-8', data: base64('<p>H<i>IV</i></p>') }],
  ])('in %s', (_, content) => expect(labels({ resourceType: 'Basic', ...content })).toEqual(['HIV']))

  test('not in base64 by accident, nor in the labels themselves, nor in definitions', () => {
    expect(labels({ resourceType: 'Binary', contentType: 'image/png', data: 'HIV+HIV/' })).toEqual([])
    expect(labels({ resourceType: 'Patient', meta: { security: [{ code: 'HIV', display: 'HIV' }] } })).toEqual([])
    expect(labels({ resourceType: 'ValueSet', title: 'HIV tests' })).toEqual([])
  })

  test('the reason says where', () => {
    expect(labelsOf(coded('http://loinc.org', '20447-9') as Resource).reasons).toEqual([
      { label: 'HIV', rule: 'loinc', path: 'Observation.code.coding[0]' },
    ])
  })

  test('a text of a million characters made to be slow is not', () => {
    const began = performance.now()
    for (const text of ['<'.repeat(1e6), 'first '.repeat(1e5), `antiretrovir${'a'.repeat(1e6)}`, 'é'.repeat(1e6)])
      labels({ resourceType: 'Basic', text: { div: text } })
    expect(performance.now() - began).toBeLessThan(3000)
  })
})

sharedTest('every trace of HIV that the resources of the seven Synthea patients have themselves is found', () => {
  const folder = new URL('synthea/', sharedHere)
  const missed: string[] = []
  const found = new Map<string, number>()
  for (const name of readdirSync(folder)) {
    const { entry } = JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as { entry: { resource: JsonObject }[] }
    for (const { resource } of entry) {
      const isTrace = /\b(86406008|62479008|20447-9|24467-3)\b|HIV|vir \d|tenofovir|lamivudine/.test(
        JSON.stringify(resource),
      )
      const isLabelled = labels(resource).includes('HIV')
      const type = resource['resourceType'] as string
      if (isLabelled) found.set(type, (found.get(type) ?? 0) + 1)
      else if (isTrace) missed.push(`${name} ${type}`)
    }
  }
  expect(missed).toEqual([])
  expect([...found.keys()].sort()).toEqual(
    expect.arrayContaining(['Condition', 'Encounter', 'MedicationRequest', 'Observation']),
  )
  expect(found.get('Encounter')).toBeGreaterThanOrEqual(53)
})
