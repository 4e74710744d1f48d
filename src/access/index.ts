export * from './caller.js'
