/**
 * Counts and times of requests, for Prometheus. Interactions, types and status only: nothing of a patient.
 *
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 */
import { collectDefaultMetrics, Histogram, Registry } from 'prom-client'
import type { Done } from './service.js'

export type Metrics = { observe(done: Done): void; contentType: string; text(): Promise<string> }

export function requestMetrics(): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const seconds = new Histogram({
    name: 'hospitallink_request_seconds',
    help: 'Time from the request to the end of its answer, by interaction and status',
    labelNames: ['interaction', 'status'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    registers: [registry],
  })
  return {
    observe: ({ interaction, status, milliseconds }) =>
      seconds.observe({ interaction, status: String(status) }, milliseconds / 1000),
    contentType: registry.contentType,
    text: () => registry.metrics(),
  }
}
