/** A record that the journal has taken and not settled yet. */
import type { ServingError } from '../../kit/errors.ts'
import type { OutgoingRecord } from '../kafka/client.ts'
import { toOutgoing } from './encode.ts'
import { markedAsReplayed } from './journal-headers.ts'
import type { JournalRecord, RecordWaiter } from './journal.ts'
import type { Lane, Pending } from './lane.ts'

export class Entry implements Pending {
  readonly record: JournalRecord
  readonly topic: string
  readonly bytes: number
  readonly enqueuedAtMs: number
  readonly lane: Lane<Entry>
  /** Somebody's answer waits for it. */
  readonly awaited: boolean
  readonly urgent: boolean
  waiter: RecordWaiter | undefined
  alone = false
  topicEnsured = false
  attempts = 0

  constructor(
    record: JournalRecord,
    topic: string,
    bytes: number,
    nowMs: number,
    lane: Lane<Entry>,
    waiter: RecordWaiter | undefined,
  ) {
    this.record = record
    this.topic = topic
    this.bytes = bytes
    this.enqueuedAtMs = nowMs
    this.lane = lane
    this.awaited = record.awaited ?? true
    this.urgent = record.urgent ?? this.awaited
    this.waiter = waiter
  }

  /** It can wait in the spill file, or be lost, instead of being refused. */
  get isOpen(): boolean {
    return this.record.onFailure === 'fail-open'
  }

  encode(attempted: boolean): OutgoingRecord {
    const record = toOutgoing(this.topic, this.record, this.enqueuedAtMs)
    return attempted ? { ...record, headers: markedAsReplayed(record.headers) } : record
  }

  /** Beside its own waiter, until it is settled. */
  alsoTell(also: () => void): void {
    const { waiter } = this
    this.waiter = {
      onRecorded: (error) => {
        waiter?.onRecorded(error)
        also()
      },
    }
  }

  tell(error: ServingError | undefined): void {
    const { waiter } = this
    this.waiter = undefined
    try {
      waiter?.onRecorded(error)
    } catch (bug) {
      queueMicrotask(() => {
        throw bug // it ends the process, but not in the middle of a batch
      })
    }
  }

  /** Nobody is told before `write` returns. */
  tellSoon(error?: ServingError): void {
    if (this.waiter === undefined) return
    queueMicrotask(() => {
      this.tell(error)
    })
  }
}
