/** The manifests behind `-f`: files, folders (their .yaml, .yml and .json, not deeper) and `-` for standard input. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { type Manifest, parseManifests } from '../api/resources/manifest.ts'
import { ServingError, toServingError } from '../kit/errors.ts'
import type { Terminal } from './terminal.ts'

export interface ReadManifests {
  readonly manifests: readonly Manifest[]
  /** One per file that could not be read or is wrong; the other files are read all the same. */
  readonly failures: readonly ServingError[]
}

const EXTENSION = /\.(?:ya?ml|json)$/

export async function readManifests(paths: readonly string[], terminal: Terminal): Promise<ReadManifests> {
  const manifests: Manifest[] = []
  const failures: ServingError[] = []
  for (const path of paths) {
    try {
      for (const file of path === '-' ? ['-'] : await filesOf(path)) {
        try {
          manifests.push(...(await readOne(file, terminal)))
        } catch (error) {
          failures.push(toServingError(error))
        }
      }
    } catch (error) {
      failures.push(toServingError(error))
    }
  }
  return { manifests, failures: [...failures, ...repetitions(manifests)] }
}

async function filesOf(path: string): Promise<readonly string[]> {
  const found = await stat(path).catch((error: unknown) => {
    throw unreadable(path, error)
  })
  if (!found.isDirectory()) return [path]
  const names = (await readdir(path)).filter((name) => EXTENSION.test(name)).toSorted()
  if (names.length === 0) throw new ServingError('MANIFEST_INVALID', `${path}: no .yaml, .yml or .json file in it`)
  return names.map((name) => join(path, name))
}

async function readOne(file: string, terminal: Terminal): Promise<readonly Manifest[]> {
  if (file === '-') return parseManifests(await terminal.readInput(), { name: 'stdin', folder: process.cwd() })
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw unreadable(file, error)
  })
  return parseManifests(text, { name: file, folder: dirname(resolve(file)) })
}

function unreadable(path: string, error: unknown): ServingError {
  const reason = error instanceof Error ? error.message : String(error)
  return new ServingError('MANIFEST_INVALID', `${path}: cannot be read: ${reason}`, { cause: error })
}

/** The same resource twice: which of the two is meant? */
function repetitions(manifests: readonly Manifest[]): readonly ServingError[] {
  const seen = new Map<string, string>()
  const errors: ServingError[] = []
  for (const { resource, location } of manifests) {
    const key = `${resource.kind} ${resource.metadata.name}`
    const first = seen.get(key)
    if (first === undefined) seen.set(key, location)
    else errors.push(new ServingError('MANIFEST_INVALID', `${location}: ${key} is already defined at ${first}`))
  }
  return errors
}
