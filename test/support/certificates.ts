/** Certificates for one test file, made by openssl: an authority, a server for 127.0.0.1, a client. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Certificates {
  readonly folder: string
  readonly ca: string
  readonly server: { readonly cert: string; readonly key: string }
  readonly client: { readonly cert: string; readonly key: string }
  remove(): void
}

export function makeCertificates(): Certificates {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-tls-'))
  const file = (name: string): string => join(folder, name)
  const openssl = (...words: string[]): void => {
    execFileSync('openssl', words, { cwd: folder, stdio: 'pipe' })
  }
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  openssl('req', '-x509', ...newKey, '-days', '2', '-subj', '/CN=authority', '-keyout', 'ca.key', '-out', 'ca.crt')
  const issue = (name: string, extensions: string) => {
    writeFileSync(file(`${name}.ext`), extensions)
    openssl('req', ...newKey, '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.csr`)
    const signing = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', `${name}.ext`]
    openssl('x509', '-req', '-in', `${name}.csr`, ...signing, '-out', `${name}.crt`)
    return { cert: file(`${name}.crt`), key: file(`${name}.key`) }
  }
  return {
    folder,
    ca: file('ca.crt'),
    server: issue('server', 'subjectAltName=IP:127.0.0.1,DNS:localhost'),
    client: issue('client', 'extendedKeyUsage=clientAuth'),
    remove: () => {
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
