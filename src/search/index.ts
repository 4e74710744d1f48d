export { compartment, memberTypes } from './compartments.js'
export * from './expression.js'
export { indexed } from './indexed.js'
export {
  custodianOf,
  custodianParam,
  custodianUrl,
  participantParam,
  periodParam,
  securityContextParam,
} from './internal.js'
export { match, type Subject, type World } from './match.js'
export * from './params.js'
export { parse } from './parse.js'
export * from './parsed.js'
export { distanceKm } from './positions.js'
export { readParameters, writeParameters } from './query-string.js'
export type { Reach } from './reach.js'
export { compareKeys, sortKeyOf, sortKeys } from './sort-key.js'
