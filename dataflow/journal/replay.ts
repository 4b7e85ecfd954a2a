/** Sends what was spilled, in its order, while Kafka takes records. After a crash it begins anew: readers see the mark. */
import type { KafkaProducer, OutgoingRecord, SendOptions, SendResult } from '../kafka/client.ts'
import type { SpillFile } from './spill-file.ts'

export interface ReplayDeps {
  readonly producer: KafkaProducer
  readonly spill: SpillFile
  readonly options: { readonly batchBytes: number; readonly deliveryTimeoutMs: number } & Pick<
    SendOptions,
    'compression'
  >
  readonly ensureTopics: (names: readonly string[]) => Promise<void>
  readonly onReplayed: (count: number) => void
  readonly onLost: (record: OutgoingRecord, reason: string) => void
  readonly onUnavailable: (reason: string) => void
}

export class Replay {
  readonly #deps: ReplayDeps
  #running: Promise<void> | undefined
  #closed = false

  constructor(deps: ReplayDeps) {
    this.#deps = deps
  }

  /** Harmless while it runs. */
  start(): void {
    if (this.#closed || this.#running !== undefined || this.#deps.spill.bytes === 0) return
    this.#running = this.#run().finally(() => {
      this.#running = undefined
    })
  }

  /** After the batch that is on its way. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#running
    await this.#deps.producer.close()
  }

  async #run(): Promise<void> {
    const { spill, options } = this.#deps
    for (let batch = spill.next(options.batchBytes); batch !== undefined; batch = spill.next(options.batchBytes)) {
      if (this.#closed || !(await this.#send(batch.records, true))) return
      spill.done(batch)
    }
  }

  /** False: Kafka is away, and the batch is to be sent again. */
  async #send(records: readonly OutgoingRecord[], first: boolean): Promise<boolean> {
    const { producer, options } = this.#deps
    const results = await producer.send(records, {
      compression: options.compression,
      timeoutMs: options.deliveryTimeoutMs,
    })
    const of = (kind: SendResult['kind']) => records.filter((_, index) => results[index]?.kind === kind)
    const [away] = results.filter((result) => result.kind === 'unavailable')
    const missing = of('unknownTopic')
    if (missing.length > 0 && first) {
      if (!(await this.#ensured(missing))) return false
      return this.#sendRest(records, results)
    }
    if (away !== undefined) {
      this.#deps.onUnavailable(away.reason)
      return false
    }
    if (records.length > 1 && of('tooLarge').length > 0) return this.#sendRest(records, results)
    this.#deps.onReplayed(of('acknowledged').length)
    for (const record of [...of('tooLarge'), ...of('refused'), ...missing])
      this.#deps.onLost(record, 'Kafka refuses the spilled record')
    return true
  }

  /** One by one: what was refused in company may pass alone. */
  async #sendRest(records: readonly OutgoingRecord[], results: readonly SendResult[]): Promise<boolean> {
    const rest = records.filter((_, index) => results[index]?.kind !== 'acknowledged')
    this.#deps.onReplayed(records.length - rest.length)
    for (const record of rest) if (!(await this.#send([record], false))) return false
    return true
  }

  async #ensured(records: readonly OutgoingRecord[]): Promise<boolean> {
    try {
      await this.#deps.ensureTopics([...new Set(records.map(({ topic }) => topic))])
      return true
    } catch (error) {
      this.#deps.onUnavailable(error instanceof Error ? error.message : String(error))
      return false
    }
  }
}
