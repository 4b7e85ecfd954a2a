/** The last known plans on disk, so that a gateway that restarts serves while no scheduler answers. */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import type { Logger } from '../../kit/log.ts'
import { toServingError } from '../../kit/errors.ts'
import type { PlansSnapshot } from './held-plans.ts'

const SCHEMA_VERSION = 1
const Name = { pipeline: Type.String(), version: Type.Number(), uid: Type.String() }
const FileSchema = Type.Object({
  schemaVersion: Type.Literal(SCHEMA_VERSION),
  storeId: Type.String(),
  plans: Type.Array(Type.Object({ ...Name, specJson: Type.String() })),
  serving: Type.Array(Type.Object(Name)),
})

const NOTHING: PlansSnapshot = { storeId: '', plans: [], serving: [] }

export interface PlansFile {
  /** What the last run saved; nothing when there is no readable file. */
  readonly load: () => Promise<PlansSnapshot>
  /** Soon; calls that come while one is written are written together. Never rejects. */
  readonly save: (snapshot: () => PlansSnapshot) => void
  /** Resolves when everything is written. */
  readonly settled: () => Promise<void>
}

export function createPlansFile(path: string, log: Logger): PlansFile {
  let wanted: (() => PlansSnapshot) | undefined
  let writing: Promise<void> | undefined

  const write = async (): Promise<void> => {
    while (wanted !== undefined) {
      const content: Static<typeof FileSchema> = { schemaVersion: SCHEMA_VERSION, ...toMutable(wanted()) }
      wanted = undefined
      try {
        await mkdir(dirname(path), { recursive: true })
        await writeFile(`${path}.new`, JSON.stringify(content))
        await rename(`${path}.new`, path)
      } catch (error) {
        log.error({ path, error: toServingError(error).message }, 'plans could not be saved')
      }
    }
  }

  return {
    load: async () => {
      try {
        const { storeId, plans, serving } = Value.Parse(FileSchema, JSON.parse(await readFile(path, 'utf8')))
        return { storeId, plans, serving }
      } catch (error) {
        const isFirstStart = (error as NodeJS.ErrnoException).code === 'ENOENT'
        if (!isFirstStart) log.warn({ path, error: String(error) }, 'saved plans are not readable and ignored')
        return NOTHING
      }
    },
    save: (snapshot) => {
      wanted = snapshot
      writing ??= write().finally(() => {
        writing = undefined
      })
    },
    settled: async () => {
      await writing
    },
  }
}

const toMutable = ({ storeId, plans, serving }: PlansSnapshot) => ({
  storeId,
  plans: [...plans],
  serving: [...serving],
})
