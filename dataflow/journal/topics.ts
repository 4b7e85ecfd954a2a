/**
 * Names of topics, keys and headers, as every reader of a pipeline's data knows them. Pure.
 *
 * `<prefix>.<namespace>.<model|pipeline>.<name>.<inputs|outputs>` and, one for all, `<prefix>.<namespace>.errors.errors`.
 * A key is `<partition>.<pipeline>.<request id>`: who passes a record on reads the partition out of it.
 */
import { type Issue, issuesError } from '../../kit/errors.ts'

export const TOPIC_KINDS = ['model', 'pipeline'] as const
export type TopicKind = (typeof TOPIC_KINDS)[number]
export const TOPIC_SIDES = ['inputs', 'outputs'] as const
export type TopicSide = (typeof TOPIC_SIDES)[number]

/** One end of a model or a pipeline, or where errors go. */
export type TopicEnd =
  { readonly kind: TopicKind; readonly name: string; readonly side: TopicSide } | { readonly kind: 'errors' }

export interface TopicSpace {
  /** May hold dots. Empty: `seldon`. */
  readonly prefix: string
  /** Empty: `default`. */
  readonly namespace: string
}

export const PIPELINE_HEADER = 'pipeline'
export const VERSION_HEADER = 'x-pipeline-version'
export const REQUEST_ID_HEADER = 'x-request-id'
/** Which replica or candidate answered, once for each; a client that sends it comes back to the same. */
export const ROUTE_HEADER = 'x-seldon-route'
/** Marks the record of an error; names the step that failed, or the pipeline when no step did. */
export const ERRORS_HEADER = 'seldon-pipeline-errors'
/** Beside it: the error's code, and the status that a gRPC caller is answered with. */
export const ERROR_CODE_HEADER = 'x-millrace-error-code'
export const ERROR_STATUS_HEADER = 'x-millrace-error-status'
/** On records that were spilled and sent later, or again: they may be there twice. */
export const REPLAYED_HEADER = 'x-millrace-replayed'
/** On an input that was fed again by `millrace replay`, under an id of its own: the key of the first. */
export const REPLAY_OF_HEADER = 'x-millrace-replay-of'
/** On an input that came from other pipelines, whose names it holds: the key is theirs. */
export const FED_HEADER = 'x-millrace-fed-from'
/** On what a pipeline gateway put on a pipeline's inputs: it runs that itself. `<name>/<epoch>`. */
export const GATEWAY_HEADER = 'x-millrace-gateway'

/**
 * Which runner a record is of. `direct`, on a step's inputs: it asks the model itself, so the record is to be read, not to be
 * answered. `topics`: on a step's inputs, a model gateway answers it; on a pipeline's inputs, an engine runs it.
 */
export const RUNNER_HEADER = 'x-millrace-runner'
export const RUNNERS = { direct: 'direct', topics: 'topics' } as const
/** In a pipeline with loops: which turn of each a step's record belongs to, `0,-1`. */
export const VISIT_HEADER = 'x-millrace-visit'

/** On what a model gateway answered: where the record that asked is, `<partition>.<offset>`. */
export const INPUT_HEADER = 'x-millrace-input'

export const ERRORS: TopicEnd = { kind: 'errors' }
const STANDARD: TopicSpace = { prefix: 'seldon', namespace: 'default' }
/** Kafka's own bound. */
const MAX_TOPIC_LENGTH = 249

/** A space with its defaults filled in. @throws ServingError CONFIG_INVALID naming the option */
export function checkedSpace({ prefix, namespace }: TopicSpace): TopicSpace {
  const space = { prefix: prefix || STANDARD.prefix, namespace: namespace || STANDARD.namespace }
  const issues: Issue[] = []
  if (!/^[a-zA-Z0-9._-]+$/.test(space.prefix))
    issues.push({ path: 'topicPrefix', message: `"${prefix}" must be letters, digits, dots, underscores and dashes` })
  if (!/^[a-zA-Z0-9_-]+$/.test(space.namespace))
    issues.push({ path: 'namespace', message: `"${namespace}" must be letters, digits, underscores and dashes` })
  if (space.prefix.length + space.namespace.length > MAX_TOPIC_LENGTH - 100)
    issues.push({ path: 'topicPrefix', message: 'is too long: prefix and namespace may have 149 characters together' })
  if (issues.length > 0) throw issuesError('CONFIG_INVALID', 'the naming of topics', issues)
  return space
}

