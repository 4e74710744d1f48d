/**
 * GET /metrics: for everybody while everybody may do everything, else for who has the token of the settings.
 *
 * https://prometheus.io/docs/prometheus/latest/configuration/configuration/#scrape_config
 *
 * How often a hospital asks for what is nobody's business but its own. That a request comes from this machine proves
 * nothing: a proxy in front may stand on it.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { RequestHandler } from 'express'
import type { Config } from './config.js'
import type { Metrics } from './rest/index.js'

export function metricsPage(metrics: Metrics, { auth, metricsToken }: Config): RequestHandler {
  return async (request, response, next) => {
    if (metricsToken === '' ? auth !== 'off' : !equal(request.headers.authorization ?? '', `Bearer ${metricsToken}`))
      next()
    else response.type(metrics.contentType).send(await metrics.text())
  }
}

/** In a time that tells nothing of how much is right. */
const equal = (a: string, b: string): boolean => timingSafeEqual(digest(a), digest(b))

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
