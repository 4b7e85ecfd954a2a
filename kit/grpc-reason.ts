import type { ServiceError } from '@grpc/grpc-js'

const LAST_ERROR = /Last error: (?:Error: )?(.+?)\.? Resolution note:/s

/** Why a call failed, for people: of grpc-js's account of a connection that never stood, the last error is the reason. */
export function toGrpcReason({ details, message }: Pick<ServiceError, 'details' | 'message'>): string {
  return LAST_ERROR.exec(details)?.[1] ?? (details || message)
}
