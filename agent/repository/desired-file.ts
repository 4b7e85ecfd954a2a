/**
 * The last desired state on disk, so that an agent that restarts can name the generation it has, and can reload a
 * server that restarted too while no scheduler answers. Losing it costs a full message, nothing else.
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import type { Logger } from '../../kit/log.ts'
import { type Desired, NOTHING_KNOWN, toSpecKey } from '../desired/desired.ts'

const SCHEMA_VERSION = 1

const DesiredFileSchema = Type.Object({
  schemaVersion: Type.Literal(SCHEMA_VERSION),
  epoch: Type.String(),
  generation: Type.Number(),
  models: Type.Array(
    Type.Object({
      internalName: Type.String(),
      modelName: Type.String(),
      version: Type.Number(),
      storageUri: Type.String(),
      artifactVersion: Type.Optional(Type.Number()),
      requirements: Type.Array(Type.String()),
      parameters: Type.Record(Type.String(), Type.String()),
      callBack: Type.Optional(
        Type.Object({
          explainerType: Type.String(),
          kind: Type.Enum(['models', 'pipelines']),
          name: Type.String(),
        }),
      ),
      memoryBytes: Type.Number(),
      attempt: Type.Number(),
    }),
  ),
})

export interface DesiredFile {
  save(desired: Desired): Promise<void>
  /** What the last run saved, not confirmed; nothing known when there is no readable file. */
  load(): Promise<Desired>
}

export function createDesiredFile({ folder, log }: { readonly folder: string; readonly log: Logger }): DesiredFile {
  const own = join(folder, '.millrace')
  const path = join(own, 'desired.json')
  return {
    async save(desired) {
      if (desired.kind === 'Unknown') return
      const { epoch, generation, models } = desired
      const content: Static<typeof DesiredFileSchema> = {
        schemaVersion: SCHEMA_VERSION,
        epoch,
        generation,
        models: [...models.values()].map((model) => ({ ...model, requirements: [...model.requirements] })),
      }
      await mkdir(own, { recursive: true })
      await writeFile(`${path}.new`, JSON.stringify(content))
      await rename(`${path}.new`, path)
    },
    async load() {
      try {
        const { epoch, generation, models } = Value.Parse(DesiredFileSchema, JSON.parse(await readFile(path, 'utf8')))
        const byName = new Map(models.map((model) => [model.internalName, { ...model, specKey: toSpecKey(model) }]))
        return { kind: 'Known', epoch, generation, confirmed: false, models: byName }
      } catch (error) {
        const isFirstStart = (error as NodeJS.ErrnoException).code === 'ENOENT'
        if (!isFirstStart) log.warn({ path, error: String(error) }, 'saved desired state is not readable and ignored')
        return NOTHING_KNOWN
      }
    },
  }
}
