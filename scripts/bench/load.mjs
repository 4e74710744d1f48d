/**
 * Load on several servers in one run: alternating slices, median of the rounds, p50 and p95 of the requests.
 */
import autocannon from 'autocannon'

/** One slice: requests a second and latencies in milliseconds. Every answer must have the expected status. */
export async function slice(request, connections, seconds) {
  const result = await autocannon({ connections, duration: seconds, ...request })
  const refused = result.non2xx + result.errors
  if (refused > 0) throw new Error(`${request.url}: ${refused} answers were not 2xx`)
  return { rate: result.requests.total / result.duration, p50: result.latency.p50, p95: result.latency.p97_5 }
}

/**
 * `targets` are { name, request }; each is measured `rounds` times in turn, so that a noisy moment meets all.
 * Answers name to { rate, p50, p95, spread }, spread being (max - min) / median of the rates.
 */
export async function compare(targets, { connections, rounds = 5, seconds = 3 }) {
  const rows = new Map(targets.map(({ name }) => [name, []]))
  for (const { request } of targets) await slice(request, connections, 1)
  for (let round = 0; round < rounds; round++)
    for (const { name, request } of targets) rows.get(name).push(await slice(request, connections, seconds))
  return Object.fromEntries(
    [...rows].map(([name, slices]) => {
      const rates = slices.map(({ rate }) => rate).sort((a, b) => a - b)
      const middle = median(rates)
      return [
        name,
        {
          rate: middle,
          p50: median(slices.map(({ p50 }) => p50)),
          p95: median(slices.map(({ p95 }) => p95)),
          spread: (rates.at(-1) - rates[0]) / middle,
        },
      ]
    }),
  )
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]
}
