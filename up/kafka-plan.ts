/** A Kafka broker that is a controller as well, alone or one of several, as data. Pure. */
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
  /** Absent: it is alone. */
  readonly cluster?: KafkaCluster
  /** Of the broker's settings, more, or others. */
  readonly settings?: Readonly<Record<string, string | number>>
  /** Default 512, for some hundred topics: with thousands it collects garbage for seconds, and counts as gone meanwhile. */
  readonly heapMb?: number
  /** True: it works for minutes, so that it is worth compiling well, as brokers that serve people are. Default false. */
  readonly isBusy?: boolean
}

export interface KafkaCluster {
  /** This broker's number, from 1. */
  readonly node: number
  /** `host:port` of all controllers in the order of their numbers, this one's included. */
  readonly controllers: readonly string[]
}

export interface KafkaPlanned {
  readonly folders: readonly string[]
  readonly files: readonly { readonly path: string; readonly content: string }[]
  readonly process: Pick<ProcessSpec, 'command' | 'args' | 'environment' | 'readiness'>
}

/** Clusters on one machine need no names of their own; a data folder's must stay the same. */
const CLUSTER_ID = toKafkaId('MillraceKafka001')
const directoryId = (node: number): string => toKafkaId(`MillraceDirect${String(node).padStart(2, '0')}`)
/** Of offsets, transactions and shares; the third copy lets one broker go without a pause. */
const USUAL_COPIES = 3
const STANDARD_HEAP_MB = 512
/** Without C2, which takes a small machine's processors for longer than most brokers of tests and of first steps live. */
const QUICK_COMPILER = '-XX:TieredStopAtLevel=1'
/** Bounds for one machine. */
const JVM = [
  '-Xms96m',
  '-XX:+UseSerialGC',
  '-XX:MaxDirectMemorySize=256m',
  '-XX:+ExitOnOutOfMemoryError',
  '-Djava.awt.headless=true',
]

export function planKafka(options: KafkaOptions): KafkaPlanned {
  const { folder, host, port, controllerPort, jars, java } = options
  const cluster = options.cluster ?? { node: 1, controllers: [`${host}:${String(controllerPort)}`] }
  const data = `${folder}/data`
  return {
    folders: [data],
    files: [
      {
        path: `${folder}/server.properties`,
        content: toProperties({ ...serverSettings(options, cluster, data), ...options.settings }),
      },
      { path: `${folder}/log4j2.xml`, content: LOG4J },
      // What Kafka's `format` command would write; the broker reads it and adds the rest.
      {
        path: `${data}/meta.properties`,
        content: toProperties({
          version: 1,
          'cluster.id': CLUSTER_ID,
          'node.id': cluster.node,
          'directory.id': directoryId(cluster.node),
        }),
      },
    ],
    process: {
      command: java,
      args: [
        ...JVM,
        ...(options.isBusy === true ? [] : [QUICK_COMPILER]),
        `-Xmx${String(options.heapMb ?? STANDARD_HEAP_MB)}m`,
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

function serverSettings(
  { host, port, controllerPort }: KafkaOptions,
  { node, controllers }: KafkaCluster,
  data: string,
): Record<string, string | number> {
  const broker = `PLAINTEXT://${host}:${String(port)}`
  const copies = Math.min(USUAL_COPIES, controllers.length)
  const inSync = copies === USUAL_COPIES ? 2 : 1
  return {
    'process.roles': 'broker,controller',
    'node.id': node,
    'controller.quorum.voters': controllers.map((address, index) => `${String(index + 1)}@${address}`).join(','),
    listeners: `${broker},CONTROLLER://${host}:${String(controllerPort)}`,
    'advertised.listeners': broker,
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT',
    'inter.broker.listener.name': 'PLAINTEXT',
    'log.dirs': data,
    'auto.create.topics.enable': 'false',
    'offsets.topic.replication.factor': copies,
    'offsets.topic.num.partitions': 1,
    'transaction.state.log.replication.factor': copies,
    'transaction.state.log.min.isr': inSync,
    'share.coordinator.state.topic.replication.factor': copies,
    'share.coordinator.state.topic.min.isr': inSync,
    'group.initial.rebalance.delay.ms': 0,
    'broker.session.timeout.ms': 2_000, // after a kill -9 the controller waits that long for the broker that was
    'broker.heartbeat.interval.ms': 500,
    'controlled.shutdown.enable': String(controllers.length > 1), // alone there is nobody to hand partitions to
    'log.index.size.max.bytes': 1_048_576,
    'log.cleaner.dedupe.buffer.size': 8_388_608, // of 128 MB, which would not fit
    'log.cleaner.io.buffer.size': 131_072,
    'log.retention.bytes': 1_073_741_824, // of each partition
    'socket.request.max.bytes': 134_217_728,
  }
}

/** As Kafka writes its ids: 16 bytes. */
function toKafkaId(text: string): string {
  return Buffer.from(text).toString('base64url')
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
