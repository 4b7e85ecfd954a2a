export interface EnvoyArguments {
  /** The file that holds the bootstrap. */
  readonly bootstrapPath: string
  /** Worker threads. */
  readonly concurrency: number
  readonly logLevel: 'debug' | 'info' | 'warning' | 'error'
}

/** Worker threads of an Envoy that shares a machine with those who answer; with one for each processor they take turns. */
export const sharedConcurrency = (processors: number): number => Math.min(Math.max(Math.floor(processors / 2), 1), 256)

/** The command line of Envoy. Hot restart is off: two Envoys on one machine would meet in its shared memory. */
export function toEnvoyArguments({ bootstrapPath, concurrency, logLevel }: EnvoyArguments): readonly string[] {
  return [
    '--config-path',
    bootstrapPath,
    '--concurrency',
    String(concurrency),
    '--log-level',
    logLevel,
    '--disable-hot-restart',
  ]
}
