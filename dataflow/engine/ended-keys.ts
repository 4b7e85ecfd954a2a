/** Requests that ended lately: what comes for them is late, or there twice. Bounded: the oldest are forgotten. */
export interface EndedKeys {
  /** `hadInput`: its record on the pipeline's inputs was taken, too. */
  readonly add: (pipeline: string, key: string, hadInput: boolean) => void
  /** Undefined: it is not known to have ended. */
  readonly get: (pipeline: string, key: string) => { readonly hadInput: boolean } | undefined
  readonly delete: (pipeline: string, key: string) => void
}

export function createEndedKeys(bound: number): EndedKeys {
  /** In the order of their ends. */
  const ended = new Map<string, boolean>()
  const nameOf = (pipeline: string, key: string): string => `${pipeline}/${key}`
  return {
    add: (pipeline, key, hadInput) => {
      const name = nameOf(pipeline, key)
      ended.delete(name)
      ended.set(name, hadInput)
      for (const [oldest] of ended) {
        if (ended.size <= bound) break
        ended.delete(oldest)
      }
    },
    get: (pipeline, key) => {
      const hadInput = ended.get(nameOf(pipeline, key))
      return hadInput === undefined ? undefined : { hadInput }
    },
    delete: (pipeline, key) => {
      ended.delete(nameOf(pipeline, key))
    },
  }
}
