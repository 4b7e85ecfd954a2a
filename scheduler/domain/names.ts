/** The names that join models, versions, servers and replicas. The rule they obey is in api/resources/rules.ts. */
import type { InternalName, ReplicaKey } from './documents.ts'

export function toInternalName(model: string, version: number): InternalName {
  return `${model}_${version}`
}

/** Model names hold no underscore, so the last one separates the version. */
export function parseInternalName(name: InternalName): { readonly model: string; readonly version: number } {
  const at = name.lastIndexOf('_')
  return { model: name.slice(0, at), version: Number(name.slice(at + 1)) }
}

export function toReplicaKey(server: string, index: number): ReplicaKey {
  return `${server}/${index}`
}

export function parseReplicaKey(key: ReplicaKey): { readonly server: string; readonly index: number } {
  const at = key.lastIndexOf('/')
  return { server: key.slice(0, at), index: Number(key.slice(at + 1)) }
}

/** By server, then by index as a number: `s/2` before `s/10`. */
export function compareReplicaKeys(a: ReplicaKey, b: ReplicaKey): number {
  const left = parseReplicaKey(a)
  const right = parseReplicaKey(b)
  if (left.server !== right.server) return left.server < right.server ? -1 : 1
  return left.index - right.index
}
