/**
 * Where one way of answering becomes better than another. Tests set them low, so that few resources try every way.
 */
export type Tuning = {
  /** At most so many values of a parameter are tested one by one; more become a set that is made once. */
  probesMax: number
  /** A list of values is looked up beforehand up to this length. */
  termsMax: number
  /** At most so many parts are each read in order and merged. */
  partsMax: number
  /** Sets of fewer resources are made once, instead of asking for each candidate. */
  setMax: number
  /** From so many candidates on, an index in the order asked for is read instead of sorting them. */
  sortedMin: number
  /** From so many candidates in no order on, every resource of the type is looked at in order instead. */
  scannedMin: number
  /** So many candidates for each resource of the type are as good a reason to look at them in order. */
  repeatedMin: number
  /** A patient with fewer resources of the type has them sorted. */
  timelineMin: number
  /** Of so few candidates it is decided one by one which are within a reach that follows references. */
  fewMax: number
  /** When more full texts wait, some are indexed at once. */
  wordingMax: number
}

export const tuning: Tuning = {
  probesMax: 8,
  termsMax: 256,
  partsMax: 16,
  setMax: 2000,
  sortedMin: 1000,
  scannedMin: 10_000,
  repeatedMin: 50,
  timelineMin: 32,
  fewMax: 32,
  wordingMax: 1024,
}
