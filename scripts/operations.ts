/** `docs/operations.md`: ports, options, metrics and log events, read from the code that has them. */
import { hostname } from 'node:os'
import { Registry } from 'prom-client'
import type { TObject } from 'typebox'
import { agentProcess } from '../agent/config.ts'
import { createAgentMetrics } from '../agent/metrics.ts'
import { createTrafficMetrics } from '../agent/proxy/traffic-metrics.ts'
import { createJournalMetrics } from '../dataflow/journal/journal-metrics.ts'
import { createConsumerMetrics, createSharedReads } from '../dataflow/consumer/consumer-metrics.ts'
import { engineProcess } from '../dataflow/engine/config.ts'
import { createEngineMetrics } from '../dataflow/engine/metrics.ts'
import { modelGatewayProcess } from '../dataflow/model-gateway/config.ts'
import { createModelGatewayMetrics } from '../dataflow/model-gateway/metrics.ts'
import { pipelineGatewayProcess } from '../dataflow/pipeline-gateway/config.ts'
import { createGatewayMetrics } from '../dataflow/pipeline-gateway/metrics.ts'
import { describeOptions, type ProcessDefinition } from '../kit/config.ts'
import { packageRoot } from '../kit/root.ts'
import { meshMetricsProcess } from '../mesh/config.ts'
import { toFamilies } from '../mesh/series.ts'
import { modelServerProcess } from '../model-server/config.ts'
import { schedulerProcess } from '../scheduler/config.ts'
import { createMetrics, registerGauges } from '../scheduler/loop/metrics.ts'
import { upDefinition } from '../up/config.ts'
import { kafkaPorts, portUses, standardPorts } from '../up/ports.ts'
import { logEvents } from './log-events.ts'
import { MADE_FROM, page, table } from './markdown.ts'

export function operationsDocument(): string {
  return page([
    '# Operations',
    MADE_FROM('`scripts/operations.ts` and the code of the processes'),
    ...PROSE,
    '## Ports',
    'With `millrace up --port-offset N` every port is moved by N. All listen on 127.0.0.1 unless they are told otherwise.',
    table(
      ['Port', 'What for'],
      portUses({ ...standardPorts(0, 1), kafka: kafkaPorts(0) }).map(({ port, use }) => [String(port), use]),
    ),
    'Each further replica of the embedded server takes the next ten: 9110, 9120, and so on; those of MLServer begin at 9200.',
    '## Options',
    'A flag beats the environment variable, that beats the key (in camelCase) of the file given by `--config`, that beats the ' +
      'default. `--print-config` prints what results.',
    ...optionSection(upDefinition),
    ...optionSection(schedulerProcess),
    ...optionSection(agentProcess),
    ...optionSection(modelServerProcess),
    ...optionSection(meshMetricsProcess),
    ...optionSection(pipelineGatewayProcess),
    ...optionSection(engineProcess),
    ...optionSection(modelGatewayProcess),
    '## Metrics',
    'Prometheus text at `/metrics` of the port named for each process.',
    table(
      ['Metric', 'Kind', 'Process', 'Meaning'],
      metrics().map(({ name, type, process, help }) => [`\`${name}\``, type, process, help]),
    ),
    'The series named `seldon_model_*` of `mesh-metrics` count what Envoy sent to servers directly; those of an agent count ' +
      'what passed its proxy (`dataPath: agent`). No request is in both, so scrape both and sums are right.',
    '## Log events',
    'Our processes write JSON lines on standard error, with `level`, `time`, `component`, `msg` and the fields of the event. ' +
      '`error`: a person must act; `warn`: something failed and is tried again; `info`: a state changed.',
    table(
      ['Event', 'Level', 'Where'],
      logEvents(packageRoot).map(({ message, level, folder }) => [message, level, `\`${folder}/\``]),
    ),
  ])
}

