import { describe, expect, it } from 'vitest'
import { kafkaEnvironment, planKafka } from '../../../up/kafka-plan.ts'
import { findJava, parseJavaVersion } from '../../../up/tools/java.ts'
import { explainMavenFailure } from '../../../up/tools/kafka.ts'

describe('java -version', () => {
  it.each([
    ['openjdk version "17.0.15" 2025-04-15', 17],
    ['openjdk version "21" 2023-09-19', 21],
    ['java version "1.8.0_402"', 8],
    ['zsh: command not found: java', undefined],
  ])('%s', (text, version) => {
    expect(parseJavaVersion(text)).toBe(version)
  })

  it('missing says what was looked for and what else would do', async () => {
    const tool = { name: 'Kafka 4.1.1', instead: 'set KAFKA_BOOTSTRAP_SERVERS' }
    await expect(findJava(tool, { environment: { PATH: '/nowhere' } })).rejects.toMatchObject({
      code: 'TOOL_MISSING',
      message: expect.stringMatching(
        /Java 17 or later, and there is no java .* or set KAFKA_BOOTSTRAP_SERVERS/,
      ) as string,
    })
  })
})

describe('a failure of Maven', () => {
  const exited = (output: string) => explainMavenFailure({ kind: 'exited', status: 1, output })

  it('without Maven says how to get it', () => {
    expect(explainMavenFailure({ kind: 'notFound' })).toMatchObject({
      code: 'TOOL_MISSING',
      message: expect.stringContaining('install Maven') as string,
    })
  })

  it('is one line that names the cause', () => {
    expect(exited('[ERROR] Could not transfer artifact a:b: Unknown host repo').message).toContain('cannot be reached')
    expect(exited('java.io.IOException: No space left on device').message).toContain('the disk is full')
    expect(exited('[INFO] x\n[ERROR] Something else\n[ERROR] more').message).toContain('[ERROR] Something else;')
  })
})

describe('the plan of a broker', () => {
  const options = { java: 'java', jars: '/jars', folder: '/state/kafka', host: '127.0.0.1', port: 1, controllerPort: 2 }
  const plan = planKafka({ ...options, settings: { 'message.max.bytes': 5 } })

  it('listens on loopback only, and takes further settings', () => {
    const settings = plan.files.find(({ path }) => path.endsWith('server.properties'))?.content
    expect(settings).toContain('listeners=PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2\n')
    expect(settings).toContain('message.max.bytes=5\n')
  })

  it('of one in a cluster names all controllers, and keeps copies so that one broker may go', () => {
    const settingsOf = (node: number, ...controllers: string[]) => {
      const { files } = planKafka({ ...options, cluster: { node, controllers } })
      return files.map(({ content }) => content).join('')
    }
    const second = settingsOf(2, 'a:1', 'b:1', 'c:1')
    expect(second).toContain('controller.quorum.voters=1@a:1,2@b:1,3@c:1\n')
    expect(second.match(/^node\.id=2$/gm)).toHaveLength(2)
    expect(second).toContain('offsets.topic.replication.factor=3\n')
    expect(second).toContain('transaction.state.log.min.isr=2\n')
    const idOf = (text: string) => /^directory\.id=(.+)$/m.exec(text)?.[1]
    expect(idOf(second)).not.toBe(idOf(settingsOf(1, 'a:1', 'b:1', 'c:1')))
    expect(settingsOf(1, 'a:1')).toContain('offsets.topic.replication.factor=1\n')
  })

  it('has a bound for its memory and says where it is when it serves', () => {
    expect(plan.process.args).toContain('-Xmx512m')
    expect(plan.process.readiness).toEqual({ kind: 'tcp', host: '127.0.0.1', port: 1 })
  })
})

describe('which Kafka our processes are told of', () => {
  const host = '127.0.0.1'

  it('is the one that is started, the user’s own, or none', () => {
    const ports = { kafka: { broker: 9092, controller: 9093 } }
    const managed = kafkaEnvironment({ kafka: { kind: 'managed', java: 'java', jars: '/jars' }, host, ports })
    expect(managed).toEqual({ KAFKA_BOOTSTRAP_SERVERS: '127.0.0.1:9092', KAFKA_CONFIG_PATH: '' })
    const own = { kind: 'external', bootstrapServers: 'a:1', configFile: '/kafka.json' } as const
    expect(kafkaEnvironment({ kafka: own, host, ports: {} })).toEqual({
      KAFKA_BOOTSTRAP_SERVERS: 'a:1',
      KAFKA_CONFIG_PATH: '/kafka.json',
    })
    expect(kafkaEnvironment({ host, ports: {} })).toEqual({ KAFKA_BOOTSTRAP_SERVERS: '', KAFKA_CONFIG_PATH: '' })
  })
})
