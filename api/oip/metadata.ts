/** What a model takes and gives, as the protocol's metadata calls have it. */
import type {
  ModelMetadataResponse,
  ModelMetadataResponse__Output,
} from '../generated/inference/ModelMetadataResponse.ts'
import { type Datatype, isDatatype } from './datatype.ts'
import { fromGrpcParameters, type Parameters, toGrpcParameters } from './parameters.ts'

/** -1 in a shape: any size. */
export interface TensorMetadata {
  readonly name: string
  readonly datatype: Datatype
  readonly shape: readonly number[]
  readonly parameters: Parameters
}

export interface ModelMetadata {
  readonly name: string
  readonly versions: readonly string[]
  readonly platform: string
  readonly inputs: readonly TensorMetadata[]
  readonly outputs: readonly TensorMetadata[]
  readonly parameters: Parameters
}

export function toRestMetadata(metadata: ModelMetadata): Record<string, unknown> {
  return {
    name: metadata.name,
    versions: metadata.versions,
    platform: metadata.platform,
    inputs: metadata.inputs.map(toRestTensorMetadata),
    outputs: metadata.outputs.map(toRestTensorMetadata),
    parameters: toRestParameters(metadata.parameters),
  }
}

function toRestTensorMetadata({ name, datatype, shape, parameters }: TensorMetadata): Record<string, unknown> {
  const own = Object.keys(parameters).length === 0 ? {} : { parameters: toRestParameters(parameters) }
  return { name, datatype, shape, ...own }
}

/** JSON.stringify has no form for bigint; parameters of metadata are small numbers. */
function toRestParameters(parameters: Parameters): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(parameters).map(([name, value]) => [name, typeof value === 'bigint' ? Number(value) : value]),
  )
}

export function toGrpcMetadata(metadata: ModelMetadata): ModelMetadataResponse {
  const toTensor = (tensor: TensorMetadata) => ({
    name: tensor.name,
    datatype: tensor.datatype,
    shape: [...tensor.shape],
    parameters: toGrpcParameters(tensor.parameters),
  })
  return {
    name: metadata.name,
    versions: [...metadata.versions],
    platform: metadata.platform,
    inputs: metadata.inputs.map(toTensor),
    outputs: metadata.outputs.map(toTensor),
    parameters: toGrpcParameters(metadata.parameters),
  }
}

/** The inverse, for clients; a tensor of a datatype that the protocol does not know is left out. */
export function fromGrpcMetadata(message: ModelMetadataResponse__Output): ModelMetadata {
  const fromTensor = (tensor: ModelMetadataResponse__Output['inputs'][number]): TensorMetadata[] =>
    isDatatype(tensor.datatype)
      ? [
          {
            name: tensor.name,
            datatype: tensor.datatype,
            shape: tensor.shape.map(Number),
            parameters: fromGrpcParameters(tensor.parameters),
          },
        ]
      : []
  return {
    name: message.name,
    versions: message.versions,
    platform: message.platform,
    inputs: message.inputs.flatMap(fromTensor),
    outputs: message.outputs.flatMap(fromTensor),
    parameters: fromGrpcParameters(message.parameters),
  }
}
