/** A bounded memory of what was used lately: two generations, the older of which is dropped when the younger is full. */
export class Recent<K, V> {
  private young = new Map<K, V>()
  private old = new Map<K, V>()

  constructor(private readonly sizeMax: number) {}

  get(key: K): V | undefined {
    const value = this.young.get(key)
    if (value !== undefined) return value
    const older = this.old.get(key)
    if (older !== undefined) this.set(key, older)
    return older
  }

  set(key: K, value: V): void {
    if (this.young.size >= this.sizeMax) {
      this.old = this.young
      this.young = new Map()
    }
    this.young.set(key, value)
  }

  delete(key: K): void {
    this.young.delete(key)
    this.old.delete(key)
  }

  clear(): void {
    this.young.clear()
    this.old.clear()
  }
}
