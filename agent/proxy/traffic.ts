/** What passes the proxy, model by model: how many are in flight, when each was last used, and what ended how. */

export type Protocol = 'rest' | 'grpc'

export interface EndedCall {
  readonly internalName: string
  readonly protocol: Protocol
  /** HTTP status (`0`: the client left before an answer) or number of the gRPC status. */
  readonly code: string
  readonly seconds: number
}

export interface CallInFlight {
  /** False: the proxy is full, and this one is to be refused. */
  readonly admitted: boolean
  /** Once; later calls change nothing. */
  readonly end: (code: string) => void
}

export interface ModelUse {
  readonly inFlight: number
  /** Of the last begin or end; milliseconds since 1970. */
  readonly lastUsedMs: number
}

export interface Traffic {
  readonly begin: (internalName: string, protocol: Protocol) => CallInFlight
  /** By internal name: models that were called since they were last forgotten. */
  readonly uses: () => ReadonlyMap<string, ModelUse>
  /** A model that was unloaded; what is still in flight stays counted. */
  readonly forget: (internalName: string) => void
}

/** Callers choose names, so there is a bound; beyond it those go that are idle and were named longest ago. */
const MAX_USES = 10_000

export function createTraffic(options: {
  readonly maxRequests: number
  readonly onEnd: (call: EndedCall) => void
  readonly nowMs: () => number
  readonly epochMs: () => number
}): Traffic {
  const { nowMs, epochMs } = options
  const uses = new Map<string, ModelUse>()
  const forgotten = new Set<string>()
  let total = 0

  function count(internalName: string, change: 1 | -1): void {
    total += change
    const inFlight = (uses.get(internalName)?.inFlight ?? 0) + change
    uses.delete(internalName) // behind all others
    if (inFlight === 0 && forgotten.delete(internalName)) return
    uses.set(internalName, { inFlight, lastUsedMs: epochMs() })
    for (const [name, use] of uses) {
      if (uses.size <= MAX_USES) return
      if (use.inFlight === 0) uses.delete(name)
    }
  }

  return {
    begin: (internalName, protocol) => {
      const admitted = total < options.maxRequests
      const startedMs = nowMs()
      let ended = false
      count(internalName, 1)
      return {
        admitted,
        end: (code) => {
          if (ended) return
          ended = true
          count(internalName, -1)
          options.onEnd({ internalName, protocol, code, seconds: (nowMs() - startedMs) / 1_000 })
        },
      }
    },
    uses: () => uses,
    forget: (internalName) => {
      if (uses.get(internalName)?.inFlight === 0) uses.delete(internalName)
      else if (uses.has(internalName)) forgotten.add(internalName)
    },
  }
}
