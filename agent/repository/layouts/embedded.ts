/** The embedded server's folder: the artefact's files and `model.json`, whose name is the internal one. */
import { join } from 'node:path'
import type { DesiredModel } from '../../desired/desired.ts'
import { selectVersionFolder } from '../artifact-version.ts'
import { type JsonObject, objectIn, parseObject, readOptional, writeDocument } from './json-document.ts'
import type { RepositoryLayout } from './layout.ts'

const MODEL_FILE = 'model.json'

/**
 * The artefact's own description with the internal name, and the model's parameters laid over those of the artefact.
 * An artefact without one gets a minimal one; the server then takes what it needs from the model file itself.
 * @throws ServingError ARTIFACT_INVALID
 */
export function toModelJson(source: string | undefined, model: DesiredModel): JsonObject {
  const own = source === undefined ? {} : parseObject(MODEL_FILE, source)
  const parameters = { ...objectIn(MODEL_FILE, own, 'parameters'), ...model.parameters }
  return { ...own, name: model.internalName, parameters }
}

export const embeddedLayout: RepositoryLayout = {
  descriptionFile: MODEL_FILE,
  selectFolder: (listing, requested) => selectVersionFolder(listing, requested, MODEL_FILE),
  async describe(folder, model) {
    const path = join(folder, MODEL_FILE)
    await writeDocument(path, toModelJson(await readOptional(path), model))
  },
}
