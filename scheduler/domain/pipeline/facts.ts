/** Small questions about one pipeline document, asked in several places. */
import type { PipelineDocument, PipelineVersionDocument } from '../documents.ts'

/** What users want: the last version. A record always has one. */
export function wantedPipelineVersion(pipeline: PipelineDocument): PipelineVersionDocument {
  const version = pipeline.versions.at(-1)
  if (version === undefined) throw new RangeError(`pipeline ${pipeline.name} has no version`)
  return version
}
