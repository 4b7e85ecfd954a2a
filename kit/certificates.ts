/**
 * Certificates from files that are replaced while a process runs: looked at every second as long as somebody uses them. New
 * ones count as a whole or not at all: a key without its certificate, as while they are written, leaves the old ones.
 */
import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import { ServingError } from './errors.ts'
import type { Logger } from './log.ts'

const LOOK_MS = 1_000

export interface Certificates {
  /** What is shown to peers. */
  readonly cert: Buffer | undefined
  readonly key: Buffer | undefined
  /** Whom to trust. */
  readonly ca: Buffer | undefined
}

export interface WatchedCertificates {
  readonly current: () => Certificates
  /** Tells of every later change; what it returns ends that. */
  readonly follow: (listener: (certificates: Certificates) => void) => () => void
}

/** Files by the options that name them: `{ '--tls-cert': path }`. */
export type CertificateFiles = Readonly<
  Record<keyof Certificates, { readonly flag: string; readonly file: string | undefined }>
>

/** Reads them now. @throws ServingError CONFIG_INVALID naming the option that is wrong */
export function watchCertificates(files: CertificateFiles, log: Logger): WatchedCertificates {
  const paths = Object.values(files).flatMap(({ file }) => file ?? [])
  const listeners = new Set<(certificates: Certificates) => void>()
  let seen = readFiles(files)
  let current = checked(files, seen)
  let failure: string | undefined
  let timer: NodeJS.Timeout | undefined

  /** By what is in the files: the times of two changes may be the same. */
  function look(): void {
    try {
      const now = readFiles(files)
      if (same(now, seen)) return
      seen = now
      current = checked(files, now)
      failure = undefined
      log.info({ files: paths }, 'certificates were replaced')
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      if (reason !== failure) log.error({ error: reason }, 'replaced certificates cannot be used; the old ones stay')
      failure = reason
      return
    }
    for (const listener of listeners) listener(current)
  }

  return {
    current: () => current,
    follow: (listener) => {
      if (listeners.size === 0) {
        look() // nobody looked until now
        timer = setInterval(look, LOOK_MS).unref()
      }
      listeners.add(listener)
      return () => {
        if (listeners.delete(listener) && listeners.size === 0) clearInterval(timer)
      }
    },
  }
}

function readFiles(files: CertificateFiles): Certificates {
  const read = ({ flag, file }: CertificateFiles['cert']) => (file === undefined ? undefined : readOption(flag, file))
  return { cert: read(files.cert), key: read(files.key), ca: read(files.ca) }
}

/** @throws ServingError CONFIG_INVALID: they do not belong together, or are none */
function checked(files: CertificateFiles, certificates: Certificates): Certificates {
  try {
    createSecureContext(toContext(certificates))
  } catch (error) {
    const named = Object.values(files).flatMap(({ flag, file }) => (file === undefined ? [] : [`${flag} ${file}`]))
    const reason = error instanceof Error ? error.message : String(error)
    throw new ServingError('CONFIG_INVALID', `${named.join(', ')}: ${reason}`, { cause: error })
  }
  return certificates
}

/** As Node's TLS takes them. */
export const toContext = ({ cert, key, ca }: Certificates): { cert?: Buffer; key?: Buffer; ca?: Buffer } => ({
  ...(cert && { cert }),
  ...(key && { key }),
  ...(ca && { ca }),
})

function same(a: Certificates, b: Certificates): boolean {
  return (['cert', 'key', 'ca'] as const).every((name) => sameBytes(a[name], b[name]))
}

const sameBytes = (a: Buffer | undefined, b: Buffer | undefined): boolean =>
  a === undefined || b === undefined ? a === b : a.equals(b)

/** A file that an option names. @throws ServingError CONFIG_INVALID */
export function readOption(flag: string, file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new ServingError('CONFIG_INVALID', `${flag} ${file}: ${reason}`, { cause: error })
  }
}
