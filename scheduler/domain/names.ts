/** The names that join models, versions, servers and replicas, and the one rule they obey. */
import type { InternalName, ReplicaKey } from './documents.ts'

export const MAX_NAME_LENGTH = 63

/** What is wrong with a name of a model or server; undefined when it is good. No underscore: it separates the version. */
export function nameProblem(name: string): string | undefined {
  if (name === '') return 'is empty: give the resource a name'
  if (name.length > MAX_NAME_LENGTH)
    return `"${name.slice(0, 20)}..." has ${String(name.length)} characters: use at most ${String(MAX_NAME_LENGTH)}`
  if (/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(name)) return undefined
  return `"${name}" must be lower-case alphanumeric characters and dashes, with an alphanumeric at both ends and no dots`
}

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
