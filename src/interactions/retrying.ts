/**
 * Starts over what lost a race: the commit found that the world was no longer what the interaction had looked at.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { conflict } from '../fhir/index.js'
import { CommitRefused } from '../store/index.js'

const triesMax = 20

/** `attempt` throws CommitRefused where starting over can help, and anything else where it cannot. */
export async function retrying<T>(attempt: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt()
    } catch (error) {
      // A claim that is taken stays taken: `once` knows what it means.
      if (!(error instanceof CommitRefused) || error.reason.kind === 'claim') throw error
      if (tries === triesMax)
        throw conflict('others keep changing what this request depends on; send it again', undefined, {
          cause: error,
          headers: { 'Retry-After': '1' },
        })
      // The first losers may start over at once; who keeps losing waits a random while, longer each time.
      if (tries > 3) await sleep(Math.random() * Math.min(2 ** tries, 200))
    }
  }
}
