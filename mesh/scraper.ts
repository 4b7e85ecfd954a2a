/** Reads one Envoy when somebody asks; callers at the same time share one reading. */
import type { EnvoyAdmin } from './envoy-admin.ts'
import { COUNTERS_QUERY, HISTOGRAMS_QUERY, parseCounts, parseHistograms, parseHosts } from './envoy-stats.ts'
import type { EnvoyReading } from './series.ts'

/** Replicas that have left keep their names, because their counters stay; the oldest are forgotten beyond this many. */
const MAX_HOSTS = 10_000

/** @throws ServingError ENVOY_UNAVAILABLE (from the returned function) */
export function createScraper(admin: EnvoyAdmin): () => Promise<EnvoyReading> {
  const hosts = new Map<string, string>()
  let running: Promise<EnvoyReading> | undefined

  const read = async (): Promise<EnvoyReading> => {
    const [counters, histograms, clusters] = await Promise.all([
      admin.get(COUNTERS_QUERY),
      admin.get(HISTOGRAMS_QUERY),
      admin.get('/clusters?format=json'),
    ])
    for (const [address, host] of parseHosts(clusters)) {
      hosts.delete(address)
      hosts.set(address, host)
    }
    for (const address of hosts.keys()) {
      if (hosts.size <= MAX_HOSTS) break
      hosts.delete(address)
    }
    return { counts: parseCounts(counters), histograms: parseHistograms(histograms), hosts }
  }

  return () => {
    running ??= read().finally(() => {
      running = undefined
    })
    return running
  }
}
