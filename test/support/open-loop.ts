/**
 * An open-loop load: requests leave on a fixed beat whatever happens to the earlier ones, over kept connections, REST and
 * gRPC side by side, and every one is recorded. Closed loops hide outages: a stalled server merely slows them down.
 */
import { credentials, Metadata } from '@grpc/grpc-js'
import { Pool } from 'undici'
import type { ModelInferResponse__Output } from '../../api/generated/inference/ModelInferResponse.ts'
import { GRPCInferenceService, GRPC_OPTIONS } from '../../api/grpc.ts'

export type Protocol = 'rest' | 'grpc'

export interface Outcome {
  readonly protocol: Protocol
  readonly model: string
  readonly sentAtMs: number
  readonly endedAtMs: number
  readonly ok: boolean
  /** HTTP status or gRPC code, or the connection error. */
  readonly status: string
  /** The `model_name` of the answer, e.g. `iris_1`; of a pipeline's, which has none, what its last model gives: a test model its name. */
  readonly servedBy: string
  readonly detail: string
}

export interface LoadOptions {
  /** `127.0.0.1:9000`, the ingress. */
  readonly ingress: string
  /** Several are asked in turn. */
  readonly model: string | readonly string[]
  /** Per protocol. */
  readonly ratePerSecond?: number
  readonly protocols?: readonly Protocol[]
  readonly requestDeadlineMs?: number
  /** How requests are made, when not as those of an iris model. */
  readonly senders?: Readonly<Record<Protocol, { readonly send: Sender; readonly close: () => Promise<void> }>>
}

export interface Load {
  readonly outcomes: readonly Outcome[]
  /** Stops sending, waits for what is under way, closes the connections. */
  stop(): Promise<LoadReport>
}

export interface LoadReport {
  readonly sent: number
  readonly failed: readonly Outcome[]
  readonly outcomes: readonly Outcome[]
}

const FEATURES = [5.1, 3.5, 1.4, 0.2]
const BODY = JSON.stringify({ inputs: [{ name: 'predict', shape: [1, 4], datatype: 'FP32', data: FEATURES }] })
const KEPT_CONNECTIONS = 16

type Answer = Pick<Outcome, 'ok' | 'status' | 'servedBy' | 'detail'>
type Sender = (model: string, deadlineMs: number) => Promise<Answer>

/** Starts at once; the first request of each protocol leaves immediately. */
export function startLoad(options: LoadOptions): Load {
  const outcomes: Outcome[] = []
  const pending = new Set<Promise<void>>()
  const protocols = options.protocols ?? (['rest', 'grpc'] as const)
  const rest = options.senders?.rest ?? createRestSender(options.ingress)
  const grpc = options.senders?.grpc ?? createGrpcSender(options.ingress)
  const intervalMs = 1000 / (options.ratePerSecond ?? 100)
  const startedMs = performance.now()
  const models = [options.model].flat()
  let beats = 0

  const fire = (protocol: Protocol, sender: Sender): void => {
    const sentAtMs = Date.now()
    const model = models[beats % models.length] ?? ''
    const settled = sender(model, options.requestDeadlineMs ?? 10_000)
      .catch((error: unknown) => ({ ok: false, status: 'error', servedBy: '', detail: describe(error) }))
      .then((result) => {
        outcomes.push({ protocol, model, sentAtMs, endedAtMs: Date.now(), ...result })
        pending.delete(settled)
      })
    pending.add(settled)
  }
  // The timer only wakes us up: how many requests are due follows from the clock, so a late timer sends them all.
  const timer = setInterval(
    () => {
      const due = Math.floor((performance.now() - startedMs) / intervalMs)
      for (; beats <= due; beats += 1) {
        if (protocols.includes('rest')) fire('rest', rest.send)
        if (protocols.includes('grpc')) fire('grpc', grpc.send)
      }
    },
    Math.min(intervalMs, 10),
  )
  return {
    outcomes,
    stop: async () => {
      clearInterval(timer)
      await Promise.all(pending)
      await rest.close()
      await grpc.close()
      return { sent: outcomes.length, failed: outcomes.filter((outcome) => !outcome.ok), outcomes }
    },
  }
}

