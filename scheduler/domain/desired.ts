/** What agents shall have loaded, derived from model documents alone. */
import type { InternalName, ModelDocument, ModelSpec, ReplicaKey, VersionDocument } from './documents.ts'
import { toInternalName } from './names.ts'

/** One model version that one server replica shall have loaded. */
export interface DesiredModelVersion {
  readonly internalName: InternalName
  readonly model: string
  readonly version: number
  readonly spec: ModelSpec
  /** Grows when a failed load shall be tried again; the agent repeats it in what it reports. */
  readonly attempt: number
}

/** The difference that one model change makes to its agents. */
export interface DesiredChanges {
  readonly load: readonly { readonly replica: ReplicaKey; readonly desired: DesiredModelVersion }[]
  readonly unload: readonly { readonly replica: ReplicaKey; readonly internalName: InternalName }[]
}

/** I3: a copy that leaves stays desired until it is taken out of `leaving`. */
export function desiredReplicas(version: VersionDocument): readonly ReplicaKey[] {
  return [...new Set([...version.assigned, ...(Object.keys(version.leaving) as ReplicaKey[])])]
}

export function toDesired(model: ModelDocument, version: VersionDocument, replica: ReplicaKey): DesiredModelVersion {
  return {
    internalName: toInternalName(model.name, version.version),
    model: model.name,
    version: version.version,
    spec: version.spec,
    attempt: version.attempts[replica] ?? 0,
  }
}

/** What agents must be told when a model document changes from `before` to `after`; costs what the model has. */
export function desiredChanges(before: ModelDocument | undefined, after: ModelDocument | undefined): DesiredChanges {
  const old = desiredByCopy(before)
  const next = desiredByCopy(after)
  return {
    load: [...next.values()].filter(({ replica, desired }) => {
      const had = old.get(copyKey(replica, desired.internalName))
      return had?.desired.attempt !== desired.attempt // an internal name never changes its spec
    }),
    unload: [...old.values()]
      .filter(({ replica, desired }) => !next.has(copyKey(replica, desired.internalName)))
      .map(({ replica, desired }) => ({ replica, internalName: desired.internalName })),
  }
}

type Copy = DesiredChanges['load'][number]

const copyKey = (replica: ReplicaKey, internalName: InternalName): string => `${replica} ${internalName}`

function desiredByCopy(model: ModelDocument | undefined): ReadonlyMap<string, Copy> {
  const copies = new Map<string, Copy>()
  if (model === undefined) return copies
  for (const version of model.versions)
    for (const replica of desiredReplicas(version)) {
      const desired = toDesired(model, version, replica)
      copies.set(copyKey(replica, desired.internalName), { replica, desired })
    }
  return copies
}
