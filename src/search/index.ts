export * from './expression.js'
export * from './params.js'
export type { Reach } from './reach.js'
