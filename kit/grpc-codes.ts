/** gRPC's codes by number, in the spelling of its metrics. */
const GRPC_CODES = [
  'OK',
  'Canceled',
  'Unknown',
  'InvalidArgument',
  'DeadlineExceeded',
  'NotFound',
  'AlreadyExists',
  'PermissionDenied',
  'ResourceExhausted',
  'FailedPrecondition',
  'Aborted',
  'OutOfRange',
  'Unimplemented',
  'Internal',
  'Unavailable',
  'DataLoss',
  'Unauthenticated',
] as const

/** The name of a code given as a decimal number; what is none stays as it is. */
export const grpcCodeName = (code: string): string => (/^\d+$/.test(code) ? (GRPC_CODES[Number(code)] ?? code) : code)
