/** What the scheduler last said, on disk, so that a process that restarts goes on while no scheduler answers. */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Static, TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { toServingError } from '../../kit/errors.ts'
import type { Logger } from '../../kit/log.ts'

export interface SavedFile<T> {
  /** What the last run saved; nothing when there is no readable file. */
  readonly load: () => Promise<T>
  /** Soon; calls that come while one is written are written together. Never rejects. */
  readonly save: (content: () => T) => void
  /** Resolves when everything is written. */
  readonly settled: () => Promise<void>
}

/** `what` it holds, for the log. */
export function createSavedFile<S extends TSchema>(
  path: string,
  schema: S,
  nothing: Static<S>,
  what: string,
  log: Logger,
): SavedFile<Static<S>> {
  let wanted: (() => Static<S>) | undefined
  let writing: Promise<void> | undefined

  const write = async (): Promise<void> => {
    while (wanted !== undefined) {
      const content = wanted()
      wanted = undefined
      try {
        await mkdir(dirname(path), { recursive: true })
        await writeFile(`${path}.new`, JSON.stringify(content))
        await rename(`${path}.new`, path)
      } catch (error) {
        log.error({ path, what, error: toServingError(error).message }, 'what the scheduler said could not be saved')
      }
    }
  }

  return {
    load: async () => {
      try {
        return Value.Parse(schema, JSON.parse(await readFile(path, 'utf8')))
      } catch (error) {
        const isFirstStart = (error as NodeJS.ErrnoException).code === 'ENOENT'
        if (!isFirstStart) log.warn({ path, what, error: String(error) }, 'a saved file is not readable and ignored')
        return nothing
      }
    },
    save: (content) => {
      wanted = content
      writing ??= write().finally(() => {
        writing = undefined
      })
    },
    settled: async () => {
      await writing
    },
  }
}
