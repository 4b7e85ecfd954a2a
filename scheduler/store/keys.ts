import type { ReplicaKey } from '../domain/documents.ts'
import type { DocumentKind, Write } from '../domain/store.ts'

/** Hashes of documents, in the order in which `lua/commit.lua` takes them. */
export const HASH_KINDS = ['model', 'server', 'replica', 'observed', 'pipeline', 'experiment', 'gateway'] as const
export type HashKind = (typeof HASH_KINDS)[number]

/** All keys of one control plane. One hash tag, so that one script may touch them all on a Redis cluster as well. */
export interface Keys {
  readonly storeId: string
  readonly lease: string
  readonly fence: string
  readonly revision: string
  readonly changes: string
  readonly hash: Readonly<Record<HashKind, string>>
  readonly events: (subject: string) => string
  readonly ackBoards: string
  readonly ackBoard: (scheduler: string) => string
  /** Prefix of everything that BullMQ keeps; deleting it all loses nothing. */
  readonly jobs: string
}

/** @param keyPrefix tells control planes apart that share one Redis. */
export function createKeys(keyPrefix: string): Keys {
  const tag = `{${keyPrefix}}`
  return {
    storeId: `${tag}:store-id`,
    lease: `${tag}:lease`,
    fence: `${tag}:fence`,
    revision: `${tag}:revision`,
    changes: `${tag}:changes`,
    hash: {
      model: `${tag}:models`,
      server: `${tag}:servers`,
      replica: `${tag}:replicas`,
      observed: `${tag}:observed`,
      pipeline: `${tag}:pipelines`,
      experiment: `${tag}:experiments`,
      gateway: `${tag}:gateways`,
    },
    events: (subject) => `${tag}:events:${subject}`,
    ackBoards: `${tag}:acks`,
    ackBoard: (scheduler) => `${tag}:acks:${scheduler}`,
    jobs: `${tag}:jobs`,
  }
}

/** The field of a write's hash: a name, or `<server>/<index> <model>_<version>` for what an agent reported. */
export const fieldOf = (write: Exclude<Write, { kind: 'event' }>): string =>
  write.kind === 'observed' ? `${write.replica} ${write.name}` : write.name

/** How a document is called in messages and logs: `model/iris`. */
export const labelOf = (kind: DocumentKind, name: string): string => `${kind}/${name}`

/** The inverse of {@link fieldOf} for the hash of observed documents. */
export function replicaOfField(field: string): ReplicaKey {
  return field.slice(0, field.indexOf(' ')) as ReplicaKey
}
