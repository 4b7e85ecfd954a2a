/**
 * A process that puts what comes on one topic on another, with our own client and nothing else: the way there and back is two hops
 * between two processes, as records of a pipeline over topics go. `node echo.ts '<EchoOptions>'`; ends with its stdin.
 */
import { type TopicEnd, topicName } from '../../dataflow/journal/topics.ts'
import { openEnds, SPACE } from './ends.ts'

export interface EchoOptions {
  readonly bootstrapServers: string
  readonly folder: string
  readonly from: TopicEnd
  readonly to: TopicEnd
}

const { bootstrapServers, folder, from, to } = JSON.parse(process.argv[2] ?? '') as EchoOptions
const { journal, consumer } = openEnds(bootstrapServers, folder, ({ key, partition, headers, value }, done) => {
  void journal
    .record({
      topic: to,
      key,
      partition,
      headers,
      message: { kind: 'encoded', bytes: value },
      onFailure: 'fail-closed',
    })
    .then(done)
})
await journal.ensureTopics([from, to])
await consumer.assign(topicName(SPACE, from))
process.stdout.write('ready\n')
process.stdin.resume().once('end', () => {
  void consumer.stop(0).then(() => journal.close())
})
