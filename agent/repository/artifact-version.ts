/** Which folder of an artefact to serve: artefacts may hold numbered versions side by side. Pure. */
import { ServingError } from '../../kit/errors.ts'

/** The first level of an artefact. */
export interface ArtifactListing {
  readonly folders: readonly string[]
  readonly files: readonly string[]
}

const NUMBER = /^\d{1,15}$/

/**
 * The folder of the artefact, '' for its root: the one that was asked for; else the root, when it holds the file that
 * describes a model; else the highest number; else the root.
 * @throws ServingError ARTIFACT_NOT_FOUND when the version that was asked for is not there
 */
export function selectVersionFolder(
  listing: ArtifactListing,
  requested: number | undefined,
  descriptionFile: string,
): string {
  const numbered = listing.folders.filter((name) => NUMBER.test(name)).toSorted((a, b) => Number(a) - Number(b))
  if (requested !== undefined) {
    const matching = numbered.filter((name) => Number(name) === requested)
    const [only] = matching
    if (only !== undefined && matching.length === 1) return only
    const have = numbered.length === 0 ? 'it has no numbered folders' : `it has ${numbered.join(', ')}`
    const problem = matching.length > 1 ? 'is there more than once' : 'is not in the artefact'
    throw new ServingError('ARTIFACT_NOT_FOUND', `artifactVersion ${String(requested)} ${problem}: ${have}`)
  }
  if (listing.files.includes(descriptionFile)) return ''
  return numbered.at(-1) ?? ''
}
