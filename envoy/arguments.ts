export interface EnvoyArguments {
  /** The file that holds the bootstrap. */
  readonly bootstrapPath: string
  /** Worker threads. */
  readonly concurrency: number
  readonly logLevel: 'debug' | 'info' | 'warning' | 'error'
}

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
