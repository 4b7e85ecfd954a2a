/** How to tell that a process serves. */
export type Readiness =
  | { readonly kind: 'http'; readonly url: string; readonly tls?: ProbeTls }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'redis'; readonly host: string; readonly port: number }

/** Paths of PEM files, read at every probe: whom to trust, what to show. */
export interface ProbeTls {
  readonly ca: string
  readonly cert?: string
  readonly key?: string
}

/** One child process, as data. */
export interface ProcessSpec {
  /** Also the name of its log and pid file. */
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  /** Added to our own environment. */
  readonly environment: Readonly<Record<string, string>>
  /** Names of processes that must be ready before this one is started. They stand earlier in the list. */
  readonly after: readonly string[]
  readonly readiness: Readiness
  readonly readyTimeoutMs: number
  /** Stopped in ascending stages; all of one stage together. */
  readonly stopStage: number
  /** From SIGTERM to SIGKILL. */
  readonly stopTimeoutMs: number
}
