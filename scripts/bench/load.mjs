/**
 * Load on several servers in one run: alternating slices, median of the rounds, p50 and p95 of the requests.
 */
import { readFileSync } from 'node:fs'
import autocannon from 'autocannon'

/**
 * One slice: requests a second, latencies in milliseconds, and, of a process, the CPU microseconds a request of all its
 * threads and of its main one. Every answer must have the expected status.
 */
export async function slice(request, connections, seconds, pid) {
  const before = pid && [cpuSeconds(pid), threadSeconds(pid)]
  const result = await autocannon({ connections, duration: seconds, ...request })
  const { total } = result.requests
  const [cpu, thread] = pid
    ? [cpuSeconds(pid), threadSeconds(pid)].map((now, i) => ((now - before[i]) * 1e6) / total)
    : []
  const refused = result.non2xx + result.errors
  if (refused > 0) throw new Error(`${request.url}: ${refused} answers were not 2xx`)
  return { rate: total / result.duration, p50: result.latency.p50, p95: result.latency.p97_5, cpu, thread }
}

/** User and system time of a process in seconds (clock ticks are 1/100 s on Linux). */
export const cpuSeconds = (pid) => secondsIn(`/proc/${pid}/stat`)

/** The same of its main thread alone, where JavaScript runs. */
export const threadSeconds = (pid) => secondsIn(`/proc/${pid}/task/${pid}/stat`)

function secondsIn(path) {
  const fields = readFileSync(path, 'utf8').split(') ')[1].split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/**
 * `targets` are { name, request, pid? }; each is measured `rounds` times in turn, so that a noisy moment meets all.
 * Answers name to { rate, p50, p95, spread }, spread being (max - min) / median of the rates.
 */
export async function compare(targets, { connections, rounds = 5, seconds = 3 }) {
  const rows = new Map(targets.map(({ name }) => [name, []]))
  for (const { request } of targets) await slice(request, connections, 1)
  for (let round = 0; round < rounds; round++)
    for (const { name, request, pid } of targets) rows.get(name).push(await slice(request, connections, seconds, pid))
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
          cpu: median(slices.map(({ cpu }) => cpu)),
          thread: median(slices.map(({ thread }) => thread)),
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
