export { createTerminology, type Load } from './create-terminology.js'
export { Recent } from './recent.js'
export * from './terminology.js'
