/** Records out of what a broker gives: whole batches, of which the first may begin before what was asked for. Pure. */
import type { IncomingRecord, Position } from './client.ts'

/** Bit of a batch that holds marks of transactions, no records. */
const CONTROL_BATCH = 0x20

interface Batch {
  readonly firstOffset: bigint
  readonly lastOffsetDelta: number
  readonly attributes: number
  readonly firstTimestamp: bigint
  readonly records: readonly {
    readonly offsetDelta: number
    readonly timestampDelta: bigint
    readonly key: Buffer | null
    readonly value: Buffer | null
    readonly headers: Iterable<readonly [Buffer | null, Buffer | null]>
  }[]
}

export interface ReadRecords {
  readonly records: readonly IncomingRecord[]
  /** Where to go on. */
  readonly next: bigint
}

export function readBatches({ topic, partition, offset: from }: Position, batches: readonly Batch[]): ReadRecords {
  const records: IncomingRecord[] = []
  let next = from
  for (const batch of batches) {
    const after = batch.firstOffset + BigInt(batch.lastOffsetDelta) + 1n
    if (after > next) next = after
    if ((batch.attributes & CONTROL_BATCH) !== 0) continue
    for (const record of batch.records) {
      const offset = batch.firstOffset + BigInt(record.offsetDelta)
      if (offset < from) continue
      records.push({
        topic,
        partition,
        offset,
        key: text(record.key),
        // Copied: what is kept must not keep the whole answer of the broker.
        rawKey: record.key === null ? null : Buffer.from(record.key),
        value: Buffer.from(record.value ?? []),
        headers: [...record.headers].map(([name, value]) => [text(name), text(value)] as const),
        timestampMs: Number(batch.firstTimestamp + record.timestampDelta),
      })
    }
  }
  return { records, next }
}

const text = (bytes: Buffer | null): string => bytes?.toString('utf8') ?? ''
