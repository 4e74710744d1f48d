import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { type Period, period } from './index.js'

const shown = ({ lo, hi }: Period) => `${new Date(lo).toISOString()}/${new Date(hi).toISOString()}`
const overlap = (a: Period, b: Period) => a.lo <= b.hi && b.lo <= a.hi
const within = (inner: Period, outer: Period) => outer.lo <= inner.lo && inner.hi <= outer.hi

describe('the period a text covers', () => {
  test.each([
    ['2013', '2013-01-01T00:00:00.000Z/2013-12-31T23:59:59.999Z'],
    ['2013-01', '2013-01-01T00:00:00.000Z/2013-01-31T23:59:59.999Z'],
    ['2013-02', '2013-02-01T00:00:00.000Z/2013-02-28T23:59:59.999Z'],
    ['2012-02', '2012-02-01T00:00:00.000Z/2012-02-29T23:59:59.999Z'],
    ['2013-12', '2013-12-01T00:00:00.000Z/2013-12-31T23:59:59.999Z'],
    ['2013-01-14', '2013-01-14T00:00:00.000Z/2013-01-14T23:59:59.999Z'],
    ['2020-02-29', '2020-02-29T00:00:00.000Z/2020-02-29T23:59:59.999Z'],
    ['2000-02-29', '2000-02-29T00:00:00.000Z/2000-02-29T23:59:59.999Z'],
    ['2013-01-14T10:00', '2013-01-14T10:00:00.000Z/2013-01-14T10:00:59.999Z'],
    ['2013-01-14T10:00:07', '2013-01-14T10:00:07.000Z/2013-01-14T10:00:07.999Z'],
    ['2013-01-14T10:00:07.5', '2013-01-14T10:00:07.500Z/2013-01-14T10:00:07.599Z'],
    ['2013-01-14T10:00:07.12', '2013-01-14T10:00:07.120Z/2013-01-14T10:00:07.129Z'],
    ['2013-01-14T10:00:07.123', '2013-01-14T10:00:07.123Z/2013-01-14T10:00:07.123Z'],
    ['2013-01-14T10:00:07.1239', '2013-01-14T10:00:07.123Z/2013-01-14T10:00:07.123Z'],
    ['2013-01-14T10:00:07.123456789012Z', '2013-01-14T10:00:07.123Z/2013-01-14T10:00:07.123Z'],
    ['2013-01-14T10:00Z', '2013-01-14T10:00:00.000Z/2013-01-14T10:00:59.999Z'],
    ['2013-01-14T10:00:00+05:30', '2013-01-14T04:30:00.000Z/2013-01-14T04:30:00.999Z'],
    ['2013-01-14T23:30:00-10:00', '2013-01-15T09:30:00.000Z/2013-01-15T09:30:00.999Z'],
    ['2013-01-14T10:00:00+14:00', '2013-01-13T20:00:00.000Z/2013-01-13T20:00:00.999Z'],
    ['2016-12-31T23:59:60Z', '2017-01-01T00:00:00.000Z/2017-01-01T00:00:00.999Z'],
    ['0001', '0001-01-01T00:00:00.000Z/0001-12-31T23:59:59.999Z'],
    ['0099-12-31', '0099-12-31T00:00:00.000Z/0099-12-31T23:59:59.999Z'],
    ['9999', '9999-01-01T00:00:00.000Z/9999-12-31T23:59:59.999Z'],
  ])('%s', (text, expected) => expect(shown(period(text)!)).toBe(expected))
})

test.each([
  '',
  '13',
  '2013-1',
  '2013-13',
  '2013-00',
  '2013-01-00',
  '2013-01-32',
  '2021-02-29',
  '2021-02-30',
  '1900-02-29',
  '2013-04-31',
  '0000',
  '2013-01-14T',
  '2013-01-14T10',
  '2013-01-14T24:00',
  '2013-01-14T24:01',
  '2013-01-14T10:60',
  '2013-01-14T10:00:61',
  '2013-01-14T10:00:00.',
  '2013-01-14T10:00z',
  '2013-01-14T10:00+5:00',
  '2013-01-14T10:00+15:00',
  '2013-01-14T10:00+14:30',
  '2013-01-14T10:00+05:60',
  '2013-01-14 10:00',
  '20130114',
  '2013-01-14Z',
  '-2013',
  '+2013',
  ' 2013',
  '2013\n',
  '12013',
  'now',
])('%j is no date', (text) => expect(period(text)).toBeUndefined())

// https://hl7.org/fhir/R4/search.html#date
describe('the examples of the search page', () => {
  test.each([
    ['2013-01-14', '2013-01-14T00:00', true],
    ['2013-01-14', '2013-01-14T10:00', true],
    ['2013-01-14', '2013-01-15T00:00', false],
    ['2013-01-14T10:00', '2013-01-14T10:00:30', true],
    ['2013-01', '2013-01-31T23:59:59.999', true],
    ['2013-01', '2013-02-01', false],
  ])('eq%s contains %s: %s', (asked, recorded, expected) =>
    expect(within(period(recorded)!, period(asked)!)).toBe(expected),
  )
})

