/** `kit/security.ts` on gRPC: servers that ask, clients that send. */
import {
  type ChannelCredentials,
  credentials,
  experimental,
  InterceptingCall,
  type Interceptor,
  ServerCredentials,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
  type ServerOptions,
} from '@grpc/grpc-js'
import { ServingError } from './errors.ts'
import { toGrpcStatus } from './grpc.ts'
import { rootCertificates } from 'node:tls'
import { type Certificates, watchCertificates, type WatchedCertificates } from './certificates.ts'
import type { Logger } from './log.ts'
import { notAdmitted, type Security, watchToken } from './security.ts'

export function toServerCredentials({ tls }: Pick<Security, 'tls'>): ServerCredentials {
  if (tls === undefined) return ServerCredentials.createInsecure()
  const provider = toProvider(tls)
  const asksCallers = tls.current().ca !== undefined
  const create = experimental.createCertificateProviderServerCredentials // declared as (ca, identity), it takes (identity, ca)
  return create(provider, asksCallers ? provider : null, asksCallers)
}

type Provider = Parameters<typeof experimental.createCertificateProviderChannelCredentials>[0]

/** How grpc-js learns of certificates, now and later. */
function toProvider(certificates: WatchedCertificates): Provider {
  const ends = new Map<unknown, () => void>()
  const add = <T>(listener: (update: T) => void, toUpdate: (current: Certificates) => T): void => {
    const end = certificates.follow((current) => {
      listener(toUpdate(current))
    })
    ends.set(listener, end)
    process.nextTick(() => {
      if (ends.has(listener)) listener(toUpdate(certificates.current())) // it expects the first not before it returned
    })
  }
  const remove = (listener: unknown): void => {
    ends.get(listener)?.()
    ends.delete(listener)
  }
  const toIdentity = ({ cert, key }: Certificates) => (cert && key ? { certificate: cert, privateKey: key } : null)
  return {
    addCaCertificateListener: (listener) => {
      add(listener, ({ ca = SYSTEM_ROOTS }) => ({ caCertificate: ca }))
    },
    addIdentityCertificateListener: (listener) => {
      add(listener, toIdentity)
    },
    removeCaCertificateListener: remove,
    removeIdentityCertificateListener: remove,
  }
}

/** Trusted where no authority is named. */
const SYSTEM_ROOTS = Buffer.from(rootCertificates.join('\n'))

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
export function loadCallerSecurity(options: CallerOptions, log: Logger): CallerSecurity {
  const { tokenFile } = options
  return {
    credentials: toChannelCredentials(loadCallerTls(options, log)),
    options: tokenFile === undefined ? {} : { interceptors: [sendToken(watchToken(tokenFile, log))] },
  }
}

/** Undefined: peers are called in plain text. @throws ServingError CONFIG_INVALID */
export function loadCallerTls({ ca, cert, key }: CallerOptions, log: Logger): WatchedCertificates | undefined {
  if ((ca ?? cert ?? key) === undefined) return undefined
  const files = {
    ca: { flag: '--ca', file: ca },
    cert: { flag: '--cert', file: cert },
    key: { flag: '--key', file: key },
  }
  if ((cert === undefined) !== (key === undefined))
    throw new ServingError('CONFIG_INVALID', '--cert and --key belong together')
  return watchCertificates(files, log)
}

export function toChannelCredentials(tls: WatchedCertificates | undefined): ChannelCredentials {
  if (tls === undefined) return PLAIN.credentials
  const provider = toProvider(tls)
  const shows = tls.current().cert !== undefined
  return experimental.createCertificateProviderChannelCredentials(provider, shows ? provider : null)
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
