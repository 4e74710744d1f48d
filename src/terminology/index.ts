export * from './terminology.js'
