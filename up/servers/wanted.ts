/** From Server resources to the replicas that `millrace up` runs. Pure. */
import type { ServerResource } from '../../api/resources/resource.ts'
import type { StoredResource, StoredServer } from '../../api/resources/status.ts'
import { isServerKind, MAX_REPLICAS, SERVER_KINDS, type ServerKind } from './kinds.ts'

export type Wanted =
  | { readonly kind: 'replicas'; readonly server: ServerKind; readonly count: number; readonly note?: string }
  /** `note` says why nothing is done about it. */
  | { readonly kind: 'ignored'; readonly note: string }
  /** Not applied: its agents alone have made it known. */
  | { readonly kind: 'undeclared' }

export function toWanted(resource: StoredResource): Wanted {
  if (resource.kind !== 'Server') return { kind: 'undeclared' }
  const { name } = resource.metadata
  const { replicas } = resource.spec
  if (!isDeclared(resource) || replicas === undefined) return { kind: 'undeclared' }
  if (!isServerKind(name))
    return {
      kind: 'ignored',
      note: `server ${name}: millrace up runs ${SERVER_KINDS.join(' and ')} only; start the model servers of any other with their agents yourself`,
    }
  if (replicas <= MAX_REPLICAS) return { kind: 'replicas', server: name, count: replicas }
  return {
    kind: 'replicas',
    server: name,
    count: MAX_REPLICAS,
    note: `server ${name}: ${String(MAX_REPLICAS)} of its ${String(replicas)} replicas are run, as many as one machine may have`,
  }
}

/** A server that nobody applied has no count of replicas, or an unknown one. */
const isDeclared = (server: StoredServer): boolean => (server.spec.replicas ?? -1) >= 0

/** Servers of `--servers` that nobody has applied yet: those it declares. */
export function undeclared(
  asked: ReadonlyMap<ServerKind, number>,
  stored: readonly StoredResource[],
): ReadonlyMap<ServerKind, number> {
  const declared = new Set(stored.filter((r) => r.kind === 'Server' && isDeclared(r)).map((r) => r.metadata.name))
  return new Map([...asked].filter(([server]) => !declared.has(server)))
}

/** Servers that were applied with other replicas than `--servers` says, as they are to be applied now. */
export function differing(
  asked: ReadonlyMap<ServerKind, number>,
  stored: readonly StoredResource[],
): readonly { readonly resource: ServerResource; readonly replicas: number; readonly was: number }[] {
  return stored.flatMap((one) => {
    if (one.kind !== 'Server' || !isServerKind(one.metadata.name)) return []
    const replicas = asked.get(one.metadata.name)
    const was = one.spec.replicas ?? -1
    if (replicas === undefined || !isDeclared(one) || was === replicas) return []
    const { status: _, ...resource } = one
    const { generation: __, ...metadata } = resource.metadata
    return [{ resource: { ...resource, metadata, spec: { ...resource.spec, replicas } }, replicas, was }]
  })
}
