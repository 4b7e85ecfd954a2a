import { stringify } from 'yaml'

export const FORMATS = ['table', 'json', 'yaml', 'name'] as const
export type Format = (typeof FORMATS)[number]

/** One document for machines; several become one List, or one YAML stream. */
export function toDocument(format: 'json' | 'yaml', documents: readonly unknown[], single: boolean): string {
  if (format === 'yaml') return documents.map((document) => stringify(document).trimEnd()).join('\n---\n')
  const shown = single ? documents[0] : { apiVersion: 'v1', kind: 'List', items: documents }
  return JSON.stringify(shown, undefined, 2)
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

/** `1.5 GiB`; exact below 1 KiB. */
export function formatBytes(bytes: number): string {
  const power = bytes < 1_024 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), UNITS.length - 1)
  const amount = bytes / 1_024 ** power
  return `${power === 0 ? String(bytes) : amount.toFixed(1)} ${UNITS[power] ?? ''}`
}
