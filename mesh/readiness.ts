/** Can this Envoy take requests? Pure: from its statistics to an answer that says what is missing. */
export const READINESS_QUERY = `/stats?${new URLSearchParams({
  format: 'json',
  filter: '^(listener_manager\\.(total_listeners_active|workers_started)|http\\..*\\.scoped_rds\\..*\\.all_scopes)$',
}).toString()}`

export interface Readiness {
  readonly ready: boolean
  /** What is missing, for people. */
  readonly reason: string
}

export function toReadiness(stats: ReadonlyMap<string, number>): Readiness {
  const no = (reason: string): Readiness => ({ ready: false, reason })
  if ((stats.get('listener_manager.workers_started') ?? 0) === 0) return no('Envoy has not started its workers')
  if ((stats.get('listener_manager.total_listeners_active') ?? 0) === 0)
    return no('Envoy has no listener yet: it waits for a scheduler')
  const scopes = [...stats].reduce((sum, [name, value]) => (name.endsWith('.all_scopes') ? sum + value : sum), 0)
  return scopes === 0 ? no('Envoy has no routes yet: it waits for a scheduler') : { ready: true, reason: '' }
}
