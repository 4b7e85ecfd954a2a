/** Pipelines over REST: an HTTP/1.1 server in front of the gateway. */
import type { InferenceRequest } from '../../../api/oip/inference.ts'
import { toRestMetadata } from '../../../api/oip/metadata.ts'
import { parseRestRequest } from '../../../api/oip/rest-request.ts'
import type { BodyLimits } from '../../../kit/body-limits.ts'
import type { WatchedCertificates } from '../../../kit/certificates.ts'
import { ServingError, toServingError } from '../../../kit/errors.ts'
import type { Exchange, Http1Answer } from '../../../kit/http1/exchange.ts'
import { createHttp1Server, type Http1Server } from '../../../kit/http1/server.ts'
import type { Logger } from '../../../kit/log.ts'
import { pipelineOf } from '../call.ts'
import type { Gateway } from '../gateway.ts'
import { errorAnswer, inferAnswer, jsonAnswer } from './answer.ts'
import { toRequestFields } from './request-fields.ts'
import { parseRoute, type Route } from './route.ts'

export interface RestDeps {
  readonly gateway: Gateway
  readonly limits: BodyLimits
  /** False while the gateway drains. */
  readonly isAccepting: () => boolean
  readonly tls: WatchedCertificates | undefined
  readonly log: Logger
}

export function createRestServer(deps: RestDeps): Http1Server {
  const { limits, isAccepting, tls } = deps
  const handle = (exchange: Exchange): void => {
    try {
      const route = parseRoute(exchange.head.method, exchange.head.target)
      if (route.kind === 'infer') infer(deps, exchange, route.name)
      else void tell(deps, exchange, route)
    } catch (error) {
      exchange.answer(refusalOf(deps, error))
    }
  }
  return createHttp1Server({ handle, limits, isAccepting, tls })
}

function infer(deps: RestDeps, exchange: Exchange, named: string): void {
  const fields = toRequestFields(exchange.head.fields)
  const { passed } = fields
  const pipeline = pipelineOf(fields, named)
  let request: InferenceRequest | undefined
  deps.gateway.infer(
    { pipeline, method: 'rest', fields, passed, caller: exchange, protocolTimeoutMs: Infinity },
    (onRead) => {
      exchange.readBody((body) => {
        const read = body instanceof ServingError ? body : toRequest(body, fields.jsonLength)
        if (!(read instanceof ServingError)) request = read
        onRead(read)
      })
    },
    (answer) => {
      try {
        exchange.answer(inferAnswer(answer, request, passed))
      } catch (error) {
        exchange.answer(refusalOf(deps, error))
      }
    },
  )
}

function toRequest(body: Buffer, jsonLength: string | undefined): InferenceRequest | ServingError {
  try {
    return parseRestRequest(body, jsonLength)
  } catch (error) {
    return toServingError(error)
  }
}

type Question = Exclude<Route, { kind: 'infer' }>

/** Everything that is no inference. */
async function tell(deps: RestDeps, exchange: Exchange, route: Question): Promise<void> {
  try {
    exchange.answer(await toldOf(deps, exchange, route))
  } catch (error) {
    exchange.answer(refusalOf(deps, error))
  }
}

async function toldOf({ gateway, isAccepting }: RestDeps, exchange: Exchange, route: Question): Promise<Http1Answer> {
  switch (route.kind) {
    case 'metadata': {
      const name = pipelineOf(toRequestFields(exchange.head.fields), route.name)
      return jsonAnswer(200, toRestMetadata(await gateway.metadata(name)))
    }
    case 'pipelineReady': {
      const name = pipelineOf(toRequestFields(exchange.head.fields), route.name)
      const { ready, missing } = await gateway.ready(name)
      return jsonAnswer(ready ? 200 : 424, ready ? { name, ready } : { name, ready, missing })
    }
    case 'live':
      return jsonAnswer(200, { live: true })
    case 'ready':
      return jsonAnswer(isAccepting() ? 200 : 503, { ready: isAccepting() })
  }
}

function refusalOf({ log }: RestDeps, error: unknown): Http1Answer {
  const failure = toServingError(error)
  if (failure.code === 'INVARIANT_BROKEN')
    log.error({ pipeline: '', error: failure.stack ?? failure.message }, 'request failed')
  return errorAnswer(failure)
}
