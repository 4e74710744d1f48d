/**
 * Whether one resource is within a reach: decided once, and remembered while it holds.
 *
 * https://hl7.org/fhir/R4/security.html
 *
 * Chains are followed one resource at a time, so that what is decided about a patient counts for all that is recorded
 * of the patient. Readers ask; a commit, which sees what is not there for others yet, does not.
 */
import type { Expression, Reach } from '../../search/index.js'
import type { About, Decisions } from './decisions.js'
import type { Questions } from './functions.js'
import type { Lookup } from './lookup.js'
import { Plan } from './plan.js'
import { targetsOf } from './posted.js'
import type { Scope } from './source.js'
import { sql } from './sql.js'
import type { Tuning } from './tuning.js'

/** A current resource that is not deleted. */
export type Sighted = { rid: number; seq: number }

export class Sight {
  constructor(
    private readonly lookup: Lookup,
    private readonly questions: Questions,
    private readonly decisions: Decisions,
    private readonly tenant: string,
    private readonly tuning: Tuning,
  ) {}

  sees(reach: Reach, type: string, resource: Sighted): boolean {
    const tid = this.lookup.names.tidOf(type)
    if (tid === undefined) return false
    const where = reach.of(type)
    if (where.op === 'everything' || where.op === 'nothing') return where.op === 'everything'
    return this.decisions.untilWritten(where, { tenant: this.tenant, ...resource }, () =>
      this.holds(reach, { tid, type, trusted: true }, where, resource),
    )
  }

  /** The expression of a reach holds for the resource. */
  holds(reach: Reach, scope: Scope, where: Expression, resource: Sighted): boolean {
    switch (where.op) {
      case 'everything':
        return true
      case 'nothing':
        return false
      case 'typed':
        return Object.hasOwn(where.of, scope.type) && this.holds(reach, scope, where.of[scope.type]!, resource)
    }
    const node = this.decisions.node(where)
    const about: About = { tenant: this.tenant, ...resource }
    if (node.local) return this.decisions.decide(node, about, () => this.decide(reach, scope, where, resource.rid))
    switch (where.op) {
      case 'and':
        return where.of.every((each) => this.holds(reach, scope, each, resource))
      case 'or':
        return where.of.some((each) => this.holds(reach, scope, each, resource))
      case 'not':
        return !this.holds(reach, scope, where.of, resource)
      case 'chain': {
        const { param, types, of } = where
        const targets = this.decisions.decide({ ...node, local: true }, about, () =>
          this.targets(scope, param, resource.rid),
        )
        return targets.some((target) => {
          const found = this.target(target)
          if (!found || !types.includes(found.type)) return false
          return this.holds(reach, { tid: found.tid, type: found.type, trusted: true }, of, found)
        })
      }
      default:
        return this.decisions.decide(node, about, () => this.decide(reach, scope, where, resource.rid))
    }
  }

  /** All of a type for which an expression that follows references holds; undefined if it is not known. */
  all(type: string, where: Expression, find: () => number[] | undefined): number[] | undefined {
    const node = this.decisions.node(where)
    return node.types.length ? this.decisions.all(node, this.tenant, type, find) : undefined
  }

  /** One part after the other: mostly the first that holds says enough. */
  private decide(reach: Reach, scope: Scope, where: Expression, rid: number): boolean {
    switch (where.op) {
      case 'and':
        return where.of.every((each) => this.decide(reach, scope, each, rid))
      case 'or':
        return where.of.some((each) => this.decide(reach, scope, each, rid))
      case 'not':
        return !this.decide(reach, scope, where.of, rid)
    }
    const { mark } = this.questions
    try {
      const plan = new Plan(this.lookup, reach, this.questions, this.tuning)
      return this.lookup.db.value<number>(sql`SELECT ${plan.test(scope, where, sql`${rid}`, rid)} IS TRUE`) === 1
    } finally {
      this.questions.release(mark)
    }
  }

  private targets(scope: Scope, param: string, rid: number): number[] {
    const pid = this.lookup.pid(scope.tid, param, 'reference')
    if (pid === undefined) return []
    const data = this.lookup.db.value<Buffer>(sql`SELECT data FROM entry WHERE rid = ${rid}`)
    return data ? targetsOf(data, [pid]) : []
  }

  private target(rid: number): (Sighted & { tid: number; type: string }) | undefined {
    const row = this.lookup.db.row<[tid: number, seq: number]>(
      sql`SELECT tid, seq FROM resource WHERE rid = ${rid} AND live = 1`,
    )
    return row && { rid, seq: row[1], tid: row[0], type: this.lookup.names.typeOf(row[0]) }
  }
}
