/**
 * What the stand-in passes itself off as, so that what is said to servers the store cannot use can be tested.
 *
 * https://www.mongodb.com/docs/manual/reference/built-in-roles/#mongodb-authrole-readWrite
 */

/**
 * @typedef {object} Pose
 * @property {boolean} [standalone] no replica set
 * @property {string} [version] such as `5.0.9`
 * @property {number} [skewMs] how far its clock is ahead
 * @property {{ role: 'read' | 'readWrite', db: string }} [user] what whoever connects may do
 */

/** https://github.com/mongodb/specifications/blob/master/source/wireversion-featurelist/wireversion-featurelist.md */
const WIRE_VERSIONS = { 4.0: 7, 4.2: 8, 4.4: 9, '5.0': 13, '6.0': 17, '7.0': 21, '8.0': 25 }

export const wireVersionOf = (version) => WIRE_VERSIONS[version.split('.').slice(0, 2).join('.')]

/** Needs no right at all, or concerns only what is the user's own. */
export const FREE = new Set([
  'hello',
  'isMaster',
  'ismaster',
  'ping',
  'buildInfo',
  'buildinfo',
  'connectionStatus',
  'startSession',
  'refreshSessions',
  'endSessions',
  'killSessions',
  'commitTransaction',
  'abortTransaction',
  'getMore',
  'killCursors',
])

const READ = ['find', 'aggregate', 'count', 'distinct', 'explain', 'listCollections', 'listIndexes', 'collStats']

/** By role, on the role's own database only. */
export const RIGHTS = {
  read: new Set([...READ, 'dbStats']),
  readWrite: new Set([
    ...READ,
    'dbStats',
    'insert',
    'update',
    'delete',
    'findAndModify',
    'bulkWrite',
    'create',
    'drop',
    'createIndexes',
    'dropIndexes',
  ]),
}

/** Stages that need the rights of who watches over a cluster, or write where the role may not. */
const STAGES = new Set(['$indexStats', '$currentOp', '$listSessions', '$listLocalSessions', '$planCacheStats'])

/** Whether a user may not run a command. */
export function isForbidden(user, name, database, body) {
  if (!user || FREE.has(name)) return false
  if (database !== user.db || !RIGHTS[user.role].has(name)) return true
  return name === 'aggregate' && Array.isArray(body.pipeline) && body.pipeline.some((stage) => hasStage(stage))
}

const hasStage = (stage) =>
  Object.keys(stage).some((name) => STAGES.has(name)) || stage.$changeStream?.allChangesForCluster === true
