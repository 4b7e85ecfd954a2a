/** The embedded server's folder: the artefact's files and `model.json`, whose name is the internal one. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ServingError } from '../../../kit/errors.ts'
import type { DesiredModel } from '../../desired/desired.ts'
import { selectVersionFolder } from '../artifact-version.ts'
import type { RepositoryLayout } from './layout.ts'

const MODEL_FILE = 'model.json'

type JsonObject = Readonly<Record<string, unknown>>

/**
 * The artefact's own description with the internal name, and the model's parameters laid over those of the artefact.
 * An artefact without one gets a minimal one; the server then takes what it needs from the model file itself.
 * @throws ServingError ARTIFACT_INVALID
 */
export function toModelJson(source: string | undefined, model: DesiredModel): JsonObject {
  const own = source === undefined ? {} : parseObject(source)
  const parameters = own['parameters'] ?? {}
  if (!isObject(parameters)) throw invalid('/parameters must be an object')
  return { ...own, name: model.internalName, parameters: { ...parameters, ...model.parameters } }
}

export const embeddedLayout: RepositoryLayout = {
  selectFolder: (listing, requested) => selectVersionFolder(listing, requested, MODEL_FILE),
  async describe(folder, model) {
    const path = join(folder, MODEL_FILE)
    const description = toModelJson(await readOptional(path), model)
    await writeFile(path, `${JSON.stringify(description, undefined, 2)}\n`)
  },
}

function parseObject(source: string): JsonObject {
  let parsed: unknown
  try {
    parsed = JSON.parse(source)
  } catch (error) {
    throw invalid(error instanceof Error ? error.message : String(error))
  }
  if (isObject(parsed)) return parsed
  throw invalid('must be a JSON object')
}

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const invalid = (reason: string): ServingError =>
  new ServingError('ARTIFACT_INVALID', `${MODEL_FILE} of the artefact: ${reason}`)

async function readOptional(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}
