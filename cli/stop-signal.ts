/** For a command that goes on until it is stopped: Ctrl-C ends it in order, a second one at once. */
export function untilStopped(): { readonly signal: AbortSignal; readonly dispose: () => void } {
  const stopped = new AbortController()
  const stop = (): void => {
    dispose()
    stopped.abort()
  }
  const dispose = (): void => {
    process.off('SIGINT', stop)
    process.off('SIGTERM', stop)
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  return { signal: stopped.signal, dispose }
}
