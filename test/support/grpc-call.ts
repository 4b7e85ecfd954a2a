import type { ServiceError } from '@grpc/grpc-js'

/** A unary call as a promise; rejects with grpc-js's ServiceError. */
export const grpcCall = <A>(start: (callback: (error: ServiceError | null, answer?: A) => void) => unknown) =>
  new Promise<A>((resolve, reject) => {
    start((error, answer) => {
      if (error) reject(error)
      else resolve(answer as A)
    })
  })
