/**
 * Terms used lately. Looked up a dozen times for every resource that is written, so the key is never put together.
 */
import { detached } from '../../fhir/index.js'
import type { Term } from './dictionary.js'

type Known = { sys: number; raw: string | null; term: number }
type Values = Map<string | null, Known[]>

/** Two generations, as in Recent, of terms by parameter and value. */
export class TermCache {
  private young = new Map<number, Values>()
  private old = new Map<number, Values>()
  private size = 0

  constructor(private readonly sizeMax: number) {}

  get(term: Term): number | undefined {
    const found = find(this.young, term)
    if (found !== undefined) return found
    const older = find(this.old, term)
    if (older !== undefined) this.set(term, older)
    return older
  }

  set({ pid, value, sys, raw }: Term, term: number): void {
    if (this.size >= this.sizeMax) {
      this.old = this.young
      this.young = new Map()
      this.size = 0
    }
    this.size++
    let values = this.young.get(pid)
    if (!values) {
      values = new Map()
      this.young.set(pid, values)
    }
    const kept = { sys, raw: raw === null ? null : detached(raw), term }
    const known = values.get(value)
    if (known) known.push(kept)
    else values.set(value === null ? null : detached(value), [kept])
  }

  /** All terms of that value. */
  forget(pid: number, value: string | null): void {
    this.young.get(pid)?.delete(value)
    this.old.get(pid)?.delete(value)
  }

  clear(): void {
    this.young.clear()
    this.old.clear()
    this.size = 0
  }
}

function find(terms: Map<number, Values>, { pid, value, sys, raw }: Term): number | undefined {
  const known = terms.get(pid)?.get(value)
  if (known) for (const each of known) if (each.sys === sys && each.raw === raw) return each.term
  return undefined
}
