/** `kit/security.ts` on gRPC: servers that ask, clients that send. */
import {
  type ChannelCredentials,
  credentials,
  InterceptingCall,
  type Interceptor,
  ServerCredentials,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
  type ServerOptions,
} from '@grpc/grpc-js'
import { toGrpcStatus } from './grpc.ts'
import { notAdmitted, readOption, type Security, watchToken } from './security.ts'

export function toServerCredentials({ tls }: Security): ServerCredentials {
  if (tls === undefined) return ServerCredentials.createInsecure()
  const { cert, key, clientCa } = tls
  return ServerCredentials.createSsl(clientCa ?? null, [{ cert_chain: cert, private_key: key }], clientCa !== undefined)
}

/** For the constructor of a server: every call is looked at, but those of `openServices` (health). */
export function toServerOptions({ admits }: Security, openServices: readonly string[] = []): ServerOptions {
  const interceptor: ServerInterceptor = (method, call) => {
    if (openServices.some((service) => method.path.startsWith(`/${service}/`))) return new ServerInterceptingCall(call)
    return new ServerInterceptingCall(call, {
      start: (next) => {
        const listener = new ServerListenerBuilder().withOnReceiveMetadata((metadata, goOn) => {
          if (admits(metadata.get('authorization')[0]?.toString())) goOn(metadata)
          else call.sendStatus(toGrpcStatus(notAdmitted()))
        })
        next(listener.build())
      },
    })
  }
  return { interceptors: [interceptor] }
}

export interface CallerOptions {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  readonly tokenFile?: string
}

/** What a client is made with. */
export interface CallerSecurity {
  readonly credentials: ChannelCredentials
  readonly options: { readonly interceptors?: Interceptor[] }
}

/** In plain text, without a token. */
export const PLAIN: CallerSecurity = { credentials: credentials.createInsecure(), options: {} }

/** @throws ServingError CONFIG_INVALID */
export function loadCallerSecurity({ ca, cert, key, tokenFile }: CallerOptions): CallerSecurity {
  const read = (flag: string, file: string | undefined): Buffer | null =>
    file === undefined ? null : readOption(flag, file)
  const isTls = ca !== undefined || cert !== undefined
  return {
    credentials: isTls
      ? credentials.createSsl(read('--ca', ca), read('--key', key), read('--cert', cert))
      : PLAIN.credentials,
    options: tokenFile === undefined ? {} : { interceptors: [sendToken(watchToken(tokenFile))] },
  }
}

const sendToken =
  (token: () => string): Interceptor =>
  (options, nextCall) =>
    new InterceptingCall(nextCall(options), {
      start: (metadata, listener, next) => {
        metadata.set('authorization', `Bearer ${token()}`)
        next(metadata, listener)
      },
    })
