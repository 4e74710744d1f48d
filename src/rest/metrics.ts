/**
 * Counts and times of requests, for Prometheus. Interactions and status only: nothing of a patient.
 *
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 *
 * The histogram is our own, because that of prom-client costs a tenth of a read.
 */
import { collectDefaultMetrics, Registry } from 'prom-client'
import type { Done } from './service.js'

export type Metrics = { observe(done: Done): void; contentType: string; text(): Promise<string> }

const name = 'hospitallink_request_seconds'
const boundsMs = [1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 10_000]

/** `counts` has one more than there are bounds: what took longer than the last. */
type Series = { counts: number[]; sumMs: number }

export function requestMetrics(): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const all = new Map<string, Map<number, Series>>()
  return {
    observe({ interaction, status, milliseconds }) {
      const series = seriesOf(all, interaction, status)
      let at = 0
      while (at < boundsMs.length && milliseconds > boundsMs[at]!) at++
      series.counts[at]!++
      series.sumMs += milliseconds
    },
    contentType: registry.contentType,
    text: async () => `${await registry.metrics()}\n${[...written(all)].join('\n')}\n`,
  }
}

function seriesOf(all: Map<string, Map<number, Series>>, interaction: string, status: number): Series {
  let byStatus = all.get(interaction)
  if (!byStatus) {
    byStatus = new Map()
    all.set(interaction, byStatus)
  }
  let series = byStatus.get(status)
  if (!series) {
    series = { counts: new Array(boundsMs.length + 1).fill(0), sumMs: 0 }
    byStatus.set(status, series)
  }
  return series
}

function* written(all: Map<string, Map<number, Series>>): Generator<string> {
  yield `# HELP ${name} Time from the request to the end of its answer, by interaction and status`
  yield `# TYPE ${name} histogram`
  for (const [interaction, byStatus] of all)
    for (const [status, { counts, sumMs }] of byStatus) {
      const labels = `interaction="${interaction}",status="${status}"`
      let sum = 0
      for (const [at, count] of counts.entries()) {
        sum += count
        const bound = boundsMs[at]
        yield `${name}_bucket{${labels},le="${bound === undefined ? '+Inf' : bound / 1000}"} ${sum}`
      }
      yield `${name}_sum{${labels}} ${sumMs / 1000}`
      yield `${name}_count{${labels}} ${sum}`
    }
}
