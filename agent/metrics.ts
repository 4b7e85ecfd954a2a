/** The agent's series, with the names and labels users know. Gauges are read from the state when they are scraped. */
import { Counter, Gauge, type Registry } from 'prom-client'
import { modelsOf } from './desired/desired.ts'
import type { ModelEvent } from './desired/observed.ts'
import type { ReplicaState } from './reconcile/replica-state.ts'

interface Options {
  readonly registry: Registry
  readonly serverName: string
  readonly replicaIndex: number
  readonly memoryBytes: number
  readonly overcommitPercentage: number
  readonly state: () => ReplicaState
  readonly connected: () => boolean
}

/** Registers everything; the returned function counts what happens to models. */
export function createAgentMetrics(options: Options): (event: ModelEvent) => void {
  const { registry, state } = options
  const replica = { server: options.serverName, server_replica: String(options.replicaIndex) }
  const labelNames = ['server', 'server_replica'] as const
  const perModel = [...labelNames, 'model_internal'] as const
  const registers = [registry]

  const counter = (name: string, help: string) => {
    const made = new Counter({ name, help, labelNames, registers })
    made.inc(replica, 0)
    return made
  }
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      labelNames,
      registers,
      collect() {
        this.set(replica, read())
      },
    })
  const modelGauge = (name: string, help: string, read: (internalName: string) => number) =>
    new Gauge({
      name,
      help,
      labelNames: perModel,
      registers,
      collect() {
        this.reset()
        const { observed } = state()
        for (const [internalName, model] of observed)
          if (model.kind === 'Loaded') this.set({ ...replica, model_internal: internalName }, read(internalName))
      },
    })

  const { memoryBytes, overcommitPercentage } = options
  gauge('seldon_server_replica_memory_capacity_bytes_gauge', 'Memory for models on this replica.', () => memoryBytes)
  gauge(
    'seldon_server_replica_memory_capacity_overcommit_bytes_gauge',
    'Memory that may be promised beyond the capacity.',
    () => (memoryBytes * overcommitPercentage) / 100,
  )
  modelGauge('seldon_loaded_model_gauge', '1 for each model version that is loaded.', () => 1)
  modelGauge(
    'seldon_loaded_model_memory_bytes_gauge',
    'Memory that a loaded model version accounts for.',
    (name) => modelsOf(state().desired).get(name)?.memoryBytes ?? 0,
  )
  gauge('millrace_agent_scheduler_connected', '1 while a scheduler is connected.', () => Number(options.connected()))
  gauge('millrace_agent_server_serving', '1 while the model server is SERVING.', () =>
    Number(state().server.kind === 'Serving'),
  )
  const loads = counter('seldon_load_model_counter', 'Model versions loaded.')
  const unloads = counter('seldon_unload_model_counter', 'Model versions unloaded.')
  const loadFailures = counter('millrace_agent_load_failures_total', 'Loads that failed.')
  const unloadFailures = counter('millrace_agent_unload_failures_total', 'Unloads that failed.')

  return (event) => {
    if (event.kind === 'loaded') loads.inc(replica)
    else if (event.kind === 'unloaded') unloads.inc(replica)
    else if (event.kind === 'loadFailed') loadFailures.inc(replica)
    else if (event.kind === 'unloadFailed') unloadFailures.inc(replica)
  }
}
