export * from './account.js'
