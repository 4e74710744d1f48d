/**
 * The collection in which commits leave their marks, and the keys of all that lies in it.
 *
 * Lanes, leases and the audit log lie in the same collection as the marks, so that one command writes what a commit
 * says besides its resources. Every key begins with the tenant, whose name holds no slash.
 */
export const commitsCollection = 'commits'

/** `seq` is the number of the last of its `n` versions, 0 until it is counted; `w` its place, `at` its time. */
export type CommitDocument = {
  _id: string
  t: string
  seq: number
  w: number
  at: number
  n: number
  v: [string, string, number][]
}

export const keyOf = {
  mark: (tenant: string, id: string): string => `${tenant}/mark/${id}`,
  audit: (tenant: string, id: string): string => `${tenant}/audit/${id}`,
  lane: (tenant: string, lane: number | ''): string => `${tenant}/lane/${lane}`,
  /** By whom a lane is held, and until when: apart from the lane, or each renewal would meet the commits on their way. */
  held: (tenant: string, lane: number | ''): string => `${tenant}/held/${lane}`,
  /** What a new lane and a new type write, so that who touches all lanes meets them too; it comes after all lanes. */
  root: (tenant: string): string => `${tenant}/lane/root`,
  /** Who numbers: versions, or entries of the audit log. */
  lease: (tenant: string, what: 'sequence' | 'chain'): string => `${tenant}/${what}`,
}
