/** One Kafka broker that is its own controller, as data. Pure. */
import { kafkaAliases } from '../dataflow/kafka/options.ts'
import type { KafkaPorts } from './ports.ts'
import type { ProcessSpec } from './supervisor/spec.ts'
import type { KafkaBinary } from './tools/kafka.ts'

/** Which Kafka pipelines record in. */
export type KafkaPlan =
  | { readonly kind: 'external'; readonly bootstrapServers: string; readonly configFile: string }
  | ({ readonly kind: 'managed' } & KafkaBinary)

/** What tells a process of ours which Kafka there is. */
export function kafkaEnvironment(options: {
  readonly kafka?: KafkaPlan
  readonly host: string
  readonly ports: { readonly kafka?: KafkaPorts }
}): Readonly<Record<string, string>> {
  const { kafka, host, ports } = options
  if (kafka === undefined) return { [SERVERS]: '', [CONFIG]: '' }
  if (kafka.kind === 'external') return { [SERVERS]: kafka.bootstrapServers, [CONFIG]: kafka.configFile }
  return { [SERVERS]: `${host}:${String(ports.kafka?.broker ?? 0)}`, [CONFIG]: '' }
}

const { kafkaBootstrapServers: SERVERS, kafkaConfig: CONFIG } = kafkaAliases

export interface KafkaOptions extends KafkaBinary {
  /** For its configuration and its data. */
  readonly folder: string
  readonly host: string
  readonly port: number
  readonly controllerPort: number
  /** Of the broker's settings, more, or others. */
  readonly settings?: Readonly<Record<string, string | number>>
}

export interface KafkaPlanned {
  readonly folders: readonly string[]
  readonly files: readonly { readonly path: string; readonly content: string }[]
  readonly process: Pick<ProcessSpec, 'command' | 'args' | 'environment' | 'readiness'>
}

/** A cluster of one needs no name of its own; the data folder's must stay the same. */
const CLUSTER_ID = 'TWlsbHJhY2VLYWZrYTAwMQ'
const DIRECTORY_ID = 'TWlsbHJhY2VEaXJlY3QwMQ'
/** Bounds for one machine: heap, and no C2 compiler, which costs the processors of a small machine more than it gives. */
const JVM = [
  '-Xms96m',
  '-Xmx512m',
  '-XX:+UseSerialGC',
  '-XX:TieredStopAtLevel=1',
  '-XX:MaxDirectMemorySize=256m',
  '-XX:+ExitOnOutOfMemoryError',
  '-Djava.awt.headless=true',
]

export function planKafka(options: KafkaOptions): KafkaPlanned {
  const { folder, host, port, jars, java } = options
  const data = `${folder}/data`
  return {
    folders: [data],
    files: [
      {
        path: `${folder}/server.properties`,
        content: toProperties({ ...serverSettings(options, data), ...options.settings }),
      },
      { path: `${folder}/log4j2.xml`, content: LOG4J },
      // What Kafka's `format` command would write; the broker reads it and adds the rest.
      {
        path: `${data}/meta.properties`,
        content: toProperties({ version: 1, 'cluster.id': CLUSTER_ID, 'node.id': 1, 'directory.id': DIRECTORY_ID }),
      },
    ],
    process: {
      command: java,
      args: [
        ...JVM,
        `-Dlog4j2.configurationFile=${folder}/log4j2.xml`,
        '-cp',
        `${jars}/*`,
        'kafka.Kafka',
        `${folder}/server.properties`,
      ],
      environment: {},
      readiness: { kind: 'tcp', host, port },
    },
  }
}

function serverSettings({ host, port, controllerPort }: KafkaOptions, data: string): Record<string, string | number> {
  const broker = `PLAINTEXT://${host}:${String(port)}`
  const controller = `${host}:${String(controllerPort)}`
  return {
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': `1@${controller}`,
    listeners: `${broker},CONTROLLER://${controller}`,
    'advertised.listeners': broker,
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT',
    'inter.broker.listener.name': 'PLAINTEXT',
    'log.dirs': data,
    'auto.create.topics.enable': 'false',
    'offsets.topic.replication.factor': 1,
    'offsets.topic.num.partitions': 1,
    'transaction.state.log.replication.factor': 1,
    'transaction.state.log.min.isr': 1,
    'share.coordinator.state.topic.replication.factor': 1,
    'share.coordinator.state.topic.min.isr': 1,
    'group.initial.rebalance.delay.ms': 0,
    'broker.session.timeout.ms': 2_000, // after a kill -9 the controller waits that long for the broker that was
    'broker.heartbeat.interval.ms': 500,
    'controlled.shutdown.enable': 'false', // there is no other broker to hand partitions to
    'log.index.size.max.bytes': 1_048_576,
    'log.cleaner.dedupe.buffer.size': 8_388_608, // of 128 MB, which would not fit
    'log.cleaner.io.buffer.size': 131_072,
    'log.retention.bytes': 1_073_741_824, // of each partition
    'socket.request.max.bytes': 134_217_728,
  }
}

const toProperties = (settings: Readonly<Record<string, string | number>>): string =>
  Object.entries(settings)
    .map(([name, value]) => `${name}=${String(value)}\n`)
    .join('')

const LOG4J = `<Configuration status="ERROR">
  <Appenders><Console name="out"><PatternLayout pattern="%d{ISO8601} %p %c{1} %m%n"/></Console></Appenders>
  <Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
`
