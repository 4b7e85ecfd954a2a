/** The last known plans on disk, so that a gateway that restarts serves while no scheduler answers. */
import { Type } from 'typebox'
import type { Logger } from '../../kit/log.ts'
import { createSavedFile } from './saved-file.ts'
import type { PlansSnapshot } from './held-plans.ts'

const SCHEMA_VERSION = 1
const Name = { pipeline: Type.String(), version: Type.Number(), uid: Type.String() }
const FileSchema = Type.Object({
  schemaVersion: Type.Literal(SCHEMA_VERSION),
  storeId: Type.String(),
  plans: Type.Array(Type.Object({ ...Name, specJson: Type.String() })),
  serving: Type.Array(Type.Object(Name)),
})
const NOTHING = { schemaVersion: SCHEMA_VERSION, storeId: '', plans: [], serving: [] } as const

export interface PlansFile {
  readonly load: () => Promise<PlansSnapshot>
  readonly save: (snapshot: () => PlansSnapshot) => void
  readonly settled: () => Promise<void>
}

export function createPlansFile(path: string, log: Logger): PlansFile {
  const file = createSavedFile(path, FileSchema, { ...NOTHING, plans: [], serving: [] }, 'plans', log)
  return {
    load: file.load,
    save: (snapshot) => {
      file.save(() => {
        const { storeId, plans, serving } = snapshot()
        return { schemaVersion: SCHEMA_VERSION, storeId, plans: [...plans], serving: [...serving] }
      })
    },
    settled: file.settled,
  }
}
