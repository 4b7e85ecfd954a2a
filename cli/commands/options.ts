import { Option } from 'commander'
import { kafkaAliases } from '../../dataflow/kafka/options.ts'
import { KAFKA_PORT } from '../session.ts'

/** Collects a repeatable option. */
export const appendTo = (value: string, previous: readonly string[]): readonly string[] => [...previous, value]

/** Of a command that reads Kafka: named as the options of the processes that write there. */
export const kafkaCliOptions = (): readonly Option[] => [
  new Option(
    '--kafka-bootstrap-servers <host:port,...>',
    `the brokers (default: 127.0.0.1:${String(KAFKA_PORT)}, which millrace up --kafka starts)`,
  ).env(kafkaAliases.kafkaBootstrapServers),
  new Option('--kafka-config <file>', 'JSON or properties with the brokers, TLS and SASL').env(
    kafkaAliases.kafkaConfig,
  ),
  new Option('--topic-prefix <prefix>', 'first part of the names of topics').default('seldon'),
  new Option('--namespace <namespace>', 'second part of the names of topics').default('default'),
]
