export * from './expression.js'
export type { Reach } from './reach.js'
