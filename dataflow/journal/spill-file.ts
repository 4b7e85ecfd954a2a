/**
 * The bounded local file of what pipelines with `fail-open` could not record: records one after the other, each preceded
 * by the lengths of its head and its value. What a killed process left is there for the next one; a record that was cut off
 * had been promised to nobody.
 */
import { closeSync, ftruncateSync, mkdirSync, openSync, readSync, fstatSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import type { OutgoingRecord } from '../kafka/client.ts'

const LENGTHS_BYTES = 8

/** A place in the file; what lies before it was sent. */
export interface SpilledBatch {
  readonly records: readonly OutgoingRecord[]
  readonly end: number
}

export class SpillFile {
  readonly #file: number
  readonly #maxBytes: number
  #size: number
  /** Where the first record that was not sent yet begins. */
  #start = 0

  constructor(path: string, maxBytes: number) {
    mkdirSync(dirname(path), { recursive: true })
    this.#file = openSync(path, 'a+', 0o600)
    this.#maxBytes = maxBytes
    this.#size = fstatSync(this.#file).size
  }

  /** Of what still has to be sent. */
  get bytes(): number {
    return this.#size - this.#start
  }

  /** False: it does not fit. */
  append({ value, ...head }: OutgoingRecord): boolean {
    const text = Buffer.from(JSON.stringify(head))
    const total = LENGTHS_BYTES + text.byteLength + value.byteLength
    if (this.#size + total > this.#maxBytes) return false
    const lengths = Buffer.alloc(LENGTHS_BYTES)
    lengths.writeUInt32LE(text.byteLength, 0)
    lengths.writeUInt32LE(value.byteLength, 4)
    writeAll(this.#file, [lengths, text, value])
    this.#size += total
    return true
  }

  /** The next records, of about so many bytes and at least one; undefined when there are none. */
  next(bytes: number): SpilledBatch | undefined {
    const records: OutgoingRecord[] = []
    let at = this.#start
    while (at < this.#size && (records.length === 0 || at - this.#start < bytes)) {
      const found = this.#read(at)
      if (found === undefined) {
        this.#cut(at)
        break
      }
      records.push(found.record)
      at = found.end
    }
    return records.length === 0 ? undefined : { records, end: at }
  }

  /** These were sent. An empty file begins anew. */
  done(batch: SpilledBatch): void {
    this.#start = batch.end
    if (this.#start === this.#size) this.#cut(0)
  }

  close(): void {
    closeSync(this.#file)
  }

  #cut(size: number): void {
    ftruncateSync(this.#file, size)
    this.#size = size
    this.#start = Math.min(this.#start, size)
  }

  #read(at: number): { readonly record: OutgoingRecord; readonly end: number } | undefined {
    const lengths = this.#bytes(at, LENGTHS_BYTES)
    if (lengths === undefined) return undefined
    const [headLength, valueLength] = [lengths.readUInt32LE(0), lengths.readUInt32LE(4)]
    const head = this.#bytes(at + LENGTHS_BYTES, headLength)
    const value = this.#bytes(at + LENGTHS_BYTES + headLength, valueLength)
    if (head === undefined || value === undefined) return undefined
    const record = JSON.parse(head.toString('utf8')) as Omit<OutgoingRecord, 'value'>
    return { record: { ...record, value }, end: at + LENGTHS_BYTES + headLength + valueLength }
  }

  #bytes(at: number, length: number): Buffer | undefined {
    if (at + length > this.#size) return undefined
    const bytes = Buffer.alloc(length)
    for (let read = 0; read < length;) {
      const count = readSync(this.#file, bytes, read, length - read, at + read)
      if (count === 0) return undefined
      read += count
    }
    return bytes
  }
}

function writeAll(file: number, parts: readonly Uint8Array[]): void {
  const bytes = Buffer.concat(parts)
  for (let written = 0; written < bytes.byteLength;) written += writeSync(file, bytes, written)
}
