/** Records of the journal, one a line. */
import type { ShownRecord, ShownTensor } from '../inspect/decode.ts'
import type { Column } from './table.ts'

const MAX_ELEMENTS = 8

export const inspectionColumns = (severalEnds: boolean): readonly Column<ShownRecord>[] => [
  ...(severalEnds ? [{ title: 'EDGE', cell: ({ edge }: ShownRecord) => edge }] : []),
  { title: 'TIME', cell: ({ time }) => time },
  { title: 'REQUEST', cell: ({ requestId, key }) => (requestId === '' ? key : requestId) },
  { title: 'VERSION', cell: ({ version }) => version },
  { title: 'OFFSET', cell: ({ partition, offset }) => `${String(partition)}:${offset}` },
  { title: 'CONTENT', cell: contentText },
]

function contentText({ content }: ShownRecord): string {
  if ('error' in content) return `error of ${content.failed}: ${content.error}`
  if ('undecodable' in content) return `${String(content.bytes)} bytes that are no message: ${content.undecodable}`
  return content.tensors.map(tensorText).join('  ')
}

function tensorText({ name, datatype, shape, data }: ShownTensor): string {
  const shown = data.slice(0, MAX_ELEMENTS).map((element) => JSON.stringify(element))
  const more = data.length > MAX_ELEMENTS ? ['…'] : []
  return `${name} ${datatype}[${shape.join(',')}] ${[...shown, ...more].join(',')}`
}
