/**
 * The levels of confidentiality, from the least to the most.
 *
 * https://terminology.hl7.org/CodeSystem-v3-Confidentiality.html
 */
export const levels = ['U', 'L', 'M', 'N', 'R', 'V'] as const

export type Level = (typeof levels)[number]

export const isLevel = (code: unknown): code is Level => (levels as readonly unknown[]).includes(code)

/** The higher of two; a level nobody stated is the lowest. */
export const higher = (a: Level | undefined, b: Level | undefined): Level | undefined =>
  a === undefined ? b : b === undefined || levels.indexOf(a) >= levels.indexOf(b) ? a : b