const PROSE: readonly string[] = [
  '`millrace doctor` says what is missing or wrong on a machine, `millrace logs` shows what the processes of a local ' +
    '`millrace up` wrote, `millrace top` the busiest models, and `millrace explain request` where a request would go.',
  '## Processes',
  table(
    ['Process', 'Needed for', 'When it stops'],
    [
      [
        'Envoy',
        'every request',
        'requests fail at that Envoy; a new one gets everything from the scheduler when it connects',
      ],
      [
        '`millrace scheduler`',
        'changes',
        'requests go on; nothing can be applied, lost replicas are not replaced. Another one takes over within the lease time',
      ],
      [
        'Redis',
        'changes, and a scheduler that starts',
        'requests go on; changes are refused with STORE_UNAVAILABLE. What was acknowledged is there when it is back',
      ],
      [
        '`millrace agent`',
        'loading and unloading on its replica',
        'its models go on answering (not with `dataPath: agent`); loads wait for it',
      ],
      [
        'model server',
        'the models on it',
        'Envoy sends to other replicas; the agent loads its models again when it is back',
      ],
      ['`millrace mesh-metrics`', 'metrics of requests', 'nothing else'],
      [
        '`millrace pipeline-gateway`',
        'requests to pipelines',
        'Envoy sends to other gateways; with none left pipelines answer 503. It starts with the pipelines it last had',
      ],
      [
        '`millrace engine`',
        'pipelines that are fed through Kafka',
        'others take over its pipelines; with none left, requests wait in Kafka. What it had begun is run again',
      ],
      [
        '`millrace model-gateway`',
        "records that were put on models' topics",
        'another one takes its models over, from the last committed offsets; with none left records wait in Kafka',
      ],
    ],
  ),
  '## What to watch',
  table(
    ['Sign', 'What it means', 'What to do'],
    [
      ['`millrace_scheduler_leading` is 1 nowhere', 'nobody plans', 'see the log of the schedulers and Redis'],
      [
        '`millrace_scheduler_counting_nodes` is 0',
        'no Envoy has the present routes',
        '`millrace doctor`; the log of Envoy',
      ],
      [
        '`millrace_scheduler_dirty_models` grows',
        'planning does not keep up, or Redis is slow',
        'see Redis and `reconcile_seconds`',
      ],
      ['`millrace_agent_scheduler_connected` is 0', 'an agent has lost the scheduler', 'its address; its log'],
      ['`millrace_agent_server_serving` is 0', 'a model server is down', 'its log'],
      [
        '`heldBecause` in `/readyz` or `/v1/nodes`',
        'an Envoy is sent nothing: more than 20 % of its routes would go',
        'apply the models again, or start the scheduler with `--force`',
      ],
      ['`millrace_wasm_vm_reloads_total` grows', 'a filter failed and was replaced', 'report it with the log of Envoy'],
    ],
  ),
  '## Redis, backup, restart',
  'Redis 6.2 or later, `maxmemory-policy noeviction` (refused otherwise) and `appendonly yes`. Its data is the whole state: ' +
    'back up its append-only file or a dump. With an empty Redis, Envoys keep their routes (more than 20 % of them are not removed at ' +
    'once) and agents keep their models, until the resources are applied again. Schedulers, Envoys and agents may be ' +
    'restarted in any order.',
]

/** What depends on the machine that makes the document is named, not shown. */
const onlyHere = (standard: string): string =>
  standard === JSON.stringify(hostname()) ? '"<host name>"' : standard.replaceAll(packageRoot, '<installation>')

function optionSection<S extends TObject>(definition: ProcessDefinition<S>): readonly string[] {
  const rows = describeOptions(definition).map(({ flag, environment, standard, meaning }) => [
    `\`${flag}\``,
    `\`${onlyHere(standardOf(flag, standard))}\``,
    `\`${environment}\``,
    meaning,
  ])
  return [`### \`millrace ${definition.name}\``, table(['Option', 'Default', 'Variable', 'Meaning'], rows)]
}

/** This default holds the folder where it was called, too. */
const standardOf = (flag: string, standard: string): string =>
  flag === '--artifact-roots' && standard.includes(packageRoot) ? '["<installation>","<working folder>"]' : standard

interface Metric {
  readonly name: string
  readonly type: string
  readonly help: string
  readonly process: string
}

/** Names and kinds are known without reading a value. */
function notAsked(): never {
  throw new Error('a list of metrics reads no values')
}

function metrics(): readonly Metric[] {
  const byRegistry = (registry: Registry, process: string): readonly Metric[] =>
    registry.getMetricsAsArray().map(({ name, help, type }) => ({ name, help, type: String(type), process }))
  const scheduler = new Registry()
  createMetrics(scheduler)
  registerGauges(scheduler, {
    models: notAsked,
    pipelines: notAsked,
    routes: notAsked,
    dirtyModels: notAsked,
    agents: notAsked,
    gateways: notAsked,
    engines: notAsked,
    modelGateways: notAsked,
    workers: notAsked,
    nodes: notAsked,
    subscribers: notAsked,
    isLeading: notAsked,
    revision: notAsked,
  })
  const agent = new Registry()
  const replica = { registry: agent, serverName: '', replicaIndex: 0 }
  createAgentMetrics({
    ...replica,
    memoryBytes: 0,
    overcommitPercentage: 0,
    state: notAsked,
    connected: notAsked,
  })
  createTrafficMetrics({ ...replica, uses: notAsked })
  const journal = new Registry()
  createJournalMetrics(journal, {
    waitingRecords: notAsked,
    waitingBytes: notAsked,
    lagSeconds: notAsked,
    spillBytes: notAsked,
    available: notAsked,
  })
  const gateway = new Registry()
  createGatewayMetrics(gateway, { running: notAsked, held: notAsked, connected: notAsked })
  const engine = new Registry()
  const consumers = new Registry()
  createConsumerMetrics(consumers)
  const modelGateway = new Registry()
  createModelGatewayMetrics(modelGateway, { lag: notAsked, running: notAsked, connected: notAsked })
  createEngineMetrics(engine, {
    running: notAsked,
    reading: notAsked,
    lag: () => new Map(),
    openExternal: () => new Map(),
    openExternalBytes: notAsked,
    connected: notAsked,
  })
  createSharedReads(engine)
  const mesh = toFamilies({
    counts: { models: [], drops: [], plugins: [], unreadable: 0 },
    histograms: [],
    hosts: new Map(),
  })
  return [
    ...byRegistry(scheduler, 'scheduler'),
    ...byRegistry(agent, 'agent'),
    ...byRegistry(journal, 'pipeline-gateway'),
    ...byRegistry(gateway, 'pipeline-gateway'),
    ...byRegistry(engine, 'engine'),
    ...byRegistry(modelGateway, 'model-gateway'),
    ...byRegistry(consumers, 'engine, model-gateway'),
    ...mesh.map(({ name, type, help }) => ({ name, type, help, process: 'mesh-metrics' })),
  ]
}
