/** REST paths -> what is asked. Pure. */
import { ServingError } from '../../../kit/errors.ts'

export type Route =
  { readonly kind: 'live' | 'ready' } | { readonly kind: 'infer' | 'metadata' | 'pipelineReady'; readonly name: string }

/** A version in the path is ignored: which version serves is the scheduler's decision. */
const PATH = /^\/v2\/(?:models|pipelines)\/([^/]+)(?:\/versions\/[^/]+)?(?:\/(infer|ready))?$/

const FIXED: Readonly<Record<string, Route>> = {
  'GET /ready': { kind: 'ready' },
  'GET /v2/health/live': { kind: 'live' },
  'GET /v2/health/ready': { kind: 'ready' },
}

/** @throws ServingError PATH_NOT_FOUND, REQUEST_INVALID */
export function parseRoute(method: string, target: string): Route {
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
