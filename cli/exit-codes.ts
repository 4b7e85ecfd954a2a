/** Exit codes of the commands that are clients; shown in `--help` and docs/cli.md. */
import { catalogue, type ErrorCode, type ServingError } from '../kit/errors.ts'

export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  invalid: 3,
  timeout: 4,
  notFound: 5,
  unavailable: 6,
  conditionFailed: 7,
} as const
export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

export const EXIT_MEANINGS: Readonly<Record<keyof typeof EXIT, string>> = {
  ok: 'done',
  failed: 'failed, or several things failed for different reasons',
  usage: 'wrong command line',
  invalid: 'a manifest, field or request was refused',
  timeout: 'not within the time given',
  notFound: 'no such resource, version or path',
  unavailable: 'the scheduler, its store, the ingress or a server cannot be reached',
  conditionFailed: 'a waited-for state cannot come: the resource failed',
}

const EXIT_BY_CODE: Readonly<Partial<Record<ErrorCode, ExitCode>>> = {
  CONFIG_INVALID: EXIT.usage,
  CONDITION_FAILED: EXIT.conditionFailed,
}
/** By the class of the error: its gRPC status in the catalogue. */
const EXIT_BY_GRPC_STATUS: Readonly<Record<number, ExitCode>> = {
  3: EXIT.invalid,
  4: EXIT.timeout,
  5: EXIT.notFound,
  14: EXIT.unavailable,
}

export function exitCodeOf(error: ServingError): ExitCode {
  return EXIT_BY_CODE[error.code] ?? EXIT_BY_GRPC_STATUS[catalogue[error.code].grpc] ?? EXIT.failed
}

/** The one reason that all failures share, else `failed`. */
export function exitCodeOfAll(errors: readonly ServingError[]): ExitCode {
  const codes = new Set(errors.map(exitCodeOf))
  const [first, ...others] = codes
  return others.length > 0 ? EXIT.failed : (first ?? EXIT.ok)
}