describe('in the zone of a hospital', () => {
  test.each([
    ['2013-01-14', 'Africa/Nairobi', '2013-01-13T21:00:00.000Z/2013-01-14T20:59:59.999Z'],
    ['2013-01-14T23:30', 'America/New_York', '2013-01-15T04:30:00.000Z/2013-01-15T04:30:59.999Z'],
    ['2013-01-14T23:30Z', 'America/New_York', '2013-01-14T23:30:00.000Z/2013-01-14T23:30:59.999Z'],
    ['2021-07', 'Europe/Berlin', '2021-06-30T22:00:00.000Z/2021-07-31T21:59:59.999Z'],
    ['2021', 'Asia/Kolkata', '2020-12-31T18:30:00.000Z/2021-12-31T18:29:59.999Z'],
    // A day of 23 hours and one of 25.
    ['2021-03-28', 'Europe/Berlin', '2021-03-27T23:00:00.000Z/2021-03-28T21:59:59.999Z'],
    ['2021-10-31', 'Europe/Berlin', '2021-10-30T22:00:00.000Z/2021-10-31T22:59:59.999Z'],
    // Clocks skip midnight, or show it twice.
    ['2018-11-03', 'America/Sao_Paulo', '2018-11-03T03:00:00.000Z/2018-11-04T02:59:59.999Z'],
    ['2018-11-04', 'America/Sao_Paulo', '2018-11-04T03:00:00.000Z/2018-11-05T01:59:59.999Z'],
    ['2018-02-17', 'America/Sao_Paulo', '2018-02-17T02:00:00.000Z/2018-02-18T02:59:59.999Z'],
    ['2021-10-28', 'Asia/Amman', '2021-10-27T21:00:00.000Z/2021-10-28T20:59:59.999Z'],
    ['2021-10-29', 'Asia/Amman', '2021-10-28T21:00:00.000Z/2021-10-29T21:59:59.999Z'],
    // A time that is shown twice may be either; one that is skipped is read as if clocks had not been set.
    ['2021-11-07T01:30', 'America/New_York', '2021-11-07T05:30:00.000Z/2021-11-07T06:30:59.999Z'],
    ['2021-03-14T02:30', 'America/New_York', '2021-03-14T07:30:00.000Z/2021-03-14T07:30:59.999Z'],
    // Offsets of the time before zones have seconds, and the first day begins in 1 BC.
    ['1900-01-01', 'Europe/Paris', '1899-12-31T23:50:39.000Z/1900-01-01T23:50:38.999Z'],
    ['0001-01-01', 'Asia/Tokyo', '0000-12-31T14:41:01.000Z/0001-01-01T14:41:00.999Z'],
  ])('%s in %s', (text, zone, expected) => expect(shown(period(text, zone)!)).toBe(expected))
})

const zone = fc.constantFrom(
  'UTC',
  'Africa/Johannesburg',
  'Africa/Casablanca',
  'America/New_York',
  'America/Sao_Paulo',
  'America/Havana',
  'Asia/Amman',
  'Asia/Kathmandu',
  'Atlantic/Azores',
  'Australia/Lord_Howe',
  'Europe/London',
  'Pacific/Kiritimati',
)
const two = (number: number) => String(number).padStart(2, '0')
const day = fc
  .date({ min: new Date('1900-01-01'), max: new Date('2037-12-30'), noInvalidDate: true })
  .map((date) => date.toISOString().slice(0, 10))
const dayAfter = (text: string) => new Date(Date.parse(text) + 86_400_000).toISOString().slice(0, 10)

describe('for any date', () => {
  test('days adjoin in every zone', () => {
    fc.assert(
      fc.property(day, zone, (text, zone) => {
        expect(period(dayAfter(text), zone)!.lo).toBe(period(text, zone)!.hi + 1)
      }),
      { numRuns: 500 },
    )
  })

  test('the months of a year add up to the year, the days of a month to the month', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9998 }), zone, (number, zone) => {
        const year = String(number).padStart(4, '0')
        const months = Array.from({ length: 12 }, (_, i) => period(`${year}-${two(i + 1)}`, zone)!)
        expect(months[0]!.lo).toBe(period(year, zone)!.lo)
        expect(months[11]!.hi).toBe(period(year, zone)!.hi)
        for (let i = 1; i < 12; i++) expect(months[i]!.lo).toBe(months[i - 1]!.hi + 1)
        const days = Array.from({ length: 31 }, (_, i) => period(`${year}-02-${two(i + 1)}`, zone)).filter(
          (each) => each,
        )
        const isLeap = (number % 4 === 0 && number % 100 !== 0) || number % 400 === 0
        expect(days).toHaveLength(isLeap ? 29 : 28)
        expect(days.at(-1)!.hi).toBe(months[1]!.hi)
      }),
    )
  })

  test('a more precise text lies within the less precise one', () => {
    fc.assert(
      fc.property(
        day,
        fc.nat(23),
        fc.nat(59),
        fc.nat(59),
        fc.nat(999),
        zone,
        (text, hour, minute, second, ms, zone) => {
          const precise = `${text}T${two(hour)}:${two(minute)}:${two(second)}.${String(ms).padStart(3, '0')}`
          const cuts = [4, 7, 10, 16, 19, 21, 22, 23].map((length) => period(precise.slice(0, length), zone)!)
          for (let i = 1; i < cuts.length; i++) {
            expect(cuts[i]!.lo).toBeLessThanOrEqual(cuts[i]!.hi)
            expect(overlap(cuts[i]!, cuts[i - 1]!)).toBe(true)
            expect(within(cuts[i]!, cuts[i - 1]!)).toBe(true)
          }
        },
      ),
      { numRuns: 500 },
    )
  })

  test('an instant with an offset is the instant Date reads', () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date(0), max: new Date('9999-12-31'), noInvalidDate: true }),
        zone,
        (date, zone) => {
          expect(period(date.toISOString(), zone)).toEqual({ lo: date.getTime(), hi: date.getTime() })
        },
      ),
    )
  })

  test('any text is a period or none', () => {
    const text = fc.oneof(fc.string(), fc.stringMatching(/^[0-9T:.Z+-]{0,30}$/))
    fc.assert(
      fc.property(text, zone, (text, zone) => {
        const found = period(text, zone)
        if (found) expect(found.lo).toBeLessThanOrEqual(found.hi)
      }),
      { numRuns: 1000 },
    )
  })
})
