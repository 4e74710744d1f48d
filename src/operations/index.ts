import { closure } from './closure.js'
import { convert } from './convert.js'
import { document } from './document.js'
import { encounterEverything, groupEverything, patientEverything } from './everything.js'
import { expand } from './expand.js'
import { lastn } from './lastn.js'
import { lookup } from './lookup.js'
import { meta } from './meta.js'
import { metaAdd, metaDelete } from './meta-change.js'
import type { Operation } from './operation.js'
import { snapshot } from './snapshot.js'
import { subsumes } from './subsumes.js'
import { translate } from './translate.js'
import { validate } from './validate.js'
import { validateCodeOfCodeSystem, validateCodeOfValueSet } from './validate-code.js'

export * from './operation.js'

/** Every operation there is; a code may stand here once for each of its types. */
export const operations: readonly Operation[] = [
  patientEverything,
  groupEverything,
  encounterEverything,
  validate,
  lastn,
  meta,
  metaAdd,
  metaDelete,
  document,
  convert,
  snapshot,
  expand,
  lookup,
  validateCodeOfValueSet,
  validateCodeOfCodeSystem,
  subsumes,
  translate,
  closure,
]