/** Who answered what was sent from then on. */
export const servedSince = ({ outcomes }: Pick<Load, 'outcomes'>, sinceMs: number): ReadonlySet<string> =>
  new Set(outcomes.filter(({ sentAtMs }) => sentAtMs > sinceMs).map(({ servedBy }) => servedBy))

/**
 * Failures that the death of a process does not excuse: of requests that had ended before it was killed, or that were sent when it
 * was gone. What was on the wire may fail, however much that was.
 */
export const notInFlight = ({ failed }: LoadReport, killedMs: number, goneMs: number): readonly Outcome[] =>
  failed.filter(({ sentAtMs, endedAtMs }) => sentAtMs > goneMs || endedAtMs < killedMs)

/** Every failed request on a line of its own, for the test's output and its assertion message. */
export function describeFailures(report: LoadReport): string {
  const first = report.outcomes[0]?.sentAtMs ?? 0
  const lines = report.failed.map(
    (f) =>
      `${f.protocol} sent +${String(f.sentAtMs - first)} ms ended +${String(f.endedAtMs - first)} ms: ${f.status} ${f.detail}`,
  )
  return `${String(report.failed.length)} of ${String(report.sent)} requests failed\n${lines.join('\n')}`
}

/** One inference over REST; never throws for a status, only for a broken connection. */
export function createRestSender(ingress: string): { send: Sender; close(): Promise<void> } {
  const pool = new Pool(`http://${ingress}`, { connections: KEPT_CONNECTIONS, pipelining: 1 })
  return {
    send: async (model, deadlineMs) => {
      const { statusCode, body } = await pool.request({
        method: 'POST',
        path: `/v2/models/${model}/infer`,
        headers: { 'content-type': 'application/json' },
        body: BODY,
        signal: AbortSignal.timeout(deadlineMs),
      })
      const text = await body.text()
      const servedBy = statusCode === 200 ? servedByOf(JSON.parse(text) as RestAnswer) : ''
      return {
        ok: statusCode === 200,
        status: String(statusCode),
        servedBy,
        detail: statusCode === 200 ? '' : text.slice(0, 300),
      }
    },
    close: () => pool.close(),
  }
}

/** One inference over gRPC with `seldon-model` metadata. */
export function createGrpcSender(ingress: string): { send: Sender; close(): void } {
  const client = new GRPCInferenceService(ingress, credentials.createInsecure(), {
    ...GRPC_OPTIONS,
    'grpc.enable_retries': 0, // a retry by the client would hide what we look for
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 500,
  })
  return {
    send: (model, deadlineMs) =>
      new Promise((resolve) => {
        const metadata = new Metadata()
        metadata.set('seldon-model', model)
        const request = {
          modelName: model,
          inputs: [{ name: 'predict', datatype: 'FP32', shape: [1, 4], contents: { fp32Contents: FEATURES } }],
        }
        client.modelInfer(request, metadata, { deadline: Date.now() + deadlineMs }, (error, response) => {
          if (error) resolve({ ok: false, status: String(error.code), servedBy: '', detail: error.details })
          else resolve({ ok: true, status: 'OK', servedBy: response?.modelName || firstText(response), detail: '' })
        })
      }),
    close: () => {
      client.close()
    },
  }
}

interface RestAnswer {
  readonly model_name?: string
  readonly outputs?: readonly { readonly data?: readonly unknown[] }[]
}

const servedByOf = ({ model_name, outputs }: RestAnswer): string => {
  const first = outputs?.[0]?.data?.[0]
  return model_name || (typeof first === 'string' ? first : '')
}

/** The first element of a BYTES tensor: four bytes say how long it is. */
function firstText(response: ModelInferResponse__Output | undefined): string {
  const raw = response?.rawOutputContents[0]
  const typed = response?.outputs[0]?.contents?.bytesContents[0]
  return (raw?.subarray(4) ?? typed ?? Buffer.alloc(0)).toString()
}

function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
}
