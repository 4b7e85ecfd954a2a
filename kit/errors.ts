/**
 * The one catalogue of errors. Every error that reaches a user has a code from here; `docs/errors.md` is generated from
 * it and a test keeps the two equal. `grpc` is the status our own APIs answer with, `http` the status of REST answers.
 */
export const catalogue = {
  // invalid input: the caller edits
  MODEL_SPEC_INVALID: { grpc: 3, http: 400, retryable: false, help: 'Correct the fields that the message lists.' },
  SERVER_SPEC_INVALID: { grpc: 3, http: 400, retryable: false, help: 'Correct the fields that the message lists.' },
  PIPELINE_SPEC_INVALID: { grpc: 3, http: 400, retryable: false, help: 'Correct the fields that the message lists.' },
  EXPERIMENT_SPEC_INVALID: { grpc: 3, http: 400, retryable: false, help: 'Correct the fields that the message lists.' },
  MANIFEST_INVALID: {
    grpc: 3,
    http: 400,
    retryable: false,
    help: 'Correct the manifest at the path that the message names.',
  },
  REQUEST_INVALID: { grpc: 3, http: 400, retryable: false, help: 'Correct the request field that the message names.' },
  TENSOR_INVALID: { grpc: 3, http: 400, retryable: false, help: 'Send the tensor as the model metadata describes it.' },
  CONFIG_INVALID: {
    grpc: 3,
    http: 400,
    retryable: false,
    help: 'Correct the flag, variable or key that the message names; see --help.',
  },
  ARTIFACT_URI_REFUSED: {
    grpc: 3,
    http: 400,
    retryable: false,
    help: 'Use a path inside --artifact-roots of the agent.',
  },
  REQUEST_TOO_LARGE: {
    grpc: 8,
    http: 413,
    retryable: false,
    help: 'Send less, or raise the limit that the message names.',
  },
  MEDIA_TYPE_UNSUPPORTED: {
    grpc: 9,
    http: 415,
    retryable: false,
    help: 'Send the content type that the message names.',
  },
  UNAUTHENTICATED: { grpc: 16, http: 401, retryable: false, help: 'Give the token with --token-file.' },
  // missing, conflict
  MODEL_NOT_FOUND: { grpc: 5, http: 404, retryable: false, help: 'Check the name with `millrace get models`.' },
  MODEL_NOT_LOADED: {
    grpc: 5,
    http: 404,
    retryable: true,
    help: 'Wait until `millrace status --wait` says the model is available.',
  },
  NOT_FOUND: { grpc: 5, http: 404, retryable: false, help: 'Check the name or the path that the message gives.' },
  SERVER_NOT_FOUND: { grpc: 5, http: 404, retryable: false, help: 'Check the name with `millrace get servers`.' },
  PIPELINE_NOT_FOUND: { grpc: 5, http: 404, retryable: false, help: 'Check the name with `millrace get pipelines`.' },
  EXPERIMENT_NOT_FOUND: {
    grpc: 5,
    http: 404,
    retryable: false,
    help: 'Check the name with `millrace get experiments`.',
  },
  WORKER_NOT_FOUND: { grpc: 5, http: 404, retryable: false, help: 'Check the name with `millrace get workers`.' },
  VERSION_NOT_FOUND: {
    grpc: 5,
    http: 404,
    retryable: false,
    help: '`millrace describe` lists the versions that can be rolled back to.',
  },
  PIPELINE_NOT_READY: {
    grpc: 9,
    http: 424,
    retryable: true,
    help: 'Models of its steps are missing, which the message lists: apply them, or wait until they are available.',
  },
  PIPELINE_NO_OUTPUT: {
    grpc: 9,
    http: 422,
    retryable: false,
    help: 'No step that the output takes from can run any more: the message names the tensors or triggers that did not come. Send them, or change the pipeline.',
  },
  PIPELINE_LOOP_LIMIT: {
    grpc: 9,
    http: 400,
    retryable: false,
    help: 'A step of a cycle would have run more often than `maxStepRevisits` allows: raise it, or let the cycle end.',
  },
  GATEWAY_LOST: {
    grpc: 14,
    http: 503,
    retryable: true,
    help: 'In records only: the pipeline gateway that ran this request died, and its caller with it. `dataflow.recovery: rerun` on the pipeline runs such requests again.',
  },
  ARTIFACT_NOT_FOUND: {
    grpc: 5,
    http: 404,
    retryable: false,
    help: 'Check storageUri: the path must exist where the agent runs.',
  },
  ARTIFACT_INVALID: {
    grpc: 3,
    http: 400,
    retryable: false,
    help: 'Correct the file of the artefact that the message names.',
  },
  PATH_NOT_FOUND: {
    grpc: 12,
    http: 404,
    retryable: false,
    help: 'Use a path and method of the Open Inference Protocol.',
  },
  MODEL_TERMINATING: {
    grpc: 10,
    http: 409,
    retryable: true,
    help: 'The model is still being deleted: apply again when it is gone.',
  },
  IN_USE: {
    grpc: 9,
    http: 409,
    retryable: false,
    help: 'Delete or change the experiment that the message names first.',
  },
  VERSION_CONFLICT: {
    grpc: 10,
    http: 409,
    retryable: true,
    help: 'Somebody else changed it: read again, then repeat.',
  },
  ALREADY_RUNNING: { grpc: 6, http: 409, retryable: false, help: 'Stop the other one first, or use another folder.' },
  // capacity
  NO_CAPACITY: {
    grpc: 8,
    http: 429,
    retryable: true,
    help: 'Add server replicas or memory, or remove models; `millrace describe model` says what each server lacks.',
  },
  SERVER_OVERLOADED: {
    grpc: 8,
    http: 429,
    retryable: true,
    help: 'The model has as many requests waiting as it may: send fewer at once, add replicas, or raise the limit.',
  },
  TOO_MANY_WATCHES: {
    grpc: 8,
    http: 429,
    retryable: true,
    help: 'End watches that nobody reads, or raise --max-watches of the scheduler.',
  },
  JOURNAL_OVERLOADED: {
    grpc: 8,
    http: 429,
    retryable: true,
    help: 'Records come faster than Kafka takes them: send less at once, or raise the bound that the message names.',
  },
  REMOVAL_REFUSED: {
    grpc: 9,
    http: 409,
    retryable: false,
    help: 'More than 20 % of the routes would go at once: use --force when that is meant.',
  },
  // dependency, deadline
  NOT_LEADER: { grpc: 14, http: 503, retryable: true, help: 'Write to the leading scheduler; the message names it.' },
  STORE_UNAVAILABLE: {
    grpc: 14,
    http: 503,
    retryable: true,
    help: 'Redis cannot be reached: check it and REDIS_URL. Nothing that was acknowledged is lost.',
  },
  STORE_SCHEMA_NEWER: {
    grpc: 9,
    http: 500,
    retryable: false,
    help: 'A newer version wrote this state: start that version, or use another key prefix.',
  },
  STORE_GAP: {
    grpc: 14,
    http: 503,
    retryable: true,
    help: 'The history of changes was lost: the scheduler reads everything again by itself.',
  },
  STORE_MISCONFIGURED: {
    grpc: 9,
    http: 500,
    retryable: false,
    help: 'Correct the Redis option or the REDIS_URL that the message names.',
  },
  KAFKA_UNAVAILABLE: {
    grpc: 14,
    http: 503,
    retryable: true,
    help: 'Kafka does not take or give records: check the brokers and their addresses; the message says which.',
  },
  SCHEDULER_UNAVAILABLE: { grpc: 14, http: 503, retryable: true, help: 'Start the scheduler, or check its address.' },
  INGRESS_UNAVAILABLE: {
    grpc: 14,
    http: 503,
    retryable: true,
    help: 'Start Millrace with `millrace up`, or check the address of the ingress.',
  },
  ENVOY_UNAVAILABLE: {
    grpc: 14,
    http: 503,
    retryable: true,
    help: 'Start Envoy, or check the address of its admin port; the message names it.',
  },
  SERVER_UNAVAILABLE: {
    grpc: 14,
    http: 503,
    retryable: true,
    help: 'The model server cannot be reached: check its process and log.',
  },
  SERVER_UNREACHABLE: {
    grpc: 14,
    http: 503,
    retryable: true,
    help: 'Nothing was sent, because the model server takes no connection: Envoy tries another replica by itself. Check its process and log.',
  },
  LOAD_FAILED: {
    grpc: 9,
    http: 500,
    retryable: true,
    help: 'The model server refused the model; the message is its own.',
  },
  UNLOAD_FAILED: {
    grpc: 9,
    http: 500,
    retryable: true,
    help: 'The model server did not give the model up; the message is its own. The agent tries again by itself.',
  },
  ARTIFACT_COPY_FAILED: {
    grpc: 8,
    http: 500,
    retryable: true,
    help: 'The artefact could not be copied beside the model server: check the space and permissions that the message names.',
  },
  LOAD_TIMEOUT: {
    grpc: 4,
    http: 504,
    retryable: true,
    help: 'The model server took too long to load the model: check its log, or raise the deadline.',
  },
  PEER_FAILED: {
    grpc: 13,
    http: 502,
    retryable: false,
    help: 'The process that the message names failed: see its log.',
  },
  INFERENCE_FAILED: {
    grpc: 13,
    http: 500,
    retryable: false,
    help: 'The runtime failed on this input; the message is its own.',
  },
  MODEL_RESTARTING: {
    grpc: 14,
    http: 503,
    retryable: true,
    help: 'The model ended several times in a row and is started again with growing pauses; the message says why it ended.',
  },
  CONDITION_FAILED: {
    grpc: 9,
    http: 409,
    retryable: false,
    help: '`millrace describe` says more of the resource that the message names.',
  },
  DEADLINE_EXCEEDED: { grpc: 4, http: 504, retryable: true, help: 'Try again, or raise the timeout.' },
  CANCELLED: { grpc: 1, http: 499, retryable: true, help: 'The caller went away, or the process is stopping.' },
  // this machine
  TOOL_MISSING: { grpc: 9, http: 500, retryable: false, help: 'Install the tool that the message names.' },
  DOWNLOAD_FAILED: {
    grpc: 14,
    http: 503,
    retryable: true,
    help: 'Check the network and the package registry, then start again.',
  },
  PORT_IN_USE: {
    grpc: 9,
    http: 500,
    retryable: false,
    help: 'Stop the process that holds the port, or use --port-offset.',
  },
  PROCESS_FAILED: { grpc: 13, http: 500, retryable: false, help: 'See the log that the message names.' },
  // not built
  UNIMPLEMENTED: { grpc: 12, http: 501, retryable: false, help: 'This version does not have it.' },
  // bug
  INVARIANT_BROKEN: { grpc: 13, http: 500, retryable: false, help: 'This is a bug: report it with the log.' },
} as const

