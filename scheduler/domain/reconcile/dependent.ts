/** What reconciling a pipeline or an experiment gives: the same for both, since both follow what they name. */
import type { EventDocument } from '../documents.ts'

export interface DependentReconciliation<Document> {
  /** Undefined: nothing changed, write nothing. */
  readonly document: Document | undefined
  readonly events: readonly EventDocument[]
  /** Reconcile again then, if nothing makes it earlier. */
  readonly wakeAtMs?: number
  /** It was deleted and nothing has it any more: delete the record. */
  readonly remove: boolean
}
