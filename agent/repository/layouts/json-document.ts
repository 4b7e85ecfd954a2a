/** Descriptions of models are JSON objects of which only a part is ours to change. */
import { readFile, writeFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { ServingError } from '../../../kit/errors.ts'

export type JsonObject = Readonly<Record<string, unknown>>

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export const invalidDocument = (file: string, reason: string): ServingError =>
  new ServingError('ARTIFACT_INVALID', `${file} of the artefact: ${reason}`)

/** @throws ServingError ARTIFACT_INVALID */
export function parseObject(file: string, source: string): JsonObject {
  let parsed: unknown
  try {
    parsed = JSON.parse(source)
  } catch (error) {
    throw invalidDocument(file, error instanceof Error ? error.message : String(error))
  }
  if (isObject(parsed)) return parsed
  throw invalidDocument(file, 'must be a JSON object')
}

/** The object inside `document` under `key`, empty when there is none. @throws ServingError ARTIFACT_INVALID */
export function objectIn(file: string, document: JsonObject, key: string, path = `/${key}`): JsonObject {
  const value = document[key] ?? {}
  if (isObject(value)) return value
  throw invalidDocument(file, `${path} must be an object`)
}

/** The text of a file that need not exist. */
export async function readOptional(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    if (error instanceof Error && 'code' in error && error.code === 'EISDIR')
      throw invalidDocument(basename(path), 'is a folder')
    throw error
  }
}

export const writeDocument = (path: string, document: JsonObject): Promise<void> =>
  writeFile(path, `${JSON.stringify(document, undefined, 2)}\n`)
