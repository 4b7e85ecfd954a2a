/** Manifest files: many YAML (or JSON) documents, each a resource or a List of them; problems are named by file and line. */
import { isAbsolute, resolve } from 'node:path'
import { type Document, isNode, LineCounter, parseAllDocuments } from 'yaml'
import { type Issue, issuesError } from '../../kit/errors.ts'
import { checkResource, type Resource } from './resource.ts'
import { formatPath, isMapping, type Path } from './check.ts'

export interface ManifestSource {
  /** As shown in errors: a file's path, or `-`. */
  readonly name: string
  /** Relative storageUris are relative to this folder. */
  readonly folder: string
}

export interface Manifest {
  readonly resource: Resource
  /** `<file>:<line>` */
  readonly location: string
}

const SCHEME = /^[a-zA-Z][a-zA-Z0-9+.-]*:/

/** @throws ServingError MANIFEST_INVALID listing every problem of every document as `file:line path: message`. */
export function parseManifests(text: string, source: ManifestSource): readonly Manifest[] {
  const lines = new LineCounter()
  const documents = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false })
  const manifests: Manifest[] = []
  const issues: Issue[] = []
  if (!Array.isArray(documents)) return manifests // an empty text
  const at = (offset: number): string => `${source.name}:${String(lines.linePos(offset).line)}`
  for (const document of documents) {
    if (document.errors.length > 0) {
      issues.push(...document.errors.map((error) => ({ path: at(error.pos[0]), message: error.message })))
      continue
    }
    const locate = (path: Path): string => at(offsetOf(document, path))
    for (const { path, raw } of entriesOf(toPlain(document, issues, locate([])))) {
      const result = checkResource(raw)
      if (result.kind === 'resource')
        manifests.push({ resource: withAbsoluteUri(result.resource, source.folder), location: locate(path) })
      else
        for (const issue of result.issues)
          issues.push({
            path: `${locate([...path, ...issue.path])} ${formatPath([...path, ...issue.path])}`,
            message: issue.message,
          })
    }
  }
  if (issues.length > 0) throw issuesError('MANIFEST_INVALID', source.name, issues)
  return manifests
}

/** Aliases are resolved here; one that leads nowhere, or a bomb of them, is an issue like any other. */
function toPlain(document: Document.Parsed, issues: Issue[], location: string): unknown {
  try {
    return document.toJS()
  } catch (error) {
    issues.push({ path: location, message: error instanceof Error ? error.message : String(error) })
    return undefined
  }
}

function entriesOf(raw: unknown): readonly { readonly path: Path; readonly raw: unknown }[] {
  if (raw === null || raw === undefined) return [] // nothing between two separators
  if (isMapping(raw) && raw['kind'] === 'List' && Array.isArray(raw['items']))
    return raw['items'].map((entry: unknown, index) => ({ path: ['items', index], raw: entry }))
  return [{ path: [], raw }]
}

/** Where the field is, or the nearest thing around it that exists. */
function offsetOf(document: Document.Parsed, path: Path): number {
  for (let length = path.length; length > 0; length--) {
    const node: unknown = document.getIn(path.slice(0, length), true)
    if (isNode(node) && node.range) return node.range[0]
  }
  return document.contents?.range[0] ?? document.range[0]
}

function withAbsoluteUri(resource: Resource, folder: string): Resource {
  if (resource.kind !== 'Model') return resource
  const { storageUri } = resource.spec
  if (SCHEME.test(storageUri) || isAbsolute(storageUri)) return resource
  return { ...resource, spec: { ...resource.spec, storageUri: resolve(folder, storageUri) } }
}
