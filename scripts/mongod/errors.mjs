/**
 * The errors of MongoDB by number and name, as the commands answer them.
 *
 * https://www.mongodb.com/docs/manual/reference/error-codes/
 */

/** Numbers that have a name of their own; the others are called `Location<number>`. */
const NAMES = {
  1: 'InternalError',
  2: 'BadValue',
  6: 'HostUnreachable',
  7: 'HostNotFound',
  8: 'UnknownError',
  9: 'FailedToParse',
  11: 'UserNotFound',
  13: 'Unauthorized',
  14: 'TypeMismatch',
  15: 'Overflow',
  16: 'InvalidLength',
  17: 'ProtocolError',
  18: 'AuthenticationFailed',
  20: 'IllegalOperation',
  22: 'InvalidBSON',
  24: 'LockTimeout',
  26: 'NamespaceNotFound',
  27: 'IndexNotFound',
  28: 'PathNotViable',
  40: 'ConflictingUpdateOperators',
  43: 'CursorNotFound',
  46: 'LockBusy',
  48: 'NamespaceExists',
  50: 'MaxTimeMSExpired',
  52: 'DollarPrefixedFieldName',
  53: 'InvalidIdField',
  54: 'NotSingleValueField',
  56: 'EmptyFieldName',
  57: 'DottedFieldName',
  59: 'CommandNotFound',
  61: 'ShardKeyNotFound',
  62: 'OplogOperationUnsupported',
  64: 'WriteConcernFailed',
  66: 'ImmutableField',
  67: 'CannotCreateIndex',
  68: 'IndexAlreadyExists',
  72: 'InvalidOptions',
  73: 'InvalidNamespace',
  79: 'UnknownReplWriteConcern',
  85: 'IndexOptionsConflict',
  86: 'IndexKeySpecsConflict',
  89: 'NetworkTimeout',
  91: 'ShutdownInProgress',
  96: 'OperationFailed',
  100: 'UnsatisfiableWriteConcern',
  112: 'WriteConflict',
  115: 'CommandNotSupported',
  117: 'ConflictingOperationInProgress',
  121: 'DocumentValidationFailure',
  125: 'CommandFailed',
  133: 'FailedToSatisfyReadPreference',
  134: 'ReadConcernMajorityNotAvailableYet',
  146: 'ExceededMemoryLimit',
  168: 'InvalidPipelineOperator',
  171: 'CannotIndexParallelArrays',
  175: 'QueryPlanKilled',
  189: 'PrimarySteppedDown',
  197: 'InvalidIndexSpecificationOption',
  211: 'KeyNotFound',
  215: 'DatabaseDropPending',
  225: 'TransactionTooOld',
  237: 'CursorKilled',
  246: 'SnapshotUnavailable',
  251: 'NoSuchTransaction',
  256: 'TransactionCommitted',
  257: 'TransactionTooLarge',
  260: 'InvalidResumeToken',
  262: 'ExceededTimeLimit',
  263: 'OperationNotSupportedInTransaction',
  280: 'ChangeStreamFatalError',
  286: 'ChangeStreamHistoryLost',
  291: 'NoQueryExecutionPlans',
  9001: 'SocketException',
  10107: 'NotWritablePrimary',
  10334: 'BSONObjectTooLarge',
  11000: 'DuplicateKey',
  11600: 'InterruptedAtShutdown',
  11601: 'Interrupted',
  11602: 'InterruptedDueToReplStateChange',
  13388: 'StaleConfig',
  13435: 'NotPrimaryNoSecondaryOk',
  13436: 'NotPrimaryOrSecondary',
  14031: 'OutOfDiskSpace',
}

/** The name a server answers beside an error's number. */
export const nameOf = (code) => NAMES[code] ?? `Location${code}`

/** A command's error: `more` are further members of the reply (`keyPattern`, `errInfo`). */
export class CommandError extends Error {
  /**
   * @param {number} code
   * @param {string} message
   * @param {Record<string, unknown>} [more]
   */
  constructor(code, message, more = {}) {
    super(message)
    this.code = code
    this.more = more
    /** @type {string[] | undefined} labels given by a failure on demand; they replace the server's own */
    this.labels = undefined
  }
}

/**
 * Fails the command.
 * @param {number} code
 * @param {string} message
 * @param {Record<string, unknown>} [more]
 * @returns {never}
 */
export function refuse(code, message, more) {
  throw new CommandError(code, message, more)
}

/** What the stand-in does not do it says, so that nobody builds on an approximation. */
export const unsupported = (what) => refuse(115, `the stand-in for MongoDB does not support ${what}`)

/** Thrown by a plain write that meets a document a transaction holds: it waits and tries again. */
export class Blocked extends Error {}

/** Errors after which a driver may send a retryable write again. */
const RETRYABLE = new Set([6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436])
/** Errors of a statement in a transaction after which the whole transaction may be done again. */
const TRANSIENT = new Set([24, 112, 246, 251, ...RETRYABLE])

/**
 * The labels a server puts on an error.
 * @param {number} code
 * @param {{ inTransaction: boolean, command: string, retryable: boolean }} where
 */
export function labelsFor(code, { inTransaction, command, retryable }) {
  const ending = command === 'commitTransaction' || command === 'abortTransaction'
  if (inTransaction && !ending && TRANSIENT.has(code)) return ['TransientTransactionError']
  if (command === 'commitTransaction' && (code === 251 || code === 112 || code === 246))
    return ['TransientTransactionError']
  if ((retryable || ending) && RETRYABLE.has(code)) return ['RetryableWriteError']
  return []
}
