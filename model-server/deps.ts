import type { Logger } from '../kit/log.ts'
import type { Repository } from './repository.ts'

/** What both interfaces answer from. */
export interface Deps {
  readonly repository: Repository
  /** False while the server drains. */
  readonly isReady: () => boolean
  readonly identity: ServerIdentity
  readonly limits: { readonly maxRequestBytes: number; readonly maxBufferedBytes: number }
  readonly log: Logger
}

export interface ServerIdentity {
  readonly name: string
  readonly version: string
  readonly extensions: string[]
}
