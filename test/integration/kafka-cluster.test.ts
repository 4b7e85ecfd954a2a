/** The journal on three brokers, one of which is killed under load: copies are kept, nothing is lost, nothing stands still. */
import { Admin, ConfigResourceTypes } from '@platformatic/kafka'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import type { KafkaClient } from '../../dataflow/kafka/client.ts'
import { connectKafka } from '../../dataflow/kafka/connect.ts'
import { parseConnection } from '../../dataflow/kafka/connection.ts'
import { createJournalScene, INPUTS, OUTPUTS, startJournalLoad } from '../support/journal-scene.ts'
import { keysOf } from '../support/kafka-records.ts'
import { startKafkaCluster, type TestKafkaCluster } from '../support/kafka.ts'
import { SETUP_DEADLINE_MS } from '../support/tools.ts'

let cluster: TestKafkaCluster
let kafka: KafkaClient
let admin: Admin
const scene = createJournalScene(() => kafka)
beforeAll(async () => {
  cluster = await startKafkaCluster(3)
  kafka = connectKafka(parseConnection('test', { 'bootstrap.servers': cluster.bootstrapServers }), 'test')
  admin = new Admin({ clientId: 'test', bootstrapBrokers: cluster.bootstrapServers.split(',') })
}, SETUP_DEADLINE_MS)
afterAll(async () => {
  await admin.close()
  await scene.closeAll()
  scene.remove()
  await cluster.stop()
})

it('topics have three copies, two of which must have a record; the status has nothing to remark', async () => {
  const { journal, topicOf } = scene.open()
  await journal.ensureTopics([INPUTS])
  expect(journal.status()).toMatchObject({ brokers: 3, replicationFactor: 3, replicated: true, remark: '' })
  const name = topicOf('inputs')
  const { topics } = await admin.metadata({ topics: [name] })
  expect(topics.get(name)?.partitions.map(({ replicas }) => replicas.length)).toEqual([3, 3])
  const [described] = await admin.describeConfigs({
    resources: [
      { resourceType: ConfigResourceTypes.TOPIC, resourceName: name, configurationKeys: ['min.insync.replicas'] },
    ],
  })
  expect(described?.configs[0]?.value).toBe('2')
})

it('kill -9 of the broker that leads loses nothing, repeats nothing, refuses nothing, and requests go on', async () => {
  const { journal, metric, topicOf } = scene.open({ deliveryTimeoutMs: 40_000 })
  await journal.ensureTopics([INPUTS, OUTPUTS])
  const { topics } = await admin.metadata({ topics: [topicOf('inputs')] })
  const leader = topics.get(topicOf('inputs'))?.partitions[0]?.leader ?? 0
  const load = startJournalLoad(journal)
  const more = (count: number) => {
    const goal = load.acknowledged.size + count
    return vi.waitFor(() => {
      expect(load.acknowledged.size).toBeGreaterThan(goal)
    }, 50_000)
  }
  await more(500)
  await cluster.brokers[leader - 1]?.kill()
  await more(500)
  await load.end()
  expect(load.refused.size).toBe(0)
  for (const side of ['inputs', 'outputs'] as const) {
    const kept = await keysOf(kafka, topicOf(side))
    expect([...load.acknowledged].filter((key) => !kept.has(key))).toEqual([])
    expect(kept.size).toBe(load.acknowledged.size)
  }
  expect(await metric('lost_total')).toBe(0)
})
