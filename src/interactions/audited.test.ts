import { describe, expect, test } from '@jest/globals'
import { isAudited } from './audited.js'
import * as door from './index.js'

/** What leaves this folder and is no interaction: it is given what was found, or asks nothing of a store for a caller. */
const noInteractions = [
  'breather',
  'bundleHead',
  'capabilities',
  'commit',
  // Each question to terminology is asked within `consult`, which records it.
  'conceptMapsOf',
  'consult',
  'Definitions',
  'entriesOf',
  'etag',
  'historyEntry',
  'inWindows',
  'isSubset',
  'join',
  'loadCanonical',
  'outcomeEntry',
  'prepare',
  'profileRules',
  'profilesInForce',
  'refused',
  'reindexed',
  'retrying',
  'seal',
  'searchEntry',
  'subsetBytes',
  'subsetOf',
  'unseal',
  'versionsIn',
  'viewed',
  'writeAnswer',
  'writeBundle',
]

describe('the door of the interactions', () => {
  test('lets out nothing that leaves no event', () => {
    const functions = Object.entries(door).filter(([, each]) => typeof each === 'function')
    const unaudited = functions.filter(([, each]) => !isAudited(each)).map(([name]) => name)
    expect(unaudited.sort()).toEqual([...noInteractions].sort())
  })
})
