export { refuseInvalid, structureIssues, warmUp } from './structure.js'
