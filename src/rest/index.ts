export { frontPage } from './front-page.js'
export { type FhirHandler, fhirHandler } from './handler.js'
export { type Metrics, requestMetrics } from './metrics.js'
export type { Done, Limits, Service } from './service.js'
