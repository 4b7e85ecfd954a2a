import type { WorkerReport, Workers } from '../dataflow/workers.ts'
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

/** What the scheduler counts; gauges are read when they are asked for. */
export interface Metrics {
  readonly reconcileSeconds: Histogram
  readonly commits: Counter<'outcome'>
  readonly writes: Counter
  readonly ackSeconds: Histogram
}

export interface Gauges {
  readonly models: () => number
  readonly pipelines: () => number
  readonly routes: () => number
  readonly dirtyModels: () => number
  readonly agents: () => number
  readonly gateways: () => number
  /** Undefined: it does not lead. */
  readonly engines: () => Pick<Workers, 'count' | 'counts'> | undefined
  readonly modelGateways: () => Pick<Workers, 'count' | 'counts'> | undefined
  readonly workers: () => readonly WorkerReport[]
  readonly nodes: () => number
  readonly subscribers: () => number
  readonly isLeading: () => boolean
  readonly revision: () => number
}

const PREFIX = 'millrace_scheduler_'

export function createMetrics(registry: Registry): Metrics {
  const registers = [registry]
  return {
    reconcileSeconds: new Histogram({
      name: `${PREFIX}reconcile_seconds`,
      help: 'Time to reconcile one model, without the write.',
      buckets: [0.0001, 0.001, 0.01, 0.1, 1],
      registers,
    }),
    commits: new Counter({
      name: `${PREFIX}commits_total`,
      help: 'Commits to Redis by outcome.',
      labelNames: ['outcome'],
      registers,
    }),
    writes: new Counter({ name: `${PREFIX}writes_total`, help: 'Documents and events in those commits.', registers }),
    ackSeconds: new Histogram({
      name: `${PREFIX}ack_seconds`,
      help: 'From a routing change to the ACK of every counting Envoy.',
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
      registers,
    }),
  }
}

/** Values that are read from their owners at each scrape. */
export function registerGauges(registry: Registry, gauges: Gauges): void {
  const gauge = (name: string, help: string, read: () => number): void => {
    const made = new Gauge({
      name: `${PREFIX}${name}`,
      help,
      registers: [registry],
      collect: () => {
        made.set(read())
      },
    })
  }
  gauge('models', 'Models known.', gauges.models)
  gauge('routes', 'Models and pipelines that Envoy is told of.', gauges.routes)
  gauge('pipelines', 'Pipelines known.', gauges.pipelines)
  gauge('dirty_models', 'Models, pipelines and experiments waiting to be reconciled.', gauges.dirtyModels)
  gauge('connected_agents', 'Agents connected to this scheduler.', gauges.agents)
  gauge('connected_gateways', 'Pipeline gateways connected to this scheduler.', gauges.gateways)
  gauge('connected_engines', 'Engines connected to this scheduler.', () => gauges.engines()?.count() ?? 0)
  gauge(
    'connected_model_gateways',
    'Model gateways connected to this scheduler.',
    () => gauges.modelGateways()?.count() ?? 0,
  )
  const pipelines = () => gauges.engines()?.counts()
  gauge('unread_pipelines', 'Pipelines with input topics that no engine reads.', () => pipelines()?.unread ?? 0)
  gauge('moving_pipelines', 'Pipelines that one engine hands over to another.', () => pipelines()?.moving ?? 0)
  const models = () => gauges.modelGateways()?.counts()
  gauge('unread_models', 'Available models that no model gateway reads.', () => models()?.unread ?? 0)
  gauge('moving_models', 'Models that one model gateway hands over to another.', () => models()?.moving ?? 0)
  const lag = new Gauge({
    name: `${PREFIX}lag_records`,
    help: 'Records on the inputs of a pipeline or model that are not done, as those who read them say.',
    labelNames: ['kind', 'name'],
    registers: [registry],
    collect: () => {
      lag.reset()
      for (const { role, units } of gauges.workers())
        for (const { name, lagRecords } of units)
          if (lagRecords !== undefined) lag.set({ kind: role === 'engine' ? 'pipeline' : 'model', name }, lagRecords)
    },
  })
  gauge('counting_nodes', 'Envoys whose ACK counts, of all schedulers.', gauges.nodes)
  gauge('subscribers', 'Open subscriptions and watches.', gauges.subscribers)
  gauge('leading', '1 while this scheduler leads.', () => Number(gauges.isLeading()))
  gauge('revision', 'Newest commit that this scheduler has.', gauges.revision)
}
