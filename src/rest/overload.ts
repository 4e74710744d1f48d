/**
 * Whether there is more to do than can be done: requests are then refused while refusing is still cheap.
 *
 * https://sre.google/sre-book/handling-overload/
 *
 * The event loop is our queue, so the delay of a timer is how long a request waits in it. One long step (a large
 * batch) delays it once; it is overload when it stays so.
 */
const everyMs = 100
const delayMaxMs = 500
const samples = 3

export type Overload = { isOver(): boolean; close(): void }

export function overload(clock: () => number = performance.now.bind(performance)): Overload {
  let expected = clock() + everyMs
  let late = 0
  const measure = () => {
    const now = clock()
    late = now - expected > delayMaxMs ? late + 1 : 0
    expected = now + everyMs
  }
  const timer = setInterval(measure, everyMs).unref()
  return { isOver: () => late >= samples, close: () => clearInterval(timer) }
}
