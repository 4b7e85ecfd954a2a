/** REST paths of the protocol -> what is asked. Pure. */
import { ServingError } from '../../kit/errors.ts'

export type Route =
  | { readonly kind: 'live' | 'ready' | 'serverMetadata' | 'index' }
  | { readonly kind: 'infer' | 'modelMetadata' | 'modelReady' | 'load' | 'unload'; readonly model: string }

/** A model's version in the path is ignored: which version serves is the scheduler's decision. */
const MODEL_PATH = /^\/v2\/models\/([^/]+)(?:\/versions\/[^/]+)?(?:\/(infer|ready))?$/
const REPOSITORY_PATH = /^\/v2\/repository\/models\/([^/]+)\/(load|unload)$/

const FIXED: Readonly<Record<string, Route>> = {
  'GET /v2': { kind: 'serverMetadata' },
  'GET /v2/health/live': { kind: 'live' },
  'GET /v2/health/ready': { kind: 'ready' },
  'POST /v2/repository/index': { kind: 'index' },
}

/** @throws ServingError PATH_NOT_FOUND, REQUEST_INVALID */
export function parseRoute(method: string, target: string): Route {
  const path = target.split('?', 1)[0] ?? ''
  const fixed = FIXED[`${method} ${path}`]
  if (fixed) return fixed
  const [, model, action = 'metadata'] = MODEL_PATH.exec(path) ?? REPOSITORY_PATH.exec(path) ?? []
  if (model !== undefined) {
    switch (`${method} ${action}`) {
      case 'POST infer':
        return { kind: 'infer', model: decode(model) }
      case 'GET metadata':
        return { kind: 'modelMetadata', model: decode(model) }
      case 'GET ready':
        return { kind: 'modelReady', model: decode(model) }
      case 'POST load':
        return { kind: 'load', model: decode(model) }
      case 'POST unload':
        return { kind: 'unload', model: decode(model) }
      default:
    }
  }
  throw new ServingError('PATH_NOT_FOUND', `${method} ${path} is not a call of the Open Inference Protocol`)
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch (error) {
    throw new ServingError('REQUEST_INVALID', `model name "${segment}" in the path is badly percent-encoded`, {
      cause: error,
    })
  }
}
