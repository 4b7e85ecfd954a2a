/** Options that several processes have. */
import { Type } from 'typebox'
import { LOG_LEVELS } from './log.ts'

export const portOption = (standard: number, description: string) =>
  Type.Integer({ minimum: 0, maximum: 65_535, default: standard, description })

export const countOption = (standard: number, minimum: number, description: string) =>
  Type.Integer({ minimum, default: standard, description })

export const hostOption = Type.String({ minLength: 1, default: '127.0.0.1', description: 'Address to listen on.' })

/** Of the routes of `kit/process-routes.ts`. */
export const httpPortOption = (standard: number) => portOption(standard, 'Port for /healthz, /readyz and /metrics.')

export const logLevelOption = Type.Enum([...LOG_LEVELS], {
  default: 'info',
  description: 'Least severe level that is logged.',
})
