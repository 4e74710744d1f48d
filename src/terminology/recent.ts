/** Keeps what was used last, up to a total weight; what was used longest ago goes first. */
export class Recent<T> {
  private readonly entries = new Map<string, { value: T; weight: number }>()
  private total = 0

  constructor(private readonly weightMax: number) {}

  get(key: string): T | undefined {
    const entry = this.entries.get(key)
    if (!entry) return undefined
    this.entries.delete(key)
    this.entries.set(key, entry)
    return entry.value
  }

  set(key: string, value: T, weight: number): void {
    this.delete(key)
    if (weight > this.weightMax) return
    this.entries.set(key, { value, weight })
    this.total += weight
    for (const oldest of this.entries.keys()) {
      if (this.total <= this.weightMax) break
      this.delete(oldest)
    }
  }

  private delete(key: string): void {
    this.total -= this.entries.get(key)?.weight ?? 0
    this.entries.delete(key)
  }
}
