import type { Refusal, RequestHead } from '../../../../kit/http1/request-head.ts'
import { RequestReader } from '../../../../kit/http1/request-reader.ts'

export interface ReadRequest {
  readonly head: RequestHead
  readonly body: string
}

export interface Read {
  readonly requests: readonly ReadRequest[]
  readonly refusal: Refusal | undefined
  /** A request has begun and not come whole. */
  readonly isPartial: boolean
}

/** Everything that a reader makes of these pieces, in latin1. */
export function readAll(pieces: readonly string[]): Read {
  const reader = new RequestReader()
  const requests: ReadRequest[] = []
  let head: RequestHead | undefined
  let body = ''
  const readOn = (): Refusal | undefined => {
    for (;;) {
      if (head === undefined) {
        const read = reader.readHead()
        if (read?.kind !== 'head') return read
        head = read
      }
      const part = reader.readPart()
      if (part === undefined) return undefined
      if (part === 'end') {
        requests.push({ head, body })
        head = undefined
        body = ''
      } else if ('kind' in part) return part
      else body += part.toString('latin1')
    }
  }
  for (const piece of pieces) {
    reader.feed(Buffer.from(piece, 'latin1'))
    const refusal = readOn()
    if (refusal !== undefined) return { requests, refusal, isPartial: false }
  }
  return { requests, refusal: undefined, isPartial: head !== undefined || reader.unread > 0 }
}

/** Cut at these places. */
export function cut(text: string, places: readonly number[]): readonly string[] {
  const sorted = [...new Set(places.map((place) => place % (text.length + 1)))].toSorted((a, b) => a - b)
  return [...sorted, text.length].map((end, index) => text.slice(sorted[index - 1] ?? 0, end))
}
