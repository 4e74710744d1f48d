export * from './operation.js'
