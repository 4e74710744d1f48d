/**
 * Dates are kept in three series by how long they last, so that a search for what began before a moment need not look
 * at everything that ended after it: what lasts a day ends at most a day later.
 *
 * https://hl7.org/fhir/R4/search.html#date
 */
const day = 86_400_000

const widths: readonly { name: string; widthMax: number }[] = [
  { name: 'day', widthMax: day },
  { name: 'month', widthMax: 32 * day },
  { name: 'long', widthMax: Number.POSITIVE_INFINITY },
]

export const seriesOfWidth = (width: number): string => widths.find(({ widthMax }) => width <= widthMax)!.name

export const widthOfSeries = (name: string): number =>
  widths.find((each) => each.name === name)?.widthMax ?? Number.POSITIVE_INFINITY
