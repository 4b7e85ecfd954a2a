import { readFile } from 'node:fs/promises'
import { get } from 'node:http'
import { get as getOverTls } from 'node:https'
import { connect } from 'node:net'
import type { SecureContextOptions } from 'node:tls'
import { pause } from '../../kit/backoff.ts'
import type { ProbeTls, Readiness } from './spec.ts'

const PROBE_EVERY_MS = 50
const PROBE_TIMEOUT_MS = 1_000

/** Probes until the process answers, the deadline passes or the signal aborts. */
export async function waitReady(
  readiness: Readiness,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<'ready' | 'late' | 'aborted'> {
  const giveUpAt = performance.now() + timeoutMs
  while (!signal.aborted) {
    if (await probe(readiness)) return 'ready'
    if (performance.now() > giveUpAt) return 'late'
    await pause(PROBE_EVERY_MS, signal)
  }
  return 'aborted'
}

/** One look; never throws. */
function probe(readiness: Readiness): Promise<boolean> {
  switch (readiness.kind) {
    case 'http':
      return readiness.tls === undefined ? probeHttp(readiness.url) : probeHttps(readiness.url, readiness.tls)
    case 'tcp':
      return probeTcp(readiness.host, readiness.port)
    case 'redis':
      // Accepting connections is not enough: a Redis that still reads its files answers -LOADING.
      return probeTcp(readiness.host, readiness.port, { send: 'PING\r\n', expect: '+PONG' })
  }
}

/** Files that are being replaced are a failed probe; the next one reads them again. */
async function probeHttps(url: string, { ca, cert, key }: ProbeTls): Promise<boolean> {
  try {
    return await probeHttp(url, {
      ca: await readFile(ca),
      ...(cert === undefined || key === undefined ? {} : { cert: await readFile(cert), key: await readFile(key) }),
    })
  } catch {
    return false
  }
}

function probeHttp(url: string, tls?: SecureContextOptions): Promise<boolean> {
  return new Promise((resolve) => {
    const send = tls === undefined ? get : getOverTls
    const request = send(url, { ...tls, agent: false, timeout: PROBE_TIMEOUT_MS }, (response) => {
      response.resume()
      resolve(response.statusCode === 200)
    })
    request.once('timeout', () => request.destroy(new Error('probe timed out')))
    request.once('error', () => {
      resolve(false)
    })
  })
}

function probeTcp(host: string, port: number, talk?: { send: string; expect: string }): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    const finish = (answered: boolean): void => {
      socket.destroy()
      resolve(answered)
    }
    socket.setTimeout(PROBE_TIMEOUT_MS, () => {
      finish(false)
    })
    socket.once('error', () => {
      finish(false)
    })
    socket.once('connect', () => {
      if (talk) socket.write(talk.send)
      else finish(true)
    })
    socket.once('data', (chunk) => {
      finish(talk !== undefined && chunk.toString('latin1').startsWith(talk.expect))
    })
    socket.once('close', () => {
      resolve(false)
    })
  })
}
