/**
 * Whether what is about to be written satisfies an expression, chains and `_has` included: those are asked of the store,
 * and of what the same commit writes.
 *
 * https://hl7.org/fhir/R4/search.html#chaining
 *
 * For expressions of a reach, which say themselves what may be seen on the way: nothing is and-ed to them.
 */
import { reach, server } from '../access/index.js'
import type { Ref } from '../fhir/index.js'
import { and, type Expression, match } from '../search/index.js'
import type { Put } from '../store/index.js'
import type { Context } from './context.js'

type Chain = Extract<Expression, { op: 'chain' }>
type Has = Extract<Expression, { op: 'has' }>

export class Holds {
  private readonly drafts: ReadonlyMap<string, Put>
  private readonly known = new Map<string, Promise<boolean>>()

  constructor(
    private readonly context: Context,
    puts: Iterable<Put>,
  ) {
    this.drafts = new Map([...puts].map((put) => [addressOf(put), put]))
  }

  isDraft(ref: Ref): boolean {
    return this.drafts.has(addressOf(ref))
  }

  async of(put: Put, where: Expression): Promise<boolean> {
    switch (where.op) {
      case 'and':
        for (const each of where.of) if (!(await this.of(put, each))) return false
        return true
      case 'or':
        for (const each of where.of) if (await this.of(put, each)) return true
        return false
      case 'not':
        return !(await this.of(put, where.of))
      case 'typed':
        return Object.hasOwn(where.of, put.type) && this.of(put, where.of[put.type]!)
      case 'chain':
        return this.leads(put, where)
      case 'has':
        return this.isReferred(put, where)
      default:
        return match({ type: put.type, id: put.id, updated: this.context.clock(), entries: put.entries }, where)
    }
  }

  /** Those of the ids that satisfy the expression, or will when all is written. */
  async among(type: string, ids: readonly string[], where: Expression): Promise<Set<string>> {
    const found = new Set<string>()
    for (let at = 0; at < ids.length; at += idsMax) {
      const some = ids.slice(at, at + idsMax)
      for (const id of await this.search(type, and({ op: 'ids', ids: some }, where), some.length)) found.add(id)
    }
    if (this.drafts.size > 1)
      for (const id of ids) if (!found.has(id) && (await this.withDrafts({ type, id }, where))) found.add(id)
    return found
  }

  private async leads(put: Put, { param, types, of }: Chain): Promise<boolean> {
    for (const entry of put.entries)
      if (entry.kind === 'reference' && entry.param === param && types.includes(entry.type))
        if (await this.ofRef({ type: entry.type, id: entry.id }, of)) return true
    return false
  }

  private async ofRef(ref: Ref, where: Expression): Promise<boolean> {
    const draft = this.drafts.get(addressOf(ref))
    if (draft) return this.of(draft, where)
    if (await this.stored(ref.type, and({ op: 'ids', ids: [ref.id] }, where))) return true
    return this.drafts.size > 1 && this.withDrafts(ref, where)
  }

  /** Of a stored resource, as far as what is written now makes it true. */
  private async withDrafts(ref: Ref, where: Expression): Promise<boolean> {
    switch (where.op) {
      case 'or':
        for (const each of where.of) if (await this.withDrafts(ref, each)) return true
        return false
      case 'and':
        for (const each of where.of)
          if (!(await this.stored(ref.type, and({ op: 'ids', ids: [ref.id] }, each))))
            if (!(await this.withDrafts(ref, each))) return false
        return true
      case 'has':
        return this.isReferredByDraft(ref, where)
      default:
        return false
    }
  }

  private async isReferred(ref: Ref, where: Has): Promise<boolean> {
    if (await this.isReferredByDraft(ref, where)) return true
    const { type, param, of } = where
    return this.stored(type, and({ op: 'reference', param, target: { type: ref.type, id: ref.id } }, of))
  }

  private async isReferredByDraft(ref: Ref, { type, param, of }: Has): Promise<boolean> {
    for (const draft of this.drafts.values()) {
      if (draft.type !== type) continue
      const refers = draft.entries.some(
        (entry) =>
          entry.kind === 'reference' && entry.param === param && entry.type === ref.type && entry.id === ref.id,
      )
      if (refers && (await this.of(draft, of))) return true
    }
    return false
  }

  /** Many entries of a transaction are about one patient: each question is asked once. */
  private stored(type: string, where: Expression): Promise<boolean> {
    const key = `${type}?${JSON.stringify(where)}`
    let answer = this.known.get(key)
    if (!answer) {
      answer = this.ask(type, where)
      this.known.set(key, answer)
    }
    return answer
  }

  private async ask(type: string, where: Expression): Promise<boolean> {
    return (await this.search(type, where, 1)).length > 0
  }

  private async search(type: string, where: Expression, count: number): Promise<string[]> {
    const { store, caller } = this.context
    const query = { types: [type], where, sort: [], include: [], count, total: false }
    const { matches } = await store.search(query, reach(server(caller.tenant, 'admission'), 'search'))
    return matches.map(({ stored }) => stored.id)
  }
}

const idsMax = 500

const addressOf = ({ type, id }: Ref): string => `${type}/${id}`
