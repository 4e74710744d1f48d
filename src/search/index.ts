export * from './expression.js'
export * from './params.js'
export * from './parsed.js'
export type { Reach } from './reach.js'
