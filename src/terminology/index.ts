export { createTerminology, type Load } from './create-terminology.js'
export * from './terminology.js'
