/** Which folder of an artefact to serve: artefacts may hold numbered versions side by side. Pure. */
import { ServingError } from '../../kit/errors.ts'

/** The first level of an artefact. */
export interface ArtifactListing {
  readonly folders: readonly string[]
  readonly files: readonly string[]
  /** Those of the folders that hold the file that describes a model to the server. */
  readonly describedFolders: readonly string[]
}

const NUMBER = /^\d{1,15}$/

/** The names that are version numbers, lowest first. */
export const numberedFolders = (names: readonly string[]): string[] =>
  names.filter((name) => NUMBER.test(name)).toSorted((a, b) => Number(a) - Number(b))

/**
 * The folder of the artefact, '' for its root: the one that was asked for; else the root, when it holds the file that
 * describes a model; else the highest number; else the root.
 * @throws ServingError ARTIFACT_NOT_FOUND when the version that was asked for is not there
 */
export function selectVersionFolder(
  listing: Pick<ArtifactListing, 'folders' | 'files'>,
  requested: number | undefined,
  descriptionFile: string,
): string {
  const numbered = numberedFolders(listing.folders)
  if (requested !== undefined) return onlyVersion(numbered, requested, 'numbered folders')
  if (listing.files.includes(descriptionFile)) return ''
  return numbered.at(-1) ?? ''
}

/** The one folder of that number; `kind` says what the folders are, when there is none. @throws ServingError ARTIFACT_NOT_FOUND */
export function onlyVersion(numbered: readonly string[], requested: number, kind: string): string {
  const matching = numbered.filter((name) => Number(name) === requested)
  const [only] = matching
  if (only !== undefined && matching.length === 1) return only
  const have = numbered.length === 0 ? `it has no ${kind}` : `it has ${numbered.join(', ')}`
  const problem = matching.length > 1 ? 'is there more than once' : 'is not in the artefact'
  throw new ServingError('ARTIFACT_NOT_FOUND', `artifactVersion ${String(requested)} ${problem}: ${have}`)
}
