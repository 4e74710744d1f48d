/**
 * The date by which a patient's resources of a type are kept in order, the newest being asked for most.
 *
 * https://hl7.org/fhir/R4/search.html#sort
 *
 * The parameter called `date` where the type has one, else its first of type date, except where that is hardly ever
 * recorded. What this answers is part of both engines' layouts: to change it is to raise `schemaVersion` (SQLite) and `layout` (MongoDB) and to index anew.
 */
import { standardSearchParams } from '../fhir/index.js'

const exceptions: Record<string, string> = {
  Condition: 'recorded-date',
  Encounter: 'date',
  MedicationRequest: 'authoredon',
  MedicationDispense: 'whenhandedover',
  Patient: 'birthdate',
  ServiceRequest: 'authored',
}

const byType = new Map<string, string>()
for (const { type, code, base } of standardSearchParams)
  if (type === 'date' && !code.startsWith('_'))
    for (const each of base) if (!byType.has(each) || code === 'date') byType.set(each, exceptions[each] ?? code)

export const dateParam = (type: string): string | undefined => byType.get(type)
