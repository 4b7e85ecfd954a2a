/** What differs between kinds of model server in the repository folder. One file beside this one per kind. */
import type { DesiredModel } from '../../desired/desired.ts'
import type { ArtifactListing } from '../artifact-version.ts'

export interface RepositoryLayout {
  /** The file that describes a model to this kind of server. */
  readonly descriptionFile: string
  /** The folder of the artefact to copy, '' for its root. @throws ServingError ARTIFACT_NOT_FOUND */
  selectFolder(listing: ArtifactListing, requested: number | undefined): string
  /** Makes the copied files into what this kind of server loads under the internal name. @throws ServingError */
  describe(folder: string, model: DesiredModel, ingress: Ingress): Promise<void>
}

/** Where models that call others find them. */
export interface Ingress {
  /** As the model server reaches it. */
  readonly url: string
  /** The authority's file, of an ingress that speaks TLS. */
  readonly ca?: string
}
