/** The options of every process that talks to Kafka, and the variables that everybody knows them by. */
import { Type } from 'typebox'

/** For whoever talks to Kafka. Environment variables: `kafkaAliases`. */
export const kafkaOptions = {
  kafkaBootstrapServers: Type.String({ default: '', description: 'Brokers, as host:port,host:port. Empty: no Kafka.' }),
  kafkaConfig: Type.String({
    default: '',
    description: 'File (JSON or properties) with bootstrap.servers, TLS and SASL; see docs/kafka.md.',
  }),
  topicPrefix: Type.String({ default: 'seldon', description: 'First part of the names of topics.' }),
  namespace: Type.String({ default: 'default', description: 'Second part of the names of topics.' }),
}

/** Of a process definition: the variables that everybody knows these options by. */
export const kafkaAliases = {
  kafkaBootstrapServers: 'KAFKA_BOOTSTRAP_SERVERS',
  kafkaConfig: 'KAFKA_CONFIG_PATH',
}
