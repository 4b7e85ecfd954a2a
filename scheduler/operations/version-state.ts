import type { ModelDocument, ModelState, VersionDocument } from '../domain/documents.ts'
import { routedVersion, wantedVersion } from '../domain/model-facts.ts'

/** The state of one version: the model's own for the version that is wanted; an older one serves, or is on its way out. */
export function toVersionState(model: ModelDocument, version: VersionDocument): { state: ModelState; reason: string } {
  if (version === wantedVersion(model)) return { state: model.status.state, reason: model.status.reason }
  if (version === routedVersion(model))
    return { state: 'ModelAvailable', reason: 'serves until a newer version takes over' }
  return { state: 'ModelTerminating', reason: 'replaced by a newer version' }
}
