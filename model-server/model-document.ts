/** `model.json` beside a model: what it is, where the artefact itself does not say so. Every part may be left out. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import { DATATYPES } from '../api/oip/datatype.ts'
import type { TensorMetadata } from '../api/oip/metadata.ts'
import { parseParameters, type Parameters } from '../api/oip/parameters.ts'
import { issuesError, ServingError } from '../kit/errors.ts'

const parameters = Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean()]))
const tensor = Type.Object(
  {
    name: Type.String({ minLength: 1 }),
    datatype: Type.Union(DATATYPES.map((datatype) => Type.Literal(datatype))),
    shape: Type.Array(Type.Integer({ minimum: -1 })),
    parameters: Type.Optional(parameters),
    source: Type.Optional(Type.String({ minLength: 1 })),
  },
  { additionalProperties: false },
)
/** Other members belong to the runtime. */
const schema = Type.Object({
  name: Type.Optional(Type.String()),
  platform: Type.Optional(Type.String({ minLength: 1 })),
  parameters: Type.Optional(parameters),
  inputs: Type.Optional(Type.Array(tensor)),
  outputs: Type.Optional(Type.Array(tensor)),
})

/** A tensor as users see it; `source` is the name that the artefact itself has for it. */
export interface DeclaredTensor extends TensorMetadata {
  readonly source: string
}

export interface ModelDocument {
  readonly platform: string | undefined
  readonly parameters: Parameters
  readonly inputs: readonly DeclaredTensor[] | undefined
  readonly outputs: readonly DeclaredTensor[] | undefined
  /** The whole document, for members that only the runtime knows. */
  readonly raw: Readonly<Record<string, unknown>>
}

/**
 * The document of a model's folder; an empty one when the folder has none.
 * @throws ServingError LOAD_FAILED listing everything that is wrong with it
 */
export async function readModelDocument(folder: string): Promise<ModelDocument> {
  const path = join(folder, 'model.json')
  try {
    return parseModelDocument(JSON.parse(await readFile(path, 'utf8')))
  } catch (error) {
    if (error instanceof ServingError) throw error
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return parseModelDocument({})
    throw new ServingError('LOAD_FAILED', `model.json cannot be read: ${(error as Error).message}`, { cause: error })
  }
}

/** @throws ServingError LOAD_FAILED */
export function parseModelDocument(raw: unknown): ModelDocument {
  if (!Value.Check(schema, raw)) {
    const issues = Value.Errors(schema, raw).map((error) => ({
      path: error.instancePath || '/',
      message: error.message,
    }))
    throw issuesError('LOAD_FAILED', 'model.json', issues)
  }
  return {
    platform: raw.platform,
    parameters: parseParameters(raw.parameters, 'model.json'),
    inputs: raw.inputs?.map(toDeclared),
    outputs: raw.outputs?.map(toDeclared),
    raw: raw as Readonly<Record<string, unknown>>,
  }
}

function toDeclared(declared: Static<typeof tensor>): DeclaredTensor {
  return {
    name: declared.name,
    datatype: declared.datatype,
    shape: declared.shape,
    parameters: parseParameters(declared.parameters, `tensor "${declared.name}"`),
    source: declared.source ?? declared.name,
  }
}
