import { createAdmin } from './admin.ts'
import type { KafkaClient } from './client.ts'
import type { KafkaConnection } from './connection.ts'
import { createPoller } from './poller.ts'
import { createProducer } from './producer.ts'
import { createReader } from './reader.ts'

/** Nothing is connected before it is used. `clientId` is how brokers name us in their logs. */
export const connectKafka = (connection: KafkaConnection, clientId: string): KafkaClient => ({
  producer: () => createProducer(connection, clientId),
  reader: () => createReader(connection, clientId),
  poller: () => createPoller(connection, clientId),
  admin: () => createAdmin(connection, clientId),
})
