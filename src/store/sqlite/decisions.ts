/**
 * What was decided of who may see what, kept while it holds.
 *
 * https://hl7.org/fhir/R4/security.html
 *
 * A decision is about one expression (as an object, so that two that differ are never taken for each other) and one
 * version of a resource. It also hangs on resources that refer to the resource (a care team, an encounter): a commit
 * that changes, makes or deletes one ends the decisions about all it referred to or refers to now. Expressions that
 * lead further hang on every resource of the types they lead to. Decisions end in the moment in which readers see the
 * commit.
 */
import type { Expression } from '../../search/index.js'
import { Recent } from './recent.js'

/** What can be known of an expression beforehand. `local`: it leads no further than to what refers to the resource. */
export type Node = { number: number; local: boolean; types: readonly string[] }

type Decision<T> = { seq: number; epoch: number; stamp: number; of: T }

type Known = { tenant: string; type: string; stamp: number; rids: number[] | undefined }

/** About one version of a resource of a tenant. */
export type About = { tenant: string; rid: number; seq: number }

const decisionsMax = 20_000
const setsMax = 256
/** Resources share counters; those that share one are decided anew together. */
const slots = 65_536
/** Numbers of expressions and of resources must fit a safe integer together. */
const ridsMax = 2 ** 32
const nodesMax = 2 ** 20

export class Decisions {
  private decisions = new Recent<number, Decision<unknown>>(decisionsMax)
  private whole = new Recent<number, { seq: number; tenant: string; of: boolean }>(decisionsMax)
  private sets = new Recent<number, Known>(setsMax)
  private nodes = new WeakMap<Expression, Node>()
  private nextNode = 0
  private readonly epochs = new Uint32Array(slots)
  private readonly written = new Map<string, number>()
  /** Of commits that readers do not see yet. */
  private readonly coming = { slots: new Set<number>(), types: new Set<string>(), all: false }

  node(expression: Expression): Node {
    let node = this.nodes.get(expression)
    if (!node) {
      if (this.nextNode >= nodesMax) this.clear()
      node = { number: this.nextNode++, ...walked(expression) }
      this.nodes.set(expression, node)
    }
    return node
  }

  decide<T>({ number, local, types }: Node, { tenant, rid, seq }: About, decision: () => T): T {
    if (rid >= ridsMax) return decision()
    const key = number * ridsMax + rid
    const epoch = this.epochs[rid % slots]!
    const stamp = local ? 0 : this.stamp(tenant, types)
    const known = this.decisions.get(key) as Decision<T> | undefined
    if (known && known.seq === seq && known.epoch === epoch && known.stamp === stamp) return known.of
    const of = decision()
    this.decisions.set(key, { seq, epoch, stamp, of })
    return of
  }

  /** A decision as a whole, whatever it leads to, as long as nothing at all is written. */
  untilWritten(where: Expression, { tenant, rid, seq }: About, decision: () => boolean): boolean {
    if (rid >= ridsMax) return decision()
    const key = this.node(where).number * ridsMax + rid
    const known = this.whole.get(key)
    if (known && known.seq === seq && known.tenant === tenant) return known.of
    const of = decision()
    this.whole.set(key, { seq, tenant, of })
    return of
  }

  /** All of a type for which the expression holds; undefined where that is not known, because they are many. */
  all({ number, types }: Node, tenant: string, type: string, find: () => number[] | undefined): number[] | undefined {
    const stamp = this.stamp(tenant, [type, ...types])
    const known = this.sets.get(number)
    if (known && known.tenant === tenant && known.type === type && known.stamp === stamp) return known.rids
    const rids = find()
    this.sets.set(number, { tenant, type, stamp, rids })
    return rids
  }

  /** Changes with every resource of the types. */
  private stamp(tenant: string, types: readonly string[]): number {
    return types.reduce((sum, type) => sum + (this.written.get(`${tenant} ${type}`) ?? 0), 0)
  }

  /** Inside a commit: a resource of a type, which refers or referred to others, is another now. */
  wrote(tenant: string, type: string, rids: Iterable<number>): void {
    this.coming.types.add(`${tenant} ${type}`)
    for (const rid of rids) this.coming.slots.add(rid % slots)
  }

  /** Inside a commit: what is known of resources changed without a new version of them. */
  wroteAnew(): void {
    this.coming.all = true
  }

  /** Readers see the commits from now on. */
  committed(): void {
    const { slots, types, all } = this.coming
    if (slots.size || types.size || all) this.whole.clear()
    for (const slot of slots) this.epochs[slot]!++
    for (const type of types) this.written.set(type, (this.written.get(type) ?? 0) + 1)
    if (all) this.clear()
    slots.clear()
    types.clear()
    this.coming.all = false
  }

  private clear(): void {
    this.decisions = new Recent(decisionsMax)
    this.whole = new Recent(decisionsMax)
    this.sets = new Recent(setsMax)
    this.nodes = new WeakMap()
    this.nextNode = 0
  }
}

function walked(expression: Expression): { local: boolean; types: string[] } {
  const types = new Set<string>()
  let local = true
  const walk = (each: Expression, inside: boolean): void => {
    switch (each.op) {
      case 'and':
      case 'or':
        for (const part of each.of) walk(part, inside)
        break
      case 'not':
        walk(each.of, inside)
        break
      case 'typed':
        for (const part of Object.values(each.of)) walk(part, inside)
        break
      case 'chain':
        local = false
        for (const type of each.types) types.add(type)
        walk(each.of, true)
        break
      case 'has':
        if (inside) local = false
        types.add(each.type)
        walk(each.of, true)
        break
    }
  }
  walk(expression, false)
  return { local, types: [...types] }
}
