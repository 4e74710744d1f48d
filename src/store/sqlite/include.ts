/**
 * What a page brings along: resources its matches refer to, and resources that refer to them.
 *
 * https://hl7.org/fhir/R4/search.html#include
 *
 * Asked for by sets, one statement an include and level. `:iterate` goes on from what was included last, until nothing
 * is new. Only what the caller may see of each type is included.
 */
import { everything, type Include } from '../../search/index.js'
import { StoreLimit } from '../store.js'
import type { Lookup } from './lookup.js'
import type { Plan } from './plan.js'
import { targetsOf } from './posted.js'
import type { Scope } from './source.js'
import { sql } from './sql.js'

type Member = { rid: number; tid: number }

export class Includes {
  constructor(
    private readonly lookup: Lookup,
    private readonly plan: Plan,
    private readonly includesMax: number,
  ) {}

  /** @returns the numbers of what is included, in order of creation. @throws StoreLimit */
  of(matches: readonly Member[], includes: readonly Include[]): number[] {
    const known = new Set(matches.map(({ rid }) => rid))
    const found: number[] = []
    let frontier = [...matches]
    let asked = [...includes]
    while (frontier.length && asked.length) {
      const added: Member[] = []
      for (const include of asked)
        for (const member of include.reverse ? this.referring(frontier, include) : this.referred(frontier, include)) {
          if (known.has(member.rid)) continue
          if (found.length >= this.includesMax) throw new StoreLimit('includes', this.includesMax)
          known.add(member.rid)
          found.push(member.rid)
          added.push(member)
        }
      frontier = added
      asked = includes.filter(({ iterate }) => iterate)
    }
    return found.sort((a, b) => a - b)
  }

  /** The targets of `param` in those of the frontier that are of the include's type. */
  private referred(frontier: readonly Member[], { type, param, target }: Include): Member[] {
    const targets = new Set<number>()
    for (const [tid, rids] of byType(frontier)) {
      if (type !== '*' && this.lookup.names.typeOf(tid) !== type) continue
      const pids = param === '*' ? undefined : [this.lookup.pid(tid, param, 'reference') ?? -1]
      const entries = this.lookup.db.all<{ data: Buffer }>(
        sql`SELECT e.data FROM json_each(${JSON.stringify(rids)}) j CROSS JOIN entry e ON e.rid = j.value`,
      )
      const named = new Set(this.lookup.names.referencesOf(tid).map(({ pid }) => pid))
      for (const { data } of entries) for (const each of targetsOf(data, pids ?? [...named])) targets.add(each)
    }
    return targets.size ? this.visible([...targets], target) : []
  }

  private visible(rids: number[], type: string | undefined): Member[] {
    const rows = this.lookup.db.all<Member>(
      sql`SELECT r.rid, r.tid FROM json_each(${JSON.stringify(rids)}) j CROSS JOIN resource r ON r.rid = j.value AND r.live = 1`,
    )
    const found: Member[] = []
    for (const [tid, members] of byType(rows)) {
      const name = this.lookup.names.typeOf(tid)
      if (type !== undefined && name !== type) continue
      const scope: Scope = { tid, type: name, trusted: false }
      if (this.plan.visible(scope, everything).length === 0) found.push(...members.map((rid) => ({ rid, tid })))
      else
        found.push(
          ...this.lookup.db.all<Member>(
            sql`SELECT r.rid, r.tid FROM json_each(${JSON.stringify(members)}) j CROSS JOIN resource r ON r.rid = j.value
                WHERE ${this.plan.holds(scope, everything, sql`r.rid`)}`,
          ),
        )
    }
    return found
  }

  /** Resources of the include's type whose `param` refers to one of the frontier. */
  private referring(frontier: readonly Member[], { type, param, target }: Include): Member[] {
    const rids = frontier
      .filter(({ tid }) => target === undefined || this.lookup.names.typeOf(tid) === target)
      .map(({ rid }) => rid)
    const types = type === '*' ? this.lookup.names.allTypes() : [type]
    return types.flatMap((each) => {
      const scope = this.plan.scope(each)
      if (!scope || !rids.length) return []
      const pids =
        param === '*'
          ? this.lookup.names.referencesOf(scope.tid).map(({ pid }) => pid)
          : [this.lookup.pid(scope.tid, param, 'reference')].filter((pid) => pid !== undefined)
      if (!pids.length) return []
      return this.lookup.db.all<Member>(
        sql`SELECT DISTINCT f.rid, ${scope.tid} AS tid FROM json_each(${JSON.stringify(rids)}) j
            CROSS JOIN json_each(${JSON.stringify(pids)}) p
            CROSS JOIN reference f ON f.target = j.value AND f.pid = p.value
            WHERE ${this.plan.holds(scope, everything, sql`f.rid`)} ORDER BY f.rid LIMIT ${this.includesMax + 1} + 0`,
      )
    })
  }
}

function byType(members: readonly Member[]): Map<number, number[]> {
  const types = new Map<number, number[]>()
  for (const { rid, tid } of members) {
    const of = types.get(tid)
    if (of) of.push(rid)
    else types.set(tid, [rid])
  }
  return types
}
