/** Model gateways in this process, between a fake scheduler, a fake ingress and a real Kafka. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectKafka } from '../../dataflow/kafka/connect.ts'
import { parseConnection } from '../../dataflow/kafka/connection.ts'
import type { IncomingRecord, KafkaClient, OutgoingRecord, Position } from '../../dataflow/kafka/client.ts'
import { modelGatewayProcess } from '../../dataflow/model-gateway/config.ts'
import { startModelGateway } from '../../dataflow/model-gateway/model-gateway.ts'
import { parseConfig } from '../../kit/config.ts'
import type { Running } from '../../kit/lifecycle.ts'
import { silentLogger } from '../../kit/log.ts'
import { type FakeDataflowScheduler, startFakeDataflowScheduler } from './fake-dataflow-scheduler.ts'
import { type FakeIngress, startFakeIngress } from './fake-ingress.ts'
import { startKafka, type TestKafka } from './kafka.ts'

export interface ModelGatewayRig {
  readonly scheduler: FakeDataflowScheduler
  readonly ingress: FakeIngress
  readonly broker: TestKafka
  /** All of one rig keep their state in the same folder. */
  startGateway(...flags: string[]): Promise<{ readonly url: string; stop(): Promise<void> }>
  produce(records: readonly Partial<OutgoingRecord>[], topic: string): Promise<void>
  /** Waits until there are that many records on the topic, in all, or such a key; in the order of their partitions. */
  read(topic: string, until: number | string): Promise<readonly IncomingRecord[]>
  stop(): Promise<void>
}

export async function startModelGatewayRig(): Promise<ModelGatewayRig> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-model-gateway-'))
  const [broker, scheduler, ingress] = await Promise.all([
    startKafka(),
    startFakeDataflowScheduler(),
    startFakeIngress(),
  ])
  const kafka: KafkaClient = connectKafka(
    parseConnection('test', { 'bootstrap.servers': broker.bootstrapServers }),
    'test',
  )
  const [producer, reader] = [kafka.producer(), kafka.reader()]
  const gateways: { stop(): Promise<void> }[] = []
  return {
    scheduler,
    ingress,
    broker,
    startGateway: async (...flags) => {
      const parsed = parseConfig(
        modelGatewayProcess,
        [
          ['--scheduler', scheduler.address, '--ingress', ingress.address, '--http-port', '0'],
          ['--kafka-bootstrap-servers', broker.bootstrapServers, '--topic-partitions', '2'],
          ['--units-file', join(folder, 'models.json'), '--journal-spill-file', join(folder, 'spill')],
          flags,
        ].flat(),
        {},
      )
      if (parsed.kind !== 'run') throw new Error('unreachable')
      const stack: Running[] = []
      const { httpPort } = await startModelGateway(parsed.config, silentLogger, (_, running) => stack.push(running))
      const gateway = {
        url: `http://127.0.0.1:${String(httpPort)}`,
        stop: async () => {
          for (let running = stack.pop(); running; running = stack.pop()) await running.stop()
        },
      }
      gateways.push(gateway)
      return gateway
    },
    produce: async (records, topic) => {
      const whole = records.map((record): OutgoingRecord => ({
        topic,
        partition: 0,
        key: null,
        value: Buffer.alloc(0),
        headers: [],
        ...record,
      }))
      for (const result of await producer.send(whole, { compression: 'none', timeoutMs: 10_000 }))
        if (result.kind !== 'acknowledged') throw new Error(`not produced: ${result.kind}`)
    },
    read: async (topic, until) => {
      let positions: readonly Position[] = await reader.positions([topic], 'earliest')
      const found: IncomingRecord[] = []
      const isThere = (): boolean =>
        typeof until === 'number' ? found.length >= until : found.some(({ key }) => key === until)
      while (!isThere()) {
        const { records, next } = await reader.fetch(positions, { maxWaitMs: 100, maxBytes: 10_000_000 })
        found.push(...records)
        positions = next
      }
      return found.toSorted((a, b) => a.partition - b.partition || Number(a.offset - b.offset))
    },
    stop: async () => {
      await Promise.all(gateways.map((gateway) => gateway.stop()))
      await Promise.all([producer.close(), reader.close(), scheduler.kill(), ingress.stop()])
      await broker.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
