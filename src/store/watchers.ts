/** Those who are told that something may have become visible. */
export class Watchers {
  private readonly listeners = new Set<() => void>()

  readonly watch = (listener: () => void): (() => void) => {
    const own = () => listener()
    this.listeners.add(own)
    return () => {
      this.listeners.delete(own)
    }
  }

  tell(): void {
    for (const listener of this.listeners) listener()
  }
}
