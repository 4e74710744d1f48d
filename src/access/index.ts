export * from './caller.js'
export * from './reach.js'
export * from './scope.js'
