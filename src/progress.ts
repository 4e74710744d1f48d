/**
 * Progress of long work: a bar on a terminal, plain lines where nobody watches.
 */
import { Presets, SingleBar } from 'cli-progress'

export type Progress = {
  step(name: string, resources: number, done: number, total: number): void
  /** May be called more than once. */
  end(): void
}

export function progressOn(stream: NodeJS.WriteStream): Progress {
  return stream.isTTY ? bar(stream) : lines(stream)
}

function bar(stream: NodeJS.WriteStream): Progress {
  let shown: SingleBar | undefined
  let sum = 0
  return {
    step(name, resources, done, total) {
      sum += resources
      if (!shown) {
        const format = '{bar} {value}/{total} | {sum} resources | {eta_formatted} left | {name}'
        shown = new SingleBar({ format, stream, hideCursor: true, etaBuffer: 20 }, Presets.shades_classic)
        shown.start(total, 0, { sum, name })
      }
      shown.update(done, { sum, name })
    },
    end() {
      shown?.stop()
      shown = undefined
    },
  }
}

function lines(stream: NodeJS.WriteStream): Progress {
  let said = 0
  return {
    step(name, resources, done, total) {
      const now = performance.now()
      // A log is not to be filled by steps of no size.
      if (resources === 0 && done < total && now - said < 1000) return
      said = now
      stream.write(`${done}/${total} ${name}${resources ? `: ${resources} resources` : ''}\n`)
    },
    end: () => undefined,
  }
}