export type ErrorCode = keyof typeof catalogue

/** One thing wrong with one field: `path` as in `spec.replicas`, what was found, and what to do. */
export interface Issue {
  readonly path: string
  readonly message: string
}

/** The only class that is thrown. `issues` lists everything wrong with an input, all at once. */
export class ServingError extends Error {
  readonly code: ErrorCode
  readonly issues: readonly Issue[]

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; issues?: readonly Issue[] } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'ServingError'
    this.code = code
    this.issues = options.issues ?? []
  }

  get grpcStatus(): number {
    return catalogue[this.code].grpc
  }

  get httpStatus(): number {
    return catalogue[this.code].http
  }

  get retryable(): boolean {
    return catalogue[this.code].retryable
  }
}

/** One ServingError out of many issues; the message lists each as `path: message`. */
export function issuesError(code: ErrorCode, subject: string, issues: readonly Issue[]): ServingError {
  const lines = issues.map((issue) => `${issue.path}: ${issue.message}`)
  return new ServingError(code, `${subject} has ${String(issues.length)} problem(s): ${lines.join('; ')}`, { issues })
}

/** The only funnel from `unknown` to a ServingError; used where an error crosses an edge (gRPC, HTTP, a consumer). */
export function toServingError(error: unknown): ServingError {
  if (error instanceof ServingError) return error
  if (error instanceof Error && error.name === 'AbortError')
    return new ServingError('CANCELLED', error.message, { cause: error })
  if (error instanceof Error && error.name === 'TimeoutError')
    // AbortSignal.timeout
    return new ServingError('DEADLINE_EXCEEDED', error.message, { cause: error })
  return new ServingError('INVARIANT_BROKEN', error instanceof Error ? error.message : String(error), { cause: error })
}
