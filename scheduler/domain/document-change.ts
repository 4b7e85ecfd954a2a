/** What one write did to the documents in memory; everything that follows from it is computed from this. */
import type {
  ExperimentDocument,
  GatewayDocument,
  InternalName,
  ModelDocument,
  ObservedDocument,
  PipelineDocument,
  ReplicaDocument,
  ReplicaKey,
  ServerDocument,
} from './documents.ts'
import type { Write } from './store.ts'

interface BeforeAfter<Document> {
  /** Undefined: did not exist. */
  readonly before: Document | undefined
  /** Undefined: is gone. */
  readonly after: Document | undefined
}

export type DocumentChange =
  | ({ readonly kind: 'model'; readonly name: string } & BeforeAfter<ModelDocument>)
  | ({ readonly kind: 'server'; readonly name: string } & BeforeAfter<ServerDocument>)
  | ({ readonly kind: 'pipeline'; readonly name: string } & BeforeAfter<PipelineDocument>)
  | ({ readonly kind: 'experiment'; readonly name: string } & BeforeAfter<ExperimentDocument>)
  | ({ readonly kind: 'gateway'; readonly name: string } & BeforeAfter<GatewayDocument>)
  | ({ readonly kind: 'replica'; readonly name: ReplicaKey } & BeforeAfter<ReplicaDocument>)
  | ({
      readonly kind: 'observed'
      readonly replica: ReplicaKey
      readonly name: InternalName
    } & BeforeAfter<ObservedDocument>)

/** The same write with its document at the revision of the commit that wrote it, as the store returns it. */
export function atRevision(write: Write, revision: number): Write {
  switch (write.kind) {
    case 'model':
      return write.document === undefined ? write : { ...write, document: { ...write.document, revision } }
    case 'server':
      return write.document === undefined ? write : { ...write, document: { ...write.document, revision } }
    case 'replica':
      return write.document === undefined ? write : { ...write, document: { ...write.document, revision } }
    case 'pipeline':
      return write.document === undefined ? write : { ...write, document: { ...write.document, revision } }
    case 'gateway':
      return write.document === undefined ? write : { ...write, document: { ...write.document, revision } }
    case 'experiment':
      return write.document === undefined ? write : { ...write, document: { ...write.document, revision } }
    case 'observed':
    case 'event':
      return write
  }
}
