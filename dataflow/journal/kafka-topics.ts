/** The topics of a journal: created with its settings, deleted, and how well they are kept. */
import type { KafkaAdmin } from '../kafka/client.ts'
import type { TopicEnd, TopicSpace } from './topics.ts'
import { topicName } from './topics.ts'

/** Copies where nothing else is said, when there are enough brokers. */
const USUAL_REPLICAS = 3

export interface KafkaTopicsOptions {
  readonly space: TopicSpace
  readonly partitions: number
  /** 0: as many as there are brokers, at most 3. */
  readonly replicationFactor: number
  readonly maxRecordBytes: number
}

interface Together {
  readonly names: Set<string>
  readonly made: Promise<void>
  callers: number
}

export class KafkaTopics {
  readonly #admin: KafkaAdmin
  readonly #options: KafkaTopicsOptions
  #brokers = 0
  /** One at a time: creating many takes its time in the controller, and the same topics may be asked for twice. */
  #last: Promise<unknown> = Promise.resolve()
  /** Asked for while others are made. */
  #together: Together | undefined

  constructor(admin: KafkaAdmin, options: KafkaTopicsOptions) {
    this.#admin = admin
    this.#options = options
  }

  /** How many there were when they were asked last; 0: never yet. */
  get brokers(): number {
    return this.#brokers
  }

  /** 0: not known yet. */
  get replicationFactor(): number {
    return this.#options.replicationFactor > 0
      ? this.#options.replicationFactor
      : Math.min(USUAL_REPLICAS, this.#brokers)
  }

  async countBrokers(): Promise<void> {
    this.#brokers = await this.#admin.brokers()
  }

  ensure(ends: readonly TopicEnd[]): Promise<void> {
    return this.ensureNames(this.#names(ends))
  }

  /** What many ask for meanwhile is made together: a thousand pipelines begin at once. */
  async ensureNames(names: readonly string[]): Promise<void> {
    const together = (this.#together ??= this.#begin())
    together.callers += 1
    for (const name of names) together.names.add(name)
    try {
      await together.made
    } catch (error) {
      if (together.callers === 1) throw error
      await this.#next(() => this.#make(names)) // it may be another one's topic that cannot be made
    }
  }

  #begin(): Together {
    const names = new Set<string>()
    const made = this.#next(() => {
      this.#together = undefined
      return this.#make([...names])
    })
    return { names, callers: 0, made }
  }

  async #make(names: readonly string[]): Promise<void> {
    if (this.#brokers === 0) await this.countBrokers()
    const { partitions, maxRecordBytes: maxMessageBytes } = this.#options
    const { replicationFactor } = this
    const there = await this.#admin.partitions(names)
    const missing = names.filter((name) => !there.has(name))
    if (missing.length > 0) await this.#admin.createTopics(missing, { partitions, replicationFactor, maxMessageBytes })
  }

  delete(ends: readonly TopicEnd[]): Promise<void> {
    return this.#next(() => this.#admin.deleteTopics(this.#names(ends)))
  }

  #names(ends: readonly TopicEnd[]): readonly string[] {
    return [...new Set(ends.map((end) => topicName(this.#options.space, end)))]
  }

  #next(work: () => Promise<void>): Promise<void> {
    const result = this.#last.then(work)
    this.#last = result.catch(() => undefined) // told to its own caller
    return result
  }
}
