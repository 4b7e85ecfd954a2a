/**
 * How a document is written in Redis: `<revision> <JSON>`. The revision stands outside the JSON because the commit
 * script sets and compares it without parsing anything.
 */
import { ServingError } from '../../kit/errors.ts'
import { type ObservedDocument, SCHEMA_VERSION } from '../domain/documents.ts'
import type { DocumentByKind, DocumentKind, Write } from '../domain/store.ts'

/** The JSON of a document without its revision; `''` for a deletion. */
export function encodePayload(write: Write): string {
  if (write.kind === 'event') return JSON.stringify(write.event)
  if (write.document === undefined) return ''
  return JSON.stringify({ ...write.document, schemaVersion: SCHEMA_VERSION, revision: undefined })
}

/** Reads a stored document. @throws ServingError STORE_SCHEMA_NEWER when a newer scheduler wrote it. */
export function decodeDocument<K extends DocumentKind>(_kind: K, label: string, value: string): DocumentByKind[K] {
  const { revision, payload } = splitValue(value)
  return Object.assign(parsePayload(label, payload), { revision }) as unknown as DocumentByKind[K]
}

/** Reads what an agent reported. @throws ServingError STORE_SCHEMA_NEWER when a newer scheduler wrote it. */
export function decodeObserved(label: string, value: string): ObservedDocument {
  const { schemaVersion: _, ...document } = parsePayload(label, splitValue(value).payload)
  return document as unknown as ObservedDocument
}

/** A stored payload as an object whose schema this scheduler knows. */
export function parsePayload(label: string, payload: string): Record<string, unknown> {
  const parsed = JSON.parse(payload) as Record<string, unknown>
  const version = parsed['schemaVersion']
  if (typeof version !== 'number' || version > SCHEMA_VERSION) {
    throw new ServingError(
      'STORE_SCHEMA_NEWER',
      `${label} in Redis has schemaVersion ${String(version)}, this scheduler knows up to ${String(SCHEMA_VERSION)}: start a newer scheduler, or use another --key-prefix`,
    )
  }
  return parsed
}

function splitValue(value: string): { revision: number; payload: string } {
  const space = value.indexOf(' ')
  return { revision: Number(value.slice(0, space)), payload: value.slice(space + 1) }
}
