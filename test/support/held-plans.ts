/** What a gateway holds, as the API for gateways says it is to be read; for the fake gateway and for property tests. */
export interface Plan {
  readonly pipeline: string
  readonly version: number
  readonly uid: string
}

export function createHeldPlans() {
  const plans = new Map<string, readonly Plan[]>()
  const chosen = new Map<string, string>()
  const of = (pipeline: string): readonly Plan[] => plans.get(pipeline) ?? []
  const put = (pipeline: string, held: readonly Plan[]): void => {
    if (held.length > 0) plans.set(pipeline, held)
    else plans.delete(pipeline)
  }

  /** What a request that arrives now runs. */
  function running(pipeline: string): Plan | undefined {
    const held = of(pipeline)
    const named = held.find(({ uid }) => uid === chosen.get(pipeline))
    return named ?? held.toSorted((a, b) => a.version - b.version).at(-1)
  }

  return {
    load: (plan: Plan): void => {
      put(plan.pipeline, [...of(plan.pipeline).filter(({ version }) => version !== plan.version), plan])
    },
    serve: ({ pipeline, uid }: Plan): void => {
      chosen.set(pipeline, uid)
    },
    /** The uid of what went. */
    unload: (pipeline: string, version: number): string => {
      const gone = of(pipeline).find((plan) => plan.version === version)
      put(
        pipeline,
        of(pipeline).filter((plan) => plan !== gone),
      )
      return gone?.uid ?? ''
    },
    keepOnly: (kept: readonly Plan[]): void => {
      const uids = new Set(kept.map(({ uid }) => uid))
      for (const [pipeline, held] of plans)
        put(
          pipeline,
          held.filter(({ uid }) => uids.has(uid)),
        )
    },
    held: (): Plan[] => [...plans.values()].flat(),
    running,
    /** `<pipeline>@<version>`, sorted. */
    serving: (): readonly string[] =>
      [...plans.keys()].map((pipeline) => `${pipeline}@${String(running(pipeline)?.version)}`).toSorted(),
  }
}
