/** What the repository remembers of a model's folder. Written into the folder itself, so it is placed with it at once. */
export interface StoredModel {
  /** See `toSpecKey`; empty when the folder was not made by an agent. */
  readonly specKey: string
  /** The load request that it was last prepared for. */
  readonly attempt: number
  /** Bytes of the artefact's files; 0 until fetched. */
  readonly artifactBytes: number
}

export const NOT_STORED: StoredModel = { specKey: '', attempt: 0, artifactBytes: 0 }
