/**
 * The mark each commit leaves: what became visible at once, until and after the sequence has counted it.
 *
 * The lanes and the lease of the sequence lie in the same collection, so that one command writes a mark and its lane.
 */
export const commitsCollection = 'commits'

/** `seq` is the number of the last of its `n` versions, 0 until it is counted; `w` its place, `at` its time. */
export type CommitDocument = {
  _id: string
  seq: number
  w: number
  at: number
  n: number
  v: [string, string, number][]
}
