/**
 * When care was given: which of a type's dates `start` and `end` of $everything look at.
 *
 * https://hl7.org/fhir/R4/patient-operation-everything.html
 *
 * "The date range relates to care dates, not record currency dates." R4 does not say which element that is. We take the
 * first of these search parameters that a resource has a value for: what happened stands before what was written
 * down. A resource without any of them (a Coverage, the Patient) has no care date and is always in range.
 */
import { dateMax, dateMin, type Period } from '../fhir/index.js'
import { and, type Expression, or, type SearchParams } from '../search/index.js'

const inOrder = [
  'date',
  'period',
  'effective',
  'effective-time',
  'onset-date',
  'occurrence',
  'event-date',
  'when',
  'whenhandedover',
  'whenprepared',
  'collected',
  'started',
  'start-date',
  'identified',
  'sent',
  'received',
  'issued',
  'authored',
  'authored-on',
  'authoredon',
  'datetime',
  'datewritten',
  'created',
  'recorded-date',
  'recorded',
  'entered-date',
]

/** That a resource of the type was about care within the range. */
export function careWithin(range: Partial<Period>, type: string, searchParams: SearchParams): Expression {
  const params = inOrder.filter((code) => searchParams.find(type, code)?.type === 'date')
  const missing = params.map((param): Expression => ({ op: 'missing', param }))
  return or(
    ...params.map((param, index) =>
      and(...missing.slice(0, index), {
        op: 'interval',
        param,
        prefix: 'ap',
        lo: range.lo ?? dateMin,
        hi: range.hi ?? dateMax,
      }),
    ),
    and(...missing),
  )
}
