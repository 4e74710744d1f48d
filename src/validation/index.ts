export { type Arguments, argumentIssues } from './arguments.js'
export { invariantIssues } from './invariants.js'
export { refuseInvalid, structureIssues, warmUp } from './structure.js'
export { validate } from './validate.js'