/** Of a space that `checkedSpace` gave. */
export function topicName({ prefix, namespace }: TopicSpace, end: TopicEnd): string {
  const path = end.kind === 'errors' ? 'errors.errors' : `${end.kind}.${end.name}.${end.side}`
  return `${prefix}.${namespace}.${path}`
}

interface NamesOfOne {
  readonly model: Readonly<Record<TopicSide, string>>
  readonly pipeline: Readonly<Record<TopicSide, string>>
}

/** Of so many models and pipelines; then it begins anew. */
const MAX_KNOWN_NAMES = 10_000

/** `topicName` for those who ask for the same names again and again. */
export class TopicNames {
  readonly #space: TopicSpace
  readonly #errors: string
  readonly #known = new Map<string, NamesOfOne>()

  constructor(space: TopicSpace) {
    this.#space = space
    this.#errors = topicName(space, ERRORS)
  }

  of(end: TopicEnd): string {
    if (end.kind === 'errors') return this.#errors
    return (this.#known.get(end.name) ?? this.#learn(end.name))[end.kind][end.side]
  }

  #learn(name: string): NamesOfOne {
    const sidesOf = (kind: TopicKind) => ({
      inputs: topicName(this.#space, { kind, name, side: 'inputs' }),
      outputs: topicName(this.#space, { kind, name, side: 'outputs' }),
    })
    const names = { model: sidesOf('model'), pipeline: sidesOf('pipeline') }
    if (this.#known.size >= MAX_KNOWN_NAMES) this.#known.clear()
    this.#known.set(name, names)
    return names
  }
}

/** The inverse of `topicName`; undefined for a topic of another space, or of none. */
export function parseTopicName({ prefix, namespace }: TopicSpace, topic: string): TopicEnd | undefined {
  const start = `${prefix}.${namespace}.`
  if (!topic.startsWith(start)) return undefined
  const [kind, name, side, ...rest] = topic.slice(start.length).split('.')
  if (kind === 'errors' && name === 'errors' && side === undefined) return ERRORS
  if (rest.length > 0 || name === undefined || name === '') return undefined
  if (!isOneOf(TOPIC_KINDS, kind) || !isOneOf(TOPIC_SIDES, side)) return undefined
  return { kind, name, side }
}

export interface TopicReference {
  readonly end: TopicEnd
  /** Undefined: all of them. */
  readonly tensor: string | undefined
}

/**
 * `step`, `step.outputs`, `step.outputs.tensor` of a pipeline; its own name as the step is the pipeline itself. A step alone
 * is its outputs, the pipeline alone its inputs. Undefined when the text is no reference.
 */
export function parseTopicReference(pipeline: string, reference: string): TopicReference | undefined {
  const [name, side, tensor, ...rest] = reference.split('.')
  if (name === undefined || name === '' || rest.length > 0 || tensor === '') return undefined
  const kind = name === pipeline ? 'pipeline' : 'model'
  const standard = kind === 'pipeline' ? 'inputs' : 'outputs'
  if (side !== undefined && !isOneOf(TOPIC_SIDES, side)) return undefined
  return { end: { kind, name, side: side ?? standard }, tensor }
}

export const compositeKey = (partition: number, pipeline: string, requestId: string): string =>
  `${String(partition)}.${pipeline}.${requestId}`

/** Where a record with this key goes: the number before the first dot, at most the last partition; 0 without a number. */
export function partitionOfKey(key: string, partitions: number): number {
  const number = /^-?\d{1,10}$/.exec(key.split('.', 1)[0] ?? '')?.[0]
  return number === undefined ? 0 : Math.min(Math.max(Number(number), 0), partitions - 1)
}

function isOneOf<T extends string>(values: readonly T[], text: string | undefined): text is T {
  return values.some((value) => value === text)
}
