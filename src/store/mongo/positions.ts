/**
 * Places on the sphere as points in space: a distance along the surface is a straight one below it, and so needs no
 * sines in the query.
 *
 * https://en.wikipedia.org/wiki/Chord_(geometry)
 */
import { distanceKm, type NearTest } from '../../search/index.js'
import type { Filter } from './filter.js'

const radians = (degrees: number): number => (degrees * Math.PI) / 180

/** The radius `distanceKm` measures with: half the way around is half the circumference. */
const earthKm = distanceKm({ latitude: 0, longitude: 0 }, { latitude: 0, longitude: 180 }) / Math.PI

export function pointOf({ latitude, longitude }: { latitude: number; longitude: number }) {
  const around = Math.cos(radians(latitude))
  return {
    x: around * Math.cos(radians(longitude)),
    y: around * Math.sin(radians(longitude)),
    z: Math.sin(radians(latitude)),
  }
}

/** A box that no place within the distance is outside of, then the distance itself, of places of the parameter. */
export function withinReach(p: string, test: NearTest): Filter {
  const point = pointOf(test)
  const half = Math.min(test.km / (2 * earthKm), Math.PI / 2)
  // Rounding must not lose a place at exactly the distance.
  const chord = 2 * Math.sin(half) * (1 + 1e-12) + 1e-12
  const box = Object.fromEntries(
    Object.entries(point).map(([axis, at]) => [axis, { $gte: at - chord, $lte: at + chord }]),
  )
  const square = (axis: keyof typeof point) => {
    const away = { $subtract: [`$$place.${axis}`, point[axis]] }
    return { $multiply: [away, away] }
  }
  return {
    $and: [
      { g: { $elemMatch: { p, ...box } } },
      {
        $expr: {
          $gt: [
            {
              $size: {
                $filter: {
                  input: { $ifNull: ['$g', []] },
                  as: 'place',
                  cond: {
                    $and: [
                      { $eq: ['$$place.p', { $literal: p }] },
                      { $lte: [{ $add: [square('x'), square('y'), square('z')] }, chord * chord] },
                    ],
                  },
                },
              },
            },
            0,
          ],
        },
      },
    ],
  }
}
