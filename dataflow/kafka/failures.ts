/** The library's errors, which nest, read for what they mean. */
import { ServingError } from '../../kit/errors.ts'

/** Codes of Kafka's protocol that mean something to us. */
export const CODE = {
  none: 0,
  offsetOutOfRange: 1,
  unknownTopic: 3,
  noLeader: 5,
  notLeader: 6,
  timedOut: 7,
  noReplica: 9,
  messageTooLarge: 10,
  networkException: 13,
  coordinatorLoading: 14,
  noCoordinator: 15,
  batchTooLarge: 18,
  tooFewReplicas: 19,
  tooFewReplicasAfterAppend: 20,
  topicExists: 36,
  invalidPartitions: 37,
  invalidReplication: 38,
  duplicateSequence: 46,
  storageError: 56,
  fencedLeader: 74,
  unknownLeader: 75,
  invalidRecord: 87,
} as const

interface LibraryError extends Error {
  readonly errors?: readonly unknown[]
  readonly apiCode?: number
  readonly apiId?: string
  readonly serverErrorMessage?: string | null
  /** Whether the library takes it for something that may pass. */
  readonly canRetry?: boolean
  readonly response?: unknown
  readonly produced?: unknown
}

/** An error and all that it is made of. */
export function* eachError(error: unknown): Generator<LibraryError> {
  if (!(error instanceof Error)) return
  const nested = error as LibraryError
  yield nested
  for (const inner of nested.errors ?? []) yield* eachError(inner)
  if (nested.cause !== undefined) yield* eachError(nested.cause)
}

export const hasCode = (error: unknown, code: number): boolean =>
  [...eachError(error)].some(({ apiCode }) => apiCode === code)

/** The library says it in a text of its own where it asked for metadata. */
export const isUnknownTopic = (error: unknown): boolean =>
  [...eachError(error)].some(
    ({ apiCode, message }) => apiCode === CODE.unknownTopic || message.startsWith('Unknown topic '),
  )

/** One line: the innermost reasons, each once. */
export function reasonOf(error: unknown): string {
  const reasons = [...eachError(error)]
    .filter(({ errors, cause }) => errors === undefined && cause === undefined)
    .map(({ message, serverErrorMessage }) => serverErrorMessage ?? message)
  const different = [...new Set(reasons)].slice(0, 3)
  return different.length === 0 ? String(error) : different.join('; ')
}

/** For whoever reads or administers. */
export function toKafkaError(what: string, error: unknown): ServingError {
  if (error instanceof ServingError) return error
  const text = `${what}: ${reasonOf(error)}`
  if (isUnknownTopic(error)) return new ServingError('NOT_FOUND', text, { cause: error })
  if (hasCode(error, CODE.offsetOutOfRange))
    return new ServingError('NOT_FOUND', `${what}: there is no record at this offset`, { cause: error })
  return new ServingError('KAFKA_UNAVAILABLE', text, { cause: error })
}

/** The library throws an answer in which one part failed: the others count all the same. */
export async function despiteErrors<T>(answer: Promise<T>, isAnswer: (value: unknown) => value is T): Promise<T> {
  try {
    return await answer
  } catch (error) {
    for (const { response } of eachError(error)) if (isAnswer(response)) return response
    throw error
  }
}

/** Whether it is what the library made of an answer that has this list. */
export const isRecordWith = (value: unknown, list: string): boolean =>
  typeof value === 'object' && value !== null && Array.isArray((value as Record<string, unknown>)[list])
