/** REST paths -> what is asked. Pure. */
import { ServingError } from '../../../kit/errors.ts'

export type Route =
  | { readonly kind: 'live' | 'ready' }
  | { readonly kind: 'infer'; readonly name: string }
  | { readonly kind: 'metadata' | 'pipelineReady'; readonly name: string }

/** A version in the path is ignored: which version serves is the scheduler's decision. */
const PATH = /^\/v2\/(?:models|pipelines)\/([^/]+)(?:\/versions\/[^/]+)?(?:\/(infer|ready))?$/

const FIXED: Readonly<Record<string, Route>> = {
  'GET /ready': { kind: 'ready' },
  'GET /v2/health/live': { kind: 'live' },
  'GET /v2/health/ready': { kind: 'ready' },
}

const MODELS = '/v2/models/'
const PIPELINES = '/v2/pipelines/'
const INFER = '/infer'

/** @throws ServingError PATH_NOT_FOUND, REQUEST_INVALID */
export function parseRoute(method: string, target: string): Route {
  return usualRoute(method, target) ?? anyRoute(method, target)
}

/** An inference without anything odd in its path: nearly all that is asked, so without a regular expression. */
function usualRoute(method: string, target: string): Route | undefined {
  if (method !== 'POST' || !target.endsWith(INFER)) return undefined
  const from = target.startsWith(MODELS) ? MODELS.length : target.startsWith(PIPELINES) ? PIPELINES.length : 0
  const to = target.length - INFER.length
  if (from === 0 || from >= to || target.indexOf('/', from) !== to) return undefined
  const name = target.slice(from, to)
  return name.includes('%') || name.includes('?') ? undefined : { kind: 'infer', name }
}

function anyRoute(method: string, target: string): Route {
  const path = target.split('?', 1)[0] ?? ''
  const asked = method === 'HEAD' ? 'GET' : method
  const fixed = FIXED[`${asked} ${path}`]
  if (fixed) return fixed
  const [, name, action = 'metadata'] = PATH.exec(path) ?? []
  if (name !== undefined) {
    switch (`${asked} ${action}`) {
      case 'POST infer':
        return { kind: 'infer', name: decode(name) }
      case 'GET metadata':
        return { kind: 'metadata', name: decode(name) }
      case 'GET ready':
        return { kind: 'pipelineReady', name: decode(name) }
      default:
    }
  }
  throw new ServingError('PATH_NOT_FOUND', `${method} ${path.slice(0, 200)} is not a call of a pipeline`)
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch (error) {
    throw new ServingError('REQUEST_INVALID', `the name "${segment}" in the path is badly percent-encoded`, {
      cause: error,
    })
  }
}
