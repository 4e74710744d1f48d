/**
 * `near`: places within a distance of a position.
 *
 * https://hl7.org/fhir/R4/location.html#search
 */
import { invalid, isObject } from '../fhir/index.js'
import type { Emit } from './entries.js'
import { splitEscaped, unescaped } from './escapes.js'
import type { NearTest } from './expression.js'
import { readNumber, toNumber } from './numbers.js'
import { canonicalUnit } from './ucum.js'

/** "If the distance is omitted, the server may choose": a day's walk and back. */
const defaultKm = 50

export function positionEmitter(param: string, type: string): Emit | undefined {
  if (type !== 'Location.position') return undefined
  return (value, { entries }) => {
    if (!isObject(value)) return
    const latitude = toNumber(value['latitude'])
    const longitude = toNumber(value['longitude'])
    if (latitude !== undefined && longitude !== undefined)
      entries.push({ kind: 'position', param, latitude, longitude })
  }
}

/**
 * `latitude|longitude|distance|unit`; the distance and its unit (UCUM, kilometres if not said) may be left out.
 *
 * @throws FhirError naming the parameter
 */
export function nearTest(param: string, text: string, name: string): NearTest {
  const [latitude, longitude, distance, unit, ...more] = splitEscaped(text, '|').map(unescaped)
  if (latitude === undefined || longitude === undefined || more.length)
    throw invalid(`"${name}" takes latitude|longitude|distance|unit, for example -83.69|42.25|11.2|km`, name)
  const at = { latitude: readNumber(latitude, name).value, longitude: readNumber(longitude, name).value }
  if (Math.abs(at.latitude) > 90 || Math.abs(at.longitude) > 180)
    throw invalid(`"${name}" takes a latitude from -90 to 90 and a longitude from -180 to 180`, name)
  if (!distance) return { op: 'near', param, ...at, km: defaultKm }
  const base = canonicalUnit(unit || 'km')
  if (base?.code !== 'm') throw invalid(`"${name}" takes a UCUM unit of length, such as km, m or [mi_i]`, name)
  const km = base.toBase(readNumber(distance, name).value) / 1000
  if (km < 0) throw invalid(`"${name}" takes a distance that is not negative`, name)
  return { op: 'near', param, ...at, km }
}

const earthKm = 6371.0088

/** Along the surface of a sphere with the earth's mean radius. */
export function distanceKm(
  a: { latitude: number; longitude: number },
  b: { latitude: number; longitude: number },
): number {
  const radians = (degrees: number) => (degrees * Math.PI) / 180
  const h =
    Math.sin(radians(b.latitude - a.latitude) / 2) ** 2 +
    Math.cos(radians(a.latitude)) *
      Math.cos(radians(b.latitude)) *
      Math.sin(radians(b.longitude - a.longitude) / 2) ** 2
  return 2 * earthKm * Math.asin(Math.min(1, Math.sqrt(h)))
}
